"""Short work off the GUI thread, such as writing a layer to disk; its result comes back in the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, QTimer

__all__ = ["Background"]


class Background(QObject):  # type: ignore[misc]
    """Runs one piece of work at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segkit")
        self._future: Future[Any] | None = None
        self._done: Callable[[Any, Exception | None], None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(30)
        self._timer.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return self._future is not None

    def start(self, work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> None:
        """Do some work that touches neither Qt nor napari, then call `done` with its result or its exception."""
        self._done = done
        self._future = self._pool.submit(work)
        self._timer.start()

    def _look(self) -> None:
        future, done = self._future, self._done
        if future is None or done is None or not future.done():
            return
        self._timer.stop()
        self._future = self._done = None
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        done(None if error else future.result(), error)

    def close(self) -> None:
        """Forget what is under way; it ends by itself."""
        self._timer.stop()
        self._future = self._done = None
        self._pool.shutdown(wait=False, cancel_futures=True)
