"""Small files that are replaced again and again, written in a thread: no window waits for a busy disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from segkit.durable import replace_file
from segkit.errors import SegkitError

__all__ = ["Writer", "writer"]


class Writer:
    """Replaces files one after the other, in the order in which they were given.

    Of several versions of a file that wait only the last is written. Each file is whole whenever anybody looks, also after
    this process was killed.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segkit-writer")
        self._lock = Lock()
        self._waiting: dict[Path, bytes] = {}
        self._failures: list[SegkitError] = []

    def replace(self, path: Path, body: bytes) -> None:
        """Put these bytes at `path` soon; its folder exists."""
        with self._lock:
            waits = path in self._waiting
            self._waiting[path] = body
        if not waits:
            self._pool.submit(self._write, path)

    def finish(self) -> None:
        """Wait until everything that was given is written, or has failed."""
        self._pool.submit(int).result()

    def failures(self) -> list[SegkitError]:
        """Return what the disk refused since the last call."""
        with self._lock:
            failures, self._failures = self._failures, []
        return failures

    def _write(self, path: Path) -> None:
        with self._lock:
            body = self._waiting.pop(path)
        try:
            replace_file(path, body, flush=False)
        except SegkitError as error:
            with self._lock:
                self._failures.append(error)


writer = Writer()
"""For all sessions of this process, as they share the disk."""
