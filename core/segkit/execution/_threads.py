"""Work in this process: on the calling thread, or on several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from segkit.execution._failure import outcome_of
from segkit.execution._ledger import Deal, Pool, Returned

__all__ = ["Here", "Threads"]


class Here(Pool):
    """The calling thread, one index at a time."""

    def __init__(self, task: Callable[[int], Any]) -> None:
        self._task = task
        self._next: tuple[int, ...] = ()

    def submit(self, deal: Deal) -> None:
        """Keep an index for when somebody waits for it."""
        self._next = deal.indices

    def finished(self) -> Iterable[Returned]:
        """Do it."""
        return [Returned(tuple((index, outcome_of(self._task, index)) for index in self._next))]


class Threads(Pool):
    """A few threads, each with one index at a time.

    Parameters
    ----------
    task
        What is done with an index.
    workers
        Number of threads.
    """

    def __init__(self, task: Callable[[int], Any], workers: int) -> None:
        self._task = task
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers, "segkit")
        self._out: set[Future[Returned]] = set()

    @property
    def slots(self) -> int:
        """One for each thread, and one that waits."""
        return self._workers + 1

    def submit(self, deal: Deal) -> None:
        """Hand an index to the threads."""
        self._out.add(self._threads.submit(self._work, deal.indices))

    def _work(self, indices: tuple[int, ...]) -> Returned:
        return Returned(tuple((index, outcome_of(self._task, index)) for index in indices))

    def finished(self) -> Iterable[Returned]:
        """Wait for any thread."""
        done, self._out = wait(self._out, return_when=FIRST_COMPLETED)
        return [future.result() for future in done]

    def close(self) -> None:
        """Wait for what has begun; nothing else begins."""
        self._threads.shutdown(wait=True, cancel_futures=True)
