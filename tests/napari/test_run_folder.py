"""The run folder as the viewer reads it, and the request it leaves there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from napari_segkit.session._writing import writer
from napari_segkit.session.trainings._run_folder import contents_of, is_run, read_preview, runs_in, write_request
from segkit import Box
from segkit.errors import DataError


def make_run(folder: Path, recipe: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "recipe.toml").write_text(recipe)
    return folder


def test_runs_are_listed_the_latest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["c", "a", "b"]):
        make_run(tmp_path / name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    (tmp_path / "no run").mkdir()
    assert [run.name for run in runs_in(tmp_path)] == ["c", "a", "b"]
    assert runs_in(tmp_path / "missing") == []
    assert not is_run(tmp_path / "no run")


def test_contents_name_data_and_results(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", '[dataset]\nname = "files"\nraw = "/d/raw.zarr"\nlabels = "none"\n')
    for name in ("prediction-a.zarr", "segmentation-a.zarr", "traces-a", "model"):
        (run / name).mkdir()
    found = contents_of(run)
    assert (found.raw, found.labels) == ("/d/raw.zarr", "")
    assert [path.name for path in found.predictions] == ["prediction-a.zarr"]
    assert [path.name for path in found.segmentations] == ["segmentation-a.zarr"]
    assert [path.name for path in found.traces] == ["traces-a"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run.json"):
        contents_of(tmp_path)
    with pytest.raises(DataError, match="recipe.toml cannot be read"):
        contents_of(make_run(tmp_path / "run", "= broken"))


def test_a_request_replaces_the_one_before(tmp_path: Path) -> None:
    write_request(tmp_path, "raw.zarr", Box((0, 1, 2), (1, 5, 6)), "1")
    write_request(tmp_path, "raw.zarr", Box((7, 1, 2), (8, 5, 6)), "2")
    writer.finish()
    body = json.loads((tmp_path / "preview" / "request.json").read_text())
    assert body == {"request": "2", "source": "raw.zarr", "start": [7, 1, 2], "shape": [1, 4, 4], "every": 1}
    assert [path.name for path in (tmp_path / "preview").iterdir()] == ["request.json"]


def test_an_answer_is_read_once_it_fits_its_record(tmp_path: Path) -> None:
    voxels = np.arange(2 * 16, dtype=np.uint8).reshape(2, 1, 4, 4)
    (tmp_path / "preview").mkdir()
    path = tmp_path / "preview" / "prediction.npy"
    record = {"event": "preview", "step": 3, "path": str(path), "start": [5, 0, 0], "shape": [1, 4, 4]}
    assert read_preview(tmp_path, record) is None
    np.save(path, voxels)
    box, found = read_preview(tmp_path, record)
    assert box == Box((5, 0, 0), (6, 4, 4))
    np.testing.assert_array_equal(found, voxels)
    assert read_preview(tmp_path, record | {"shape": [1, 8, 8]}) is None
    path.write_bytes(b"\x93NUMPY torn")
    assert read_preview(tmp_path, record) is None
