"""What a person works on: a project, its jobs, its data, runs and results, and what is selected. Knows no Qt.

The pages of the viewer are views of it, and scripts can use it as they do::

    session = Session("~/neurites")
    job = session.jobs.start("train", "train run-1", ["train", "recipe.toml", "--run", "runs/one"], Path("runs/one"))
    session.wait(job)
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from psygnal import Signal

from napari_segkit.session._failures import problem_of_job
from napari_segkit.session._problem import Fix, Problem
from napari_segkit.session._project import Project
from napari_segkit.session._selection import Selection
from napari_segkit.session._tasks import Tasks
from napari_segkit.session._writing import writer
from napari_segkit.session.images._data import Data
from napari_segkit.session.jobs._job import Job
from napari_segkit.session.jobs._jobs import Jobs
from segkit.errors import SegkitError

__all__ = ["Session"]


class Session:
    """One project, opened.

    Parameters
    ----------
    folder
        The project folder; made when something is first kept in it.
    """

    problem = Signal(Problem)
    """Something went wrong, and this is all that is said of it."""
    said = Signal(str, object)
    """A short message, and a function that undoes what it tells of, or None."""
    page_wanted = Signal(str)
    """Another page is to be shown, by its title."""
    results_changed = Signal()
    """A prediction, segmentation or set of traces came or went."""

    def __init__(self, folder: str | Path) -> None:
        self.project = Project(folder)
        self.jobs = Jobs(self.project)
        self.tasks = Tasks()
        self.selection = Selection()
        self.fixes: dict[str, Callable[[Any], None]] = {}
        """What a click on a `Fix` does, by its key; called with its value."""
        self.state: dict[str, Any] = {}
        """What is remembered between sessions, a dictionary for each page."""
        self.data = Data(self.project)
        self.watching = False
        """Whether another session has the project open, so that this one remembers nothing."""
        self._written = ""
        self.jobs.ended.connect(self._job_ended)
        self.fixes["resume"] = self.jobs.resume
        self._held = ExitStack()
        self._later: deque[Callable[[], object]] = deque()

    def open(self) -> list[Job]:
        """Read what the project remembers, and return the jobs of earlier sessions that run or can go on.

        Nothing is returned, and nothing remembered, where another session has the project open, which is reported.
        """
        try:
            if self.project.folder.is_dir():
                self._held.enter_context(self.project.held())
        except SegkitError as error:
            fix = Fix("other_project", "Choose another project")
            self.report(Problem(str(error), fixes=(fix,)))
            self.watching = True
            return []
        writer.finish()  # an earlier session of this process may just have ended
        try:
            self.state = self.project.read_state()
        except SegkitError as error:
            self.report(error)
        self._written = json.dumps(self.state)
        return self.jobs.restore()

    # ---- messages

    def report(self, problem: Problem | BaseException, page: str = "") -> None:
        """Say what went wrong, once."""
        self.problem.emit(problem if isinstance(problem, Problem) else Problem.of(problem, page))

    def say(self, text: str, undo: Callable[[], None] | None = None) -> None:
        """Say what was done, and offer to undo it."""
        self.said.emit(text, undo)

    def in_background(self, work: Callable[[], Any], done: Callable[[Any], None], page: str = "") -> None:
        """Do work that touches neither Qt nor napari in a thread, then call `done` with its result; report failures."""

        def finished(result: Any, error: Exception | None) -> None:
            if error is None:
                done(result)
            else:
                self.report(error, page)

        self.tasks.start(work, finished)

    def later(self, action: Callable[[], object]) -> None:
        """Do something when the viewer has answered in between; what is given first is done first."""
        self._later.append(action)

    # ---- the clock

    def poll(self) -> None:
        """Bring everything up to date, or do one thing that was to be done later; a viewer calls this ten times a second."""
        if self._later:
            self._later.popleft()()
            return
        self.tasks.poll()
        self.jobs.poll()
        self._tell_of_failures()

    def wait(self, job: Job, seconds: float = float("inf")) -> str:
        """Poll until a job has ended, and return its state."""
        end = monotonic() + seconds
        while job.active or job.state == "queued":
            if monotonic() > end:
                raise TimeoutError(f"{job.title} is still {job.state} after {seconds:g} s")
            sleep(0.05)
            self.poll()
        return job.state

    def remember(self) -> None:
        """Write what is to be remembered, if it changed."""
        if not self.watching and json.dumps(self.state) != self._written:
            self.project.write_state(self.state)
            self._written = json.dumps(self.state)

    def close(self, keep: Callable[[Job], bool] = lambda job: False) -> None:
        """End the session; jobs save and end too, but for those that `keep` is true for."""
        self.jobs.close(keep)
        writer.finish()
        self._tell_of_failures()
        self.tasks.close()
        self._later.clear()
        self._held.close()

    def _tell_of_failures(self) -> None:
        for failure in writer.failures():
            self._written = ""  # so that it is tried again
            self.report(failure)

    def _job_ended(self, job: Job) -> None:
        if job.failure:
            self.report(problem_of_job(job))
        if job.kind in ("predict", "segment", "trace"):
            self.results_changed.emit()
