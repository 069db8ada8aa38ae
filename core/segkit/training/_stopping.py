"""Stopping politely: the first Ctrl-C or SIGTERM asks, the second one ends the process at once.

Who cannot send a signal, because the training runs on another computer that shares the disk, leaves a file in the run
folder instead.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

__all__ = ["StopFile", "StopRequest", "stop_on_signals"]

LOOKS_EVERY_SECONDS = 1.0


class StopRequest:
    """Whether, and by which signal, this process was asked to stop; called, it says whether."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        return self.signal != 0


class StopFile:
    """Whether somebody asked for a stop by a file; called, it says whether, and looks at the disk once a second.

    Parameters
    ----------
    path
        The file; what is in it does not matter.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._asked = False

    def clear(self) -> None:
        """Forget what was asked of an earlier process, or has been done."""
        self._path.unlink(missing_ok=True)

    def __call__(self) -> bool:
        now = monotonic()
        if not self._asked and now - self._looked >= LOOKS_EVERY_SECONDS:
            self._asked, self._looked = self._path.exists(), now
        return self._asked


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take SIGINT and SIGTERM as requests while the block runs; outside of the main thread nothing changes."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        request.signal = number
        signal.signal(number, signal.SIG_DFL)

    for wanted in (signal.SIGINT, signal.SIGTERM):
        before[wanted] = signal.signal(wanted, ask)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
