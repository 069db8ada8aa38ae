"""Reads what is appended to a run's journal, whoever writes it: this panel's child or a training in a shell."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from qtpy.QtCore import QObject, QTimer, Signal

from napari_segkit._run_progress import RunProgress
from segkit.durable import read_records

__all__ = ["RunFollower"]

POLL_MS = 250


class RunFollower(QObject):  # type: ignore[misc]
    """Follows one run at a time; `changed` tells of new records, at most 4 times a second."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.run: Path | None = None
        self.progress = RunProgress()
        self._position = 0
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.look)

    def follow(self, run: Path | None) -> None:
        """Follow another run, from the beginning of its journal; None follows nothing."""
        self.run, self.progress, self._position = run, RunProgress(), 0
        self._timer.stop()
        if run is not None:
            self.look()
            self._timer.start()
        self.changed.emit()

    def look(self) -> None:
        """Read what is new."""
        if self.run is None:
            return
        records, self._position = read_records(self.run / "journal.jsonl", self._position)
        if records:
            self.progress.feed(records, monotonic())
            self.changed.emit()

    def close(self) -> None:
        """Stop reading."""
        self._timer.stop()
