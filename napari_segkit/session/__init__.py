"""What the viewer's pages share, and scripts can use: a project, its jobs, data, runs, results and selection; no Qt."""

from __future__ import annotations

from napari_segkit.session._problem import Fix, Problem
from napari_segkit.session._project import Project
from napari_segkit.session._selection import Selection
from napari_segkit.session._session import Session
from napari_segkit.session.images._boxes import AnnotationBox, Boxes
from napari_segkit.session.images._data import Check, Data
from napari_segkit.session.jobs._job import Job
from napari_segkit.session.trainings._run_folder import (
    RunContents,
    contents_of,
    is_run,
    read_preview,
    runs_in,
    write_request,
)
from napari_segkit.session.trainings._run_progress import RunProgress, eta_text

__all__ = [
    "AnnotationBox",
    "Boxes",
    "Check",
    "Data",
    "Fix",
    "Job",
    "Problem",
    "Project",
    "RunContents",
    "RunProgress",
    "Selection",
    "Session",
    "contents_of",
    "eta_text",
    "is_run",
    "read_preview",
    "runs_in",
    "write_request",
]
