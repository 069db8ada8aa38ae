"""Failures of commands that have a known way out."""

from __future__ import annotations

import re

from napari_segkit.session._job import Job
from napari_segkit.session._problem import Fix, Problem

__all__ = ["problem_of_job"]

PAGES = {"train": "Train", "predict": "Predict", "segment": "Predict", "trace": "Predict"}
_RESUME = "resume"

# What the message says, and the ways out; the first that matches is taken.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (r"out of memory", "smaller_patch", "Use a smaller patch"),
    (r"is full|bytes are free|MiB are free|No space", _RESUME, "Resume"),
    (r"no labelled voxel|nothing is labelled|no voxel is labelled", "go_to_boxes", "Go to the boxes"),
)
_BY_TYPE: dict[str, tuple[tuple[str, str], ...]] = {
    "DivergedError": (("lower_rate", "Lower the rate \N{MULTIPLICATION SIGN}0.3 and continue"),),
    "OutputExistsError": (("new_name", "Write beside it"),),
    "StorageError": ((_RESUME, "Resume"),),
    "BusyError": ((_RESUME, "Try again"),),
    "IncompleteError": ((_RESUME, "Retry failed"),),
    "PluginError": (("show_plugins", "Show plugins"),),
    "DataError": (("check_data", "Check the data"),),
    "UsageError": (("show_form", "Show the form"),),
}


def problem_of_job(job: Job) -> Problem:
    """Say why a job failed, with what can be done about it."""
    message, kind = str(job.failure.get("message", "")), str(job.failure.get("type", ""))
    fixes = [(key, label) for pattern, key, label in _KNOWN if re.search(pattern, message, re.IGNORECASE)][:1]
    fixes = fixes or list(_BY_TYPE.get(kind, ()))
    if not fixes or all(key != _RESUME for key, _ in fixes):
        fixes.append((_RESUME, "Resume"))
    return Problem(message, job.report(), tuple(Fix(key, label, job) for key, label in fixes), PAGES.get(job.kind, ""))
