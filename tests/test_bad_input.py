"""What people get wrong: one line on stderr, the promised exit code, and nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tomli_w

from segkit.cli import main

SHAPE = (12, 24, 24)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    g = np.random.default_rng(0)
    labels = (g.normal(size=SHAPE) > 0.5).astype(np.uint8)
    np.save("labels.npy", labels)
    np.save("raw.npy", (100 * labels + g.normal(80, 10, SHAPE)).clip(0, 255).astype(np.uint8))
    return tmp_path


def write_recipe(**changes: Any) -> None:
    tables: dict[str, Any] = {
        "task": {"name": "semantic"},
        "architecture": {"name": "unet", "width": 4, "depth": 2},
        "loss": {"name": "bce"},
        "dataset": {"name": "files", "raw": "raw.npy", "labels": "labels.npy"},
        "sampling": {"patch_shape": [4, 16, 16], "batch_size": 1},
        "training": {"steps": 2, "validate_every": 2},
    }
    for key, value in changes.items():
        tables[key] = {**tables.get(key, {}), **value} if isinstance(value, dict) else value
    Path("recipe.toml").write_text(tomli_w.dumps(tables))


def run(capsys, *args: str) -> tuple[int, str]:
    """Run the command line; return the exit code and what it said on stderr."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    return int(stopped.value.code or 0), capsys.readouterr().err


def refused(capsys, code: int, *words: str, args: tuple[str, ...] = ("train", "recipe.toml", "--run", "run")) -> None:
    found, said = run(capsys, *args)
    assert found == code, said
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    for word in words:
        assert word in lines[0]


def test_the_recipe_of_these_tests_works(data, capsys):
    write_recipe()
    assert run(capsys, "train", "recipe.toml", "--run", "run")[0] == 0


def test_missing_and_unreadable_files(data, capsys):
    refused(capsys, 65, "There is no recipe nothing.toml", args=("train", "nothing.toml"))
    write_recipe(dataset={"raw": "rwa.npy"})
    refused(capsys, 65, "rwa.npy")
    Path("broken.tif").write_bytes(b"II*\x00\xff\xff\xff\xff not a picture")
    write_recipe(dataset={"raw": "broken.tif"})
    refused(capsys, 65, "broken.tif")
    tifffile.imwrite("whole.tif", np.load("raw.npy"), compression="zlib")
    Path("cut.tif").write_bytes(Path("whole.tif").read_bytes()[:900])
    refused(capsys, 65, "cut.tif", args=("info", "cut.tif"))
    Path("cut.npy").write_bytes(Path("raw.npy").read_bytes()[:500])
    write_recipe(dataset={"raw": "cut.npy"})
    refused(capsys, 65, "cut.npy")
    Path("notes.docx").write_text("hello")
    refused(capsys, 2, "No installed format can open notes.docx", args=("info", "notes.docx"))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"dataset": {"unlabelled": 0}, "task": {}}, 0, ()),
        ({"sampling": {"patch_shape": [4, 32, 16]}}, 2, ("patch_shape", "would fit")),
        ({"architecture": {"name": "unett"}}, 2, ("no architecture 'unett'", "Did you mean")),
        ({"architecture": {"widht": 3}}, 2, ("no option `architecture.widht`", "Did you mean 'width'")),
        ({"architecture": {"width": "wide"}}, 2, ("`architecture.width` is 'wide'", "int")),
        ({"trainin": {"steps": 3}}, 2, ("no entry `trainin`", "Did you mean 'training'")),
        ({"optimizer": {"learning_rate": -1.0}}, 2, ("`optimizer.learning_rate` is -1.0",)),
    ],
)
def test_recipes_that_do_not_fit(data, capsys, change, code, words):
    write_recipe(**change)
    if code:
        refused(capsys, code, *words)
    else:
        assert run(capsys, "train", "recipe.toml", "--run", "run")[0] == 0
    assert not (Path("run") / "checkpoints").exists() or code == 0


