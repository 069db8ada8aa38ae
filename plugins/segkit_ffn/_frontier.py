"""Places that an object may be followed to, in the order in which it is."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from segkit.geometry import Triple

__all__ = ["Entry", "Frontier"]

Entry = tuple[float, int, Triple]


class Frontier:
    """A queue of positions: the most worthwhile first, and of equals the one that was reached first.

    Parameters
    ----------
    worth
        What a position is worth now; it changes while the object is followed, and mostly falls.
    """

    def __init__(self, worth: Callable[[Triple], float]) -> None:
        self._worth = worth
        self._heap: list[Entry] = []
        self._count = 0

    def add(self, position: Triple) -> None:
        """Note a position."""
        heappush(self._heap, (-self._worth(position), self._count, position))
        self._count += 1

    def take(self) -> Entry | None:
        """Return the next position, with what `put_back` needs; None if there is no more."""
        while self._heap:
            before, number, position = heappop(self._heap)
            now = (-self._worth(position), number, position)
            if now[0] <= before or not self._heap or now < self._heap[0]:
                return now
            heappush(self._heap, now)  # it is worth less than when it was noted
        return None

    def put_back(self, entry: Entry) -> None:
        """Leave for later what was taken."""
        heappush(self._heap, entry)

    def clear(self) -> None:
        """Forget all positions."""
        self._heap.clear()
