"""What people found out about neurons: a status and a note for each, in ``review.csv`` beside the traces."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path

from psygnal import Signal

from segkit.durable import remove, replace_file
from segkit.errors import DataError

__all__ = ["STATUSES", "Review"]

STATUSES = ("", "ok", "split", "merge", "check")


class Review:
    """The status and note of each neuron of a set.

    Parameters
    ----------
    folder
        Where ``review.csv`` is, or will be.

    Raises
    ------
    DataError
        If there is a file of that name that is something else.
    """

    changed = Signal()

    def __init__(self, folder: Path) -> None:
        self.path = folder / "review.csv"
        self._lines: dict[int, tuple[str, str]] = {}
        self._read()

    @property
    def ids(self) -> list[int]:
        """The neurons that have a status or a note."""
        return list(self._lines)

    def status(self, id: int) -> str:
        """Return the status of a neuron: empty, ``ok``, ``split``, ``merge`` or ``check``."""
        return self._lines.get(id, ("", ""))[0]

    def note(self, id: int) -> str:
        """Return what is noted about a neuron."""
        return self._lines.get(id, ("", ""))[1]

    def mark(self, ids: Iterable[int], *, status: str | None = None, note: str | None = None) -> Callable[[], None]:
        """Give neurons a status or a note, write the file, and return a function that restores what was there, byte by byte.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        before, bytes_before = dict(self._lines), self.path.read_bytes() if self.path.exists() else None
        for id in ids:
            old = self._lines.get(int(id), ("", ""))
            new = (old[0] if status is None else status, old[1] if note is None else note)
            self._lines[int(id)] = new
            if new == ("", ""):
                del self._lines[int(id)]
        self._write()
        after = dict(self._lines)
        self.changed.emit()

        def undo() -> None:
            if self._lines == after:  # nothing else happened since
                self._lines = before
                if bytes_before is None:
                    remove(self.path)
                else:
                    replace_file(self.path, bytes_before)
            else:
                for id in set(before) ^ set(after) | {id for id in before if before[id] != after.get(id)}:
                    self._lines[id] = before.get(id, ("", ""))
                    if self._lines[id] == ("", ""):
                        del self._lines[id]
                self._write()
            self.changed.emit()

        return undo

    def _write(self) -> None:
        if not self._lines:
            remove(self.path)
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "status", "note"])
        writer.writerows([id, *self._lines[id]] for id in sorted(self._lines))
        replace_file(self.path, text.getvalue().encode())

    def _read(self) -> None:
        if not self.path.exists():
            return
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    self._lines[int(row["id"])] = (row["status"] or "", row["note"] or "")
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise DataError(
                f"{self.path} is no table of id, status and note ({error}). Move it away; an empty one is made."
            ) from error
