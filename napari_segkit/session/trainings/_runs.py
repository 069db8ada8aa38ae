"""The runs that can be looked at: those of the project, and others by their folders; each follows its journal.

A run is its folder. Who trains it, on which computer, and who started that, makes no difference here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic, time
from typing import Any

from psygnal import Signal

from napari_segkit.session._project import Project
from napari_segkit.session.trainings._run_folder import is_run
from napari_segkit.session.trainings._run_progress import RunProgress
from segkit.durable import read_records
from segkit.errors import DataError

__all__ = ["FollowedRun", "Runs"]

SILENT_SECONDS = 120.0


@dataclass(eq=False)
class FollowedRun:
    """A run folder and what its journal has said so far.

    Parameters
    ----------
    folder
        The run folder; it may not be there yet.
    """

    folder: Path
    progress: RunProgress = field(default_factory=RunProgress)
    written: float = 0.0
    position: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.folder.name

    @property
    def running(self) -> bool:
        """Whether somebody trains it: it has begun, has not ended, and said something not long ago."""
        return self.progress.state == "running" and time() - self.written < SILENT_SECONDS

    @property
    def interrupted(self) -> bool:
        """Whether it ended before its time, by being stopped, by an error or by a kill."""
        finished = self.progress.state == "finished" and self.progress.reason != "stopped"
        return self.progress.state != "waiting" and not self.running and not finished

    @property
    def word(self) -> str:
        """Its state, in a word."""
        if self.running:
            return "running"
        if self.progress.state == "finished":
            return {"completed": "done", "early_stopping": "done early"}.get(self.progress.reason, "stopped")
        return {"waiting": "starting", "running": "interrupted"}.get(self.progress.state, self.progress.state)

    @property
    def date(self) -> str:
        """When it last said something: the time of day today, the date before."""
        if not self.written:
            return ""
        when = datetime.fromtimestamp(self.written)
        return f"{when:%H:%M}" if when.date() == datetime.now().date() else f"{when:%d %b}"


class Runs:
    """All runs that are known.

    Parameters
    ----------
    project
        Whose runs are listed.
    """

    changed = Signal()
    """A run came or went, or its journal has grown."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._runs: dict[Path, FollowedRun] = {}
        self.attached: list[Path] = []
        """Folders of runs elsewhere."""

    def __iter__(self) -> Iterator[FollowedRun]:
        return iter(tuple(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def of(self, folder: Path) -> FollowedRun:
        """Return a run by its folder, which is followed from now on."""
        return self._runs.setdefault(folder, FollowedRun(folder))

    def attach(self, folder: Path) -> FollowedRun:
        """Follow a run that is not one of the project's.

        Raises
        ------
        DataError
            If the folder holds no run.
        """
        if not is_run(folder):
            raise DataError(
                f"{folder} is not the folder of a run: it has no run.json. Choose a folder that 'segkit train' made."
            )
        if folder.parent != self._project.folder / "runs" and folder not in self.attached:
            self.attached.append(folder)
        return self.of(folder)

    def forget(self, folder: Path) -> None:
        """Follow a run no more; its folder stays as it is."""
        self._runs.pop(folder, None)
        if folder in self.attached:
            self.attached.remove(folder)
        self.changed.emit()

    def reader(self) -> Callable[[], Any]:
        """Return a function that looks for runs and reads what is new in their journals; it may run in a thread."""
        known = {folder: run.position for folder, run in self._runs.items()}
        attached = tuple(self.attached)

        def read() -> dict[Path, tuple[list[dict[str, Any]], int, float]]:
            found: dict[Path, tuple[list[dict[str, Any]], int, float]] = {}
            for folder in dict.fromkeys([*self._project.runs, *attached, *known]):
                journal = folder / "journal.jsonl"
                try:
                    stat = journal.stat()
                except OSError:
                    if folder not in known and is_run(folder):
                        found[folder] = ([], 0, 0.0)
                    continue
                start = known.get(folder, 0)
                if stat.st_size < start:
                    start = 0  # another run has taken its place
                if stat.st_size > start or folder not in known:
                    records, position = read_records(journal, start)
                    found[folder] = (
                        records,
                        -position if start == 0 and known.get(folder) else position,
                        stat.st_mtime,
                    )
            return found

        return read

    def take(self, found: dict[Path, tuple[list[dict[str, Any]], int, float]]) -> None:
        """Take in what `reader` has read."""
        for folder, (records, position, written) in found.items():
            run = self.of(folder)
            if position < 0:
                run.progress = RunProgress()
            run.position, run.written = abs(position), written
            run.progress.feed(records, monotonic())
        if found:
            self.changed.emit()
