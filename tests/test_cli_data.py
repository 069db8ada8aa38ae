"""``segkit info`` and ``segkit convert``, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

import segkit
import segkit_formats
from segkit.cli import main
from segkit.store import open_zarr

ARRAY = np.random.default_rng(5).integers(0, 250, (20, 30, 40)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _only_formats(isolated_plugins: object) -> None:
    segkit.register(segkit_formats)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, ARRAY, photometric="minisblack")
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_converting_and_looking_at_it(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.zarr"
    command = ("convert", stack, target, "--voxel-size", 30, 8, 8, "--region", "z2:18", "--levels", 2)
    assert run(*command, "--block", 16, 16, 16, "--chunk", 8, 8, 8) == 0
    shown = capsys.readouterr()
    assert "16 x 30 x 40  (z, y, x)" in shown.out
    assert "blocks" in shown.err
    volume = open_zarr(target)
    np.testing.assert_array_equal(volume.read(), ARRAY[2:18])
    assert (volume.voxel_size, volume.offset, volume.unit) == ((30, 8, 8), (60, 0, 0), "nm")
    assert len(volume.levels) == 1

    assert run("info", target) == 0
    card = capsys.readouterr().out
    for text in (
        "uint8, 18.8 KiB",
        "30 x 8 x 8 nm",
        "0.48 x 0.24 x 0.32 µm",
        "8 x 8 x 8",
        "2; 16 x 15 x 20",
        "complete",
        "yes",
    ):
        assert text in card
    assert run("info", target, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["shape"], found["bytes"], found["metadata"]) == ([16, 30, 40], 19200, {"complete": True})


def test_a_small_copy_to_look_around_in(stack: Path, tmp_path: Path) -> None:
    assert run("convert", stack, tmp_path / "all.zarr", "--voxel-size", 30, 8, 8, "--levels", 4) == 0
    assert run("convert", stack, tmp_path / "small.zarr", "--voxel-size", 30, 8, 8, "--coarser", 3) == 0
    wanted, found = open_zarr(tmp_path / "all.zarr").levels[2], open_zarr(tmp_path / "small.zarr")
    assert wanted.spatial_shape == found.spatial_shape == (10, 4, 5)
    assert (wanted.voxel_size, wanted.offset) == (found.voxel_size, found.offset)
    assert np.array_equal(wanted.read(), found.read())
    assert run("convert", stack, tmp_path / "small.zarr", "--voxel-size", 30, 8, 8, "--coarser", 2) != 0


def test_converting_again_and_otherwise(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.zarr"
    assert run("convert", stack, target) == 0
    assert run("convert", stack, target) == 0
    capsys.readouterr()
    assert run("convert", stack, target, "--voxel-size", 30, 8, 8) == 73
    said = capsys.readouterr().err
    assert "voxel_size was" in said
    assert "--overwrite" in said
    assert said.count("\n") == 1
    assert run("convert", stack, target, "--voxel-size", 30, 8, 8, "--overwrite") == 0
    assert open_zarr(target).voxel_size == (30, 8, 8)
    tifffile.imwrite(stack, ARRAY[:9], photometric="minisblack")
    assert run("convert", stack, target, "--voxel-size", 30, 8, 8) == 73


def test_what_cannot_be_opened(tmp_path: Path, stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", tmp_path / "nothing.tif") == 65
    stack.write_bytes(stack.read_bytes()[:500])
    assert run("info", stack) == 65
    assert run("convert", stack, tmp_path / "out.zarr") == 65
    assert run("convert", tmp_path / "nothing.tif", tmp_path / "out.zarr") == 65
    assert not (tmp_path / "out.zarr").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_an_unfinished_output_says_so(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segkit.write_volume(segkit.open_volume(stack), tmp_path / "out.zarr", progress=stop)
    assert run("info", tmp_path / "out.zarr") == 0
    assert "no: run the command that writes it again" in capsys.readouterr().out


def test_runs_and_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder, model = tmp_path / "run", tmp_path / "run" / "model"
    (run_folder / "checkpoints" / "200").mkdir(parents=True)
    (run_folder / "run.json").write_text(json.dumps({"segkit": "0.1.0", "plugins": {"unet": "segkit-sdk 0.1.0"}}))
    assert run("info", run_folder) == 0
    shown = capsys.readouterr().out
    assert "run" in shown
    assert "steps 200" in shown
    assert "none yet" in shown
    model.mkdir()
    described = {
        "architecture": {"name": "unet:unet", "options": {"width": 8}},
        "in_channels": 1,
        "voxel_size": [30.0, 8.0, 8.0],
    }
    (model / "model.json").write_text(json.dumps(described))
    (model / "weights.safetensors").write_bytes(b"x" * 2048)
    for folder in (run_folder, model):
        assert run("info", folder) == 0
        shown = capsys.readouterr().out
        assert "unet:unet (width=8)" in shown
        assert "2.0 KiB" in shown
    assert run("info", run_folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"]["weights_bytes"] == 2048
    (model / "model.json").write_text("{")
    assert run("info", model) == 65
