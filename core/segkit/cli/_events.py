"""What a command does, as JSON lines in the file that the environment variable ``SEGKIT_EVENTS`` names.

For programs that start the command line, such as the viewer: they read it with `segkit.durable.read_records` instead of
guessing from what is printed. Records: ``progress`` (``what``, ``unit``, ``done``, ``total``; at most five a second),
``failed`` (``type``, ``message``, ``details``) and ``ended`` (``code``).
"""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import Any

from segkit.durable import append_record
from segkit.progress import Progress

__all__ = ["tell", "telling"]

INTERVAL_SECONDS = 0.2


def tell(event: str, **record: Any) -> None:
    """Write one record, if somebody wants to know."""
    path = os.environ.get("SEGKIT_EVENTS")
    if path:
        append_record(Path(path), {"event": event, **record}, sync=False)


def telling(what: str, unit: str) -> Progress:
    """Return a callback that tells of progress, the first and last of it always."""
    last: tuple[float, int] = (-INTERVAL_SECONDS, -1)

    def move(done: int, total: int) -> None:
        nonlocal last
        now = monotonic()
        if done != last[1] and (done >= total or now - last[0] >= INTERVAL_SECONDS):
            last = (now, done)
            tell("progress", what=what, unit=unit, done=done, total=total)

    return move
