"""``segkit predict``: what it says before, what it writes, and the report on seams."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import segkit
from segkit import Model, Volume
from segkit.cli import main
from segkit.contracts import Normalization
from segkit.errors import UsageError
from segkit.recipe import Selection


@pytest.fixture
def model(tmp_path: Path) -> Model:
    torch.manual_seed(1)
    options = {"width": 2, "depth": 1, "normalization": "none"}
    choice = Selection("unet:unet", segkit.architectures["unet"].bind(options))
    task = Selection("tasks:semantic", segkit.tasks["semantic"].bind({}))
    network = choice.build("architectures", 1, 1).eval()
    scaling = Normalization((100.0,), (50.0,))
    model = Model(network, task, choice, task.build("tasks"), 1, scaling, (16, 16, 16))
    model.save(tmp_path / "model")
    return model


@pytest.fixture
def image(tmp_path: Path, rng: np.random.Generator) -> Volume:
    return segkit.write_volume(
        Volume.from_array(rng.integers(0, 255, (24, 30, 26), np.uint8)), tmp_path / "image.zarr", pyramid=1
    )


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_it_says_what_it_will_take_and_predicts(model: Model, image: Volume, tmp_path: Path, capsys) -> None:
    target = tmp_path / "out.zarr"
    command = ["predict", tmp_path / "model", image.source, target, "--block", 16, 16, 16]
    assert run(*command, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "8 tiles of 20 x 20 x 20, 3.42 times the image" in said
    assert "GiB free" in said
    assert not target.exists()
    assert run(*command, "--dtype", "float16", "--blend", "linear") == 0
    told = capsys.readouterr()
    assert "8 tiles of" in told.err
    assert "out.zarr: 1 x 24 x 30 x 26 (foreground)" in told.out
    expected = model(image, block_shape=(16, 16, 16), blend="linear").read()
    np.testing.assert_allclose(segkit.open_volume(target).read().astype(np.float32), expected, atol=5e-4)
    assert run(*command, "--dtype", "float16", "--blend", "gaussian") == 73
    assert "blend was 'linear', now 'gaussian'" in capsys.readouterr().err


def test_it_reports_seams(model: Model, image: Volume, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "seams"
    command = ["predict", tmp_path / "model", image.source, folder, "--block", 8, 8, 8, "--halo", 0, 0, 0]
    assert run(*command, "--seams", "--region", "z:16") == 0
    assert capsys.readouterr().out.startswith("at faces")
    assert json.loads((folder / "seams.json").read_text())["faces"]["mean"] > 0
    assert (folder / "seams.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["affinities", "centre_offsets"])
def test_outputs_that_belong_to_directions_are_not_averaged(model: Model, image: Volume, name: str) -> None:
    with pytest.raises(UsageError, match="belong to directions"):
        replace(model, task=segkit.tasks[name]())(image, augmentation="flips")
