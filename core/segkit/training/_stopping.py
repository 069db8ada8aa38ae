"""Stopping politely: the first Ctrl-C or SIGTERM asks, the second one ends the process at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["StopRequest", "stop_on_signals"]


class StopRequest:
    """Whether, and by which signal, this process was asked to stop; called, it says whether."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        return self.signal != 0


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
