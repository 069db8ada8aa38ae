"""Which indices are still to be done, how often each was tried, and where: the bookkeeping of `run`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from segkit.execution._failure import Failure

__all__ = ["Deal", "Ledger", "Pool", "Returned"]


@dataclass(frozen=True, slots=True)
class Deal:
    """What is handed out at once: several indices that were never tried, or one that failed before.

    Parameters
    ----------
    indices
        What is to be done, in this order.
    avoid
        Workers on which it failed already.
    """

    indices: tuple[int, ...]
    avoid: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Returned:
    """What came of a deal.

    Parameters
    ----------
    outcomes
        The index and its result or failure, for each index of the deal.
    seconds
        How long the work took; 0 where that is not known.
    worker
        Who did it.
    died
        Whether the worker died over it, so that nobody knows which of the indices was to blame.
    """

    outcomes: tuple[tuple[int, Any], ...]
    seconds: float = 0.0
    worker: str = ""
    died: bool = False


class Pool:
    """Where deals are done: threads or a cluster."""

    batches = False
    """Whether several quick indices are better handed out together."""

    @property
    def slots(self) -> int:
        """How many deals may be out at once."""
        return 1

    def submit(self, deal: Deal) -> None:
        """Hand out a deal."""

    def finished(self) -> Iterable[Returned]:
        """Wait until some deals are done, and return what came of them."""
        return ()

    def close(self) -> None:
        """Drop what is still out."""


class Ledger:
    """The indices of one `run`.

    An index that fails goes to the end (to the front where order matters, so that others need not wait long), and is
    then handed out by itself. Whoever died with a worker before is tried the last time while nothing else is out: others
    that died with it by chance are not blamed for that.

    Parameters
    ----------
    indices
        What is to be done.
    tries
        How often each may fail.
    urgent
        Whether what failed is tried again before what was never tried.
    """

    def __init__(self, indices: Iterable[int], tries: int, *, urgent: bool) -> None:
        self.fresh = deque(indices)
        self._again: deque[int] = deque()
        self._alone: deque[int] = deque()
        self._tries, self._urgent = tries, urgent
        self._failed: dict[int, int] = {}
        self._seen: dict[int, set[str]] = {}

    def __len__(self) -> int:
        return len(self.fresh) + len(self._again) + len(self._alone)

    def deal(self, size: int, room: int, out: int) -> Deal | None:
        """Return what to hand out next, or None if something must come back first.

        Parameters
        ----------
        size
            Most indices of a deal.
        room
            How many indices that were never tried may be handed out.
        out
            How many deals are out.
        """
        retry = bool(self._again) and (self._urgent or not self.fresh)
        if retry or (self._again and room < 1):
            index = self._again.popleft()
        elif self.fresh and room > 0:
            return Deal(tuple(self.fresh.popleft() for _ in range(min(size, room, len(self.fresh)))))
        elif self._alone and not out:
            index = self._alone.popleft()
        else:
            return None
        return Deal((index,), frozenset(self._seen.get(index, ())))

    def settle(self, returned: Returned, keep: Callable[[int, Any], None]) -> None:
        """Give `keep` the results, and the failures that were the last; what may be tried again waits for that."""
        for index, outcome in returned.outcomes:
            if not isinstance(outcome, Failure):
                self._failed.pop(index, None)
                self._seen.pop(index, None)
                keep(index, outcome)
                continue
            self._failed[index] = self._failed.get(index, 0) + 1
            if not returned.died:
                self._seen.setdefault(index, set()).add(returned.worker)
            if self._failed[index] >= self._tries:
                keep(index, outcome)
            elif returned.died and self._failed[index] == self._tries - 1:
                self._alone.append(index)
            else:
                self._again.append(index)
