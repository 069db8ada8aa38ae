"""All jobs of a project: one training and one other job run at a time, the others wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_segkit.session._project import Project
from napari_segkit.session._writing import writer
from napari_segkit.session.jobs._job import Job, Kind
from segkit.durable import remove

__all__ = ["Jobs"]

FINISHED_KEPT = 20


class Jobs:
    """The jobs of a project.

    Parameters
    ----------
    project
        Where their folders are.
    """

    changed = Signal()
    """A job came, went or changed."""
    ended = Signal(Job)
    """A job is done, stopped or failed, or it was paused."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._jobs: list[Job] = []
        self._handlers: dict[str, Callable[[Job], None]] = {}

    def __iter__(self) -> Any:
        return iter(tuple(self._jobs))

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def active(self) -> list[Job]:
        """Those whose process runs."""
        return [job for job in self._jobs if job.active]

    @property
    def open(self) -> list[Job]:
        """Those that run, wait or are paused."""
        return [job for job in self._jobs if job.active or job.state in ("queued", "paused")]

    def of(self, kind: Kind) -> Job | None:
        """Return the latest open job of a kind; None if there is none."""
        return next((job for job in reversed(self.open) if job.kind == kind), None)

    def when_done(self, kind: Kind, handler: Callable[[Job], None]) -> None:
        """Call `handler` whenever a job of this kind is done, also one that an earlier session started."""
        self._handlers[kind] = handler

    def start(
        self, kind: Kind, title: str, arguments: Sequence[str], output: Path, extra: Mapping[str, Any] | None = None
    ) -> Job:
        """Start a command, or let it wait until the one before it has ended.

        Parameters
        ----------
        kind, title, arguments, output, extra
            See `Job`.

        Raises
        ------
        OSError
            If no process can be started.
        StorageError
            If its folder cannot be made; what is refused after that is told by `Session.problem`.
        """
        job = Job(self._project.free("jobs", kind), kind, title, arguments, output, extra)
        job.save()
        self._add(job)
        self._advance()
        return job

    def resume(self, job: Job) -> None:
        """Let a job that was paused, stopped or failed go on."""
        if not job.active:
            job.state = "queued"
            if job not in self._jobs:
                self._add(job)
            self._advance()
            self.changed.emit()

    def dismiss(self, job: Job) -> None:
        """Forget a job that does not run; what it made stays."""
        if not job.active and job in self._jobs:
            self._jobs.remove(job)
            job.changed.disconnect(self._tell)
            writer.finish()
            remove(job.folder)
            self.changed.emit()

    def restore(self) -> list[Job]:
        """Find the jobs of earlier sessions again, and return those that can go on or still run."""
        folder = self._project.folder / "jobs"
        known = {job.folder for job in self._jobs}
        found = []
        for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime) if folder.is_dir() else ():
            if path in known:
                continue
            try:
                found.append(Job.read(path))
            except (OSError, ValueError, KeyError):
                continue  # killed before it was written
        for job in found[:-FINISHED_KEPT]:
            if job.state in ("done", "stopped", "failed"):
                remove(job.folder)
        wanted = [job for job in found if job.active or job.state == "paused"]
        for job in wanted:
            self._add(job)
        self.changed.emit()
        return wanted

    def poll(self) -> None:
        """Read what the jobs say, start the next ones, and tell of those that ended."""
        for job in self.active:
            job.poll()
            if not job.active:
                self.ended.emit(job)
                if job.state == "done" and job.kind in self._handlers:
                    self._handlers[job.kind](job)
        self._advance()

    def close(self, keep: Callable[[Job], bool]) -> None:
        """Let those jobs go on alone for which `keep` says so; the others save and end by themselves."""
        for job in self.active:
            assert job.process is not None
            if keep(job):
                job.process.keep()
            else:
                job.stop("paused")

    def _add(self, job: Job) -> None:
        self._jobs.append(job)
        job.changed.connect(self._tell)
        self.changed.emit()

    def _tell(self) -> None:
        self.changed.emit()

    def _advance(self) -> None:
        """Start what waits, where nothing of its lane runs."""
        for job in self._jobs:
            if job.state == "queued" and not any(_lane(other) == _lane(job) for other in self.active):
                job.start()


def _lane(job: Job) -> bool:
    return job.kind == "train"
