"""Short work in threads, such as writing a layer to disk; what comes of it is delivered by `Session.poll`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any

__all__ = ["Tasks"]

THREADS = 4
BUSY_SECONDS = 0.03
"""For so long results are delivered in one go; others wait until next time, so that a viewer answers in between."""


class Tasks:
    """Pieces of work under way, each with what is to be done with its result."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="segkit")
        self._waiting: list[tuple[Future[Any], Callable[[Any, Exception | None], None]]] = []

    @property
    def busy(self) -> bool:
        """Whether any work is under way."""
        return bool(self._waiting)

    def start(self, work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> None:
        """Do some work that touches neither Qt nor napari, then call `done` with its result or its exception."""
        self._waiting.append((self._pool.submit(work), done))

    def poll(self) -> None:
        """Deliver what is finished, in the thread that calls this."""
        end = monotonic() + BUSY_SECONDS
        for entry in [entry for entry in self._waiting if entry[0].done()]:
            if monotonic() > end:
                return
            if entry not in self._waiting:
                continue  # delivered, or forgotten, by something that `done` did
            self._waiting.remove(entry)
            future, done = entry
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            done(None if error else future.result(), error)

    def close(self) -> None:
        """Forget what is under way; it ends by itself."""
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)
