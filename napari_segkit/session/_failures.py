"""Failures of commands that have a known way out."""

from __future__ import annotations

import re

from napari_segkit.session._problem import Fix, Problem
from napari_segkit.session.jobs._job import Job

__all__ = ["problem_of_job"]

PAGES = {
    "train": "Train",
    "predict": "Predict",
    "segment": "Predict",
    "trace": "Predict",
    "convert": "Data",
    "evaluate": "Traces",
    "mend": "Traces",
}

_AGAIN = ("resume", "Try again")
_SMALLER = ("smaller_patch", "Use a smaller patch")
# What the message says, whatever its type, and the best way out; the first that matches is taken.
_BY_MESSAGE: tuple[tuple[str, tuple[str, str]], ...] = (
    (r"out of memory|memory.*(patch|tile)|tile of .* memory", _SMALLER),
    (r"MiB are free|disk is full|No space", ("resume", "Resume")),
    (r"no labelled voxel|no foreground|no voxel of class|classes from", ("check_data", "Go to the labels")),
    (r"voxels of \(|voxel size", ("check_data", "Check the voxel size")),
    (r"https?://|[sg]s3?://|network|connection|timed out", ("resume", "Try again")),
    (r"dtype|unsigned integers|floating", ("check_data", "Check the data")),
)
_BY_TYPE: dict[str, tuple[str, str]] = {
    "DivergedError": ("lower_rate", "Lower the rate \N{MULTIPLICATION SIGN}0.3 and continue"),
    "OutputExistsError": ("new_name", "Write beside it"),
    "StorageError": ("resume", "Resume"),
    "BusyError": _AGAIN,
    "IncompleteError": ("resume", "Retry failed"),
    "PluginError": ("show_plugins", "Show plugins"),
    "DataError": ("check_data", "Check the data"),
    "UsageError": ("show_form", "Show the form"),
}


def problem_of_job(job: Job) -> Problem:
    """Say why a job failed, with what can be done about it."""
    message, kind = str(job.failure.get("message", "")), str(job.failure.get("type", ""))
    known = _BY_TYPE.get(kind)
    if known is None or kind in ("DataError", "UsageError", "StorageError"):
        known = next((way for pattern, way in _BY_MESSAGE if re.search(pattern, message, re.IGNORECASE)), known)
    if known == _SMALLER and job.kind != "train":
        known = ("smaller_blocks", "Use smaller blocks")
    ways = [known, _AGAIN] if known is not None and known[0] != "resume" else [known or _AGAIN]
    sentence = message.splitlines()[0] if message else f"{job.title} failed"
    return Problem(sentence, job.report(), tuple(Fix(key, label, job) for key, label in ways), PAGES.get(job.kind, ""))
