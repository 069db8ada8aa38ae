"""Known failures are told in a sentence that offers a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_segkit.session import Job
from napari_segkit.session._failures import problem_of_job

FAILURES = {
    "GPU out of memory": (
        "train",
        "UsageError",
        "A patch of (64, 64, 64) runs out of memory on cuda:0.",
        "smaller_patch",
    ),
    "no labels": (
        "train",
        "DataError",
        "There is no labelled voxel to learn from (samples: box-1). Give labels.",
        "check_data",
    ),
    "class missing": (
        "train",
        "UsageError",
        "There are classes from 1 to 3. Give a weight for each of them.",
        "check_data",
    ),
    "disk full": (
        "predict",
        "StorageError",
        "Writing p.zarr failed: No space left on device. 3 MiB are free there.",
        "resume",
    ),
    "output exists": ("predict", "OutputExistsError", "There is something else at p.zarr.", "new_name"),
    "network lost": ("predict", "DataError", "Reading https://h01/x failed: connection reset.", "resume"),
    "plugin broken": (
        "train",
        "PluginError",
        "The architecture smp:x needs a package that is missing. pip install it.",
        "show_plugins",
    ),
    "voxel size": ("train", "DataError", "a and b have voxels of (8, 8, 8) and (4, 4, 4) nm (z, y, x).", "check_data"),
    "loss is not a number": (
        "train",
        "DivergedError",
        "The loss of step 812 is nan. The last good state is kept.",
        "lower_rate",
    ),
    "in use": (
        "train",
        "BusyError",
        "The run run-1 is in use by process 7 on wk3. Wait until that has ended.",
        "resume",
    ),
    "dtype": ("segment", "DataError", "The prediction has the dtype int64; floating numbers are needed.", "check_data"),
    "tiles too large": (
        "predict",
        "UsageError",
        "A tile of (64, 64, 64) voxels (z, y, x) takes about 9.0 GiB of memory, and 3.0 GiB are free.",
        "smaller_blocks",
    ),
    "parts missing": ("predict", "IncompleteError", "2 of 64 blocks failed three times.", "resume"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_point_37_a_known_failure_is_a_sentence_with_a_way_out(name: str, tmp_path: Path) -> None:
    kind, error, message, key = FAILURES[name]
    job = Job(tmp_path, kind, f"{kind} something", [kind, "a", "b"], tmp_path / "out")
    job.failure = {"type": error, "message": message, "details": "Traceback (most recent call last): ..."}
    problem = problem_of_job(job)
    assert problem.sentence == message
    assert problem.fixes[0].key == key
    assert problem.fixes[0].value is job
    assert "Traceback" in problem.details
    assert problem.page in ("Train", "Predict")


def test_a_failure_that_nobody_knows_can_be_tried_again(tmp_path: Path) -> None:
    job = Job(tmp_path, "trace", "trace objects", ["trace"], tmp_path / "out")
    job.failure = {"type": "ZeroDivisionError", "message": "ZeroDivisionError: division by zero\nin a line of code"}
    problem = problem_of_job(job)
    assert problem.sentence == "ZeroDivisionError: division by zero"
    assert [fix.label for fix in problem.fixes] == ["Try again"]
