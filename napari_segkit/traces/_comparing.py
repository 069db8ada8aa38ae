"""Comparisons with true skeletons: started as jobs, and their errors flown to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_segkit.session import Job, Problem, Session
from napari_segkit.session.traces._errors import TraceErrors, evaluate_arguments, read_errors
from napari_segkit.traces._error_list import ErrorList
from napari_segkit.traces._scene import Scene
from segkit.errors import SegkitError

__all__ = ["Comparing"]


class Comparing:
    """Does what the fold "Errors" asks for.

    Parameters
    ----------
    session
        Where jobs are started.
    scene
        What is shown.
    fold
        The controls.
    """

    def __init__(self, session: Session, scene: Scene, fold: ErrorList) -> None:
        self._session, self._scene, self.fold = session, scene, fold
        self.errors: TraceErrors | None = None
        self.folder: Path | None = None
        fold.compare_wanted.connect(self.compare)
        fold.wanted.connect(self.go_to)
        fold.button.toggled.connect(lambda shown: self._refresh() if shown else None)
        session.jobs.when_done("evaluate", self._done)

    def _refresh(self) -> None:
        self.fold.segmentation.refresh()
        self.fold.skeletons.refresh()

    def compare(self) -> None:
        """Start the comparison as a job."""
        segmentation, skeletons = self.fold.segmentation.path, self.fold.skeletons.path
        try:
            trim = float(self.fold.trim.text().strip() or 0)
        except ValueError:
            trim = -1.0
        if segmentation is None or skeletons is None or trim < 0:
            missing = "a segmentation" if segmentation is None else "true skeletons"
            text = (
                f"Choose {missing} first."
                if trim >= 0
                else f"Trim is {self.fold.trim.text()!r}; it takes a length of 0 or more."
            )
            self._session.report(Problem(text, page="Traces"))
            return
        folder = self._session.project.free("errors", segmentation.stem)
        arguments = evaluate_arguments(str(segmentation), str(skeletons), folder, trim)
        try:
            self._session.jobs.start(
                "evaluate", f"compare {segmentation.stem}", arguments, folder, {"errors": str(folder)}
            )
        except (SegkitError, OSError) as error:
            self._session.report(error, "Traces")

    def _done(self, job: Job) -> None:
        if "errors" in job.extra:
            self.show(Path(job.extra["errors"]))
            self.fold.open()

    def show(self, folder: Path) -> None:
        """List the errors that a comparison wrote; nothing happens where they are gone."""

        def shown(errors: Any) -> None:
            self.errors, self.folder = errors, folder
            self.fold.show_errors(errors)

        if (folder / "errors.csv").is_file():
            self._session.in_background(lambda: read_errors(folder), shown, "Traces")

    def go_to(self, at: int) -> None:
        """Go to an error, and select the traces of its segments where they are in the set."""
        if self.errors is None or not 0 <= at < len(self.errors):
            return
        known = self._scene.neurons.rows
        here = [id for id in self.errors.segments[at] if id in known]
        if here:
            self._session.selection.choose(here)
        self._scene.go_to(np.asarray(self.errors.positions[at], float))
