"""How much memory is free, and how much of it this process takes while it does something."""

from __future__ import annotations

import os
import threading
from pathlib import Path

__all__ = ["Peak", "free_memory", "resident"]


def free_memory() -> int | None:
    """Return the bytes that may be taken without swapping: of the machine, or of the group of processes we are in."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, limit - used)


class Peak:
    """How much the resident memory of this process grows inside a ``with``, at most; None where that is not known."""

    def __init__(self, *, enabled: bool) -> None:
        self.grown: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True) if enabled and resident() else None

    def __enter__(self) -> Peak:
        if self._thread is not None:
            self._before = resident()
            self.grown = 0
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            self.grown = max(self.grown or 0, resident() - self._before)
            if self._stop.wait(0.003):
                return


def resident() -> int:
    """Return the bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
