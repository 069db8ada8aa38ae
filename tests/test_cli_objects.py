"""``segkit segment`` and ``segkit trace``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from segkit import Volume, read_swc, write_volume
from segkit.cli import main
from segkit.store import open_zarr


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def prediction(tmp_path: Path) -> Path:
    foreground = np.zeros((12, 20, 40), np.float32)
    foreground[4:7, 4:7, 3:37] = 1
    foreground[4:7, 12:15, 3:37] = 1
    foreground[9, 17, 2:5] = 0.8
    write_volume(Volume.from_array(foreground, voxel_size=(10.0, 10.0, 10.0)), tmp_path / "prediction.zarr")
    return tmp_path / "prediction.zarr"


def test_from_prediction_to_traces(prediction: Path, capsys) -> None:
    cells, traces = prediction.with_name("cells.zarr"), prediction.with_name("traces")
    assert run("segment", prediction, cells, "--min-size", 10, "-o", "threshold=0.6", "--block", 8, 12, 16) == 0
    assert "cells.zarr: 2 objects in 12 x 20 x 40 voxels" in capsys.readouterr().out
    expected = ndimage.label(open_zarr(prediction).read() > 0.9)[0]
    np.testing.assert_array_equal(open_zarr(cells).read(), expected)
    assert run("trace", cells, traces) == 0
    assert "2 objects traced, 0.6" in capsys.readouterr().out
    assert read_swc(traces / "2.swc")[0].cable_length == pytest.approx(310, abs=25)
    assert (traces / "table.csv").read_text().startswith("id,cable_length_um,")
    assert run("trace", cells, traces) == 0  # nothing is left to do


def test_failures_have_codes(prediction: Path, capsys) -> None:
    cells = prediction.with_name("cells.zarr")
    assert run("segment", prediction, cells, "--with", "watershd") == 2
    assert "Did you mean 'watershed'" in capsys.readouterr().err
    assert run("segment", prediction, cells, "-o", "connectivity=7") == 2
    assert run("segment", prediction, cells, "-o", "treshold=7") == 2
    assert run("segment", prediction, cells) == 0
    assert run("segment", prediction, cells, "-o", "connectivity=26") == 73
    assert run("segment", prediction, cells, "-o", "connectivity=26", "--overwrite") == 0
    assert run("trace", prediction, prediction.with_name("traces")) == 65
    assert "segkit segment" in capsys.readouterr().err
    assert run("trace", cells, prediction.with_name("traces"), "--id", 99) == 65