def test_data_that_cannot_be_learnt_from(data, capsys):
    raw, labels = np.load("raw.npy"), np.load("labels.npy")
    write_recipe()
    np.save("labels.npy", labels[:, :-1])
    refused(capsys, 65, "labels.npy", "(12, 24, 24)", "(12, 23, 24)")
    np.save("labels.npy", np.full_like(labels, 9))
    write_recipe(dataset={"unlabelled": 9})
    refused(capsys, 65, "no labelled voxel")
    write_recipe()
    np.save("labels.npy", labels)
    np.save("raw.npy", np.full_like(raw, 5))
    refused(capsys, 65, "constant", "raw.npy")
    spoilt = raw.astype(np.float32)
    spoilt[3, 4, 5] = np.nan
    np.save("raw.npy", spoilt)
    refused(capsys, 65, "NaN", "raw.npy", "(3, 4, 5)")
    # What was wrong is corrected: the same folder works, and no second one is needed.
    np.save("raw.npy", raw)
    write_recipe(sampling={"batch_size": 2})
    assert run(capsys, "train", "recipe.toml", "--run", "run")[0] == 0


@pytest.fixture
def trained(data, capsys) -> Path:
    write_recipe()
    assert run(capsys, "train", "recipe.toml", "--run", "run")[0] == 0
    return data


def test_using_a_model_wrongly(trained, capsys):
    np.save("rgb.npy", np.zeros((3, *SHAPE), np.uint8))
    refused(capsys, 65, "1 channels", "rgb.npy has 3", args=("predict", "run", "rgb.npy", "out.zarr"))
    refused(capsys, 65, "no trained model", args=("predict", "nowhere", "raw.npy", "out.zarr"))
    refused(capsys, 65, "missing.npy", args=("predict", "run", "missing.npy", "out.zarr"))
    refused(capsys, 2, "region 'z0:99'", args=("predict", "run", "raw.npy", "out.zarr", "--region", "z0:99"))
    assert not Path("out.zarr").exists()
    weights = Path("run/model/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    refused(capsys, 65, "incomplete or damaged", args=("predict", "run", "raw.npy", "out.zarr"))


def test_outputs_that_exist(trained, capsys):
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("important")
    refused(capsys, 73, "thesis", args=("train", "recipe.toml", "--run", "thesis"))
    refused(capsys, 73, "thesis", args=("predict", "run", "raw.npy", "thesis"))
    assert sorted(path.name for path in Path("thesis").iterdir()) == ["chapter.txt"]
    write_recipe(architecture={"width": 8})
    refused(capsys, 2, "started with another recipe", "architecture.width: 4 -> 8")
    assert run(capsys, "predict", "run", "raw.npy", "out.zarr")[0] == 0
    shutil.copytree("run", "other")
    description = json.loads(Path("other/model/model.json").read_text())
    Path("other/model/model.json").write_text(json.dumps(description | {"details": {}}))
    refused(capsys, 73, "out.zarr", "other settings", args=("predict", "other", "raw.npy", "out.zarr"))
    assert run(capsys, "predict", "other", "raw.npy", "out.zarr", "--overwrite")[0] == 0


def test_a_run_in_use(trained, capsys):
    from segkit.durable import lock

    with lock(Path("run/lock"), "the run"):
        refused(capsys, 75, "in use by process")


def test_a_full_disk(trained, capsys, monkeypatch):
    from segkit.durable import faults

    monkeypatch.setattr(faults, "mode", "enospc")
    for number in (3, 9, 15):
        monkeypatch.setattr(faults, "at", faults.count + number)
        refused(capsys, 74, "MiB are free", args=("train", "recipe.toml", "--run", f"full{number}"))
        monkeypatch.setattr(faults, "at", faults.count + number)
        refused(capsys, 74, args=("predict", "run", "raw.npy", f"full{number}.zarr"))
    monkeypatch.setattr(faults, "at", 0)
    assert run(capsys, "train", "recipe.toml", "--run", "full9")[0] == 0
    assert run(capsys, "predict", "run", "raw.npy", "full9.zarr")[0] == 0


def test_words_the_command_line_does_not_know(capsys):
    for args, word in (
        (("trian",), "Did you mean 'train'"),
        (("train",), "Missing argument 'RECIPE'"),
        (("show", "unett"), "unett"),
        (("list", "losess"), "losess"),
    ):
        code, said = run(capsys, *args)
        assert code == 2, said
        assert word in said
        assert "Traceback" not in said
