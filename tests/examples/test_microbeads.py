"""The microbead example: its variants differ in what they say, and its commands run through on generated beads."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from scipy import ndimage

import segkit
from segkit.planning import RULES
from segkit.recipe import load_recipe

FOLDER = Path(__file__).parents[2] / "examples" / "microbeads"
PARTS = {"raw": "images", "labels": "labels"}
DATA = {f"dataset.{key}": f"{part}/*.tif" for key, part in PARTS.items()}


@pytest.fixture
def script(monkeypatch):
    """Import a script of the example, whose name other examples may use too."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("study", "pictures", "unpack_nuclei"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in ("study", "pictures", "unpack_nuclei"):
        sys.modules.pop(name, None)


def changed(one, other) -> set[str]:
    length = {"training.steps", "training.validate_every"}
    return {difference.partition(":")[0] for difference in one.differences(other)} - length


def test_each_variant_is_one_step_from_its_end(script):
    study = script("study")
    recipes = {name: study.recipe_of("beads", change, 0, 3200, {}) for name, change in study.variants().items()}
    both = changed(recipes["failing"], recipes["recalibrated"])
    plain = {"architecture.dropout", "optimizer.learning_rate", "sampling.batch_size", "split.by"}
    assert plain < both
    assert {key.split(".")[0] for key in both - plain} == {"loss"}
    for end in ("failing", "recalibrated"):
        steps = [changed(recipes[end], recipes[f"{end}_{name}"]) for name in study.SETTINGS]
        assert set().union(*steps) == both
        assert sum(map(len, steps)) == len(both)
    for recipe in recipes.values():
        assert recipe.training.steps * recipe.sampling.batch_size == 3200


def test_the_recipe_of_beads_is_what_the_rule_says():
    recipe = load_recipe(FOLDER / "beads.toml")
    assert not changed(recipe, RULES["dense_objects"].recipe(recipe))


def test_nuclei_that_are_scored_are_none_that_were_learnt(script, tmp_path):
    study = script("study")
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        for first in "0123456789abcdef":
            tifffile.imwrite(tmp_path / part / f"{first}0.tif", np.zeros((8, 8), np.uint8))
    places = {f"dataset.{key}": f"{tmp_path}/{part}/{study.LEARNT}.tif" for key, part in PARTS.items()}
    recipe = study.recipe_of("nuclei", study.variants()["recalibrated"], 0, 3200, places)
    learnt, tested = (
        [s.name for s in found] for found in (recipe.dataset.build("datasets"), study.test_samples(recipe))
    )
    assert (len(learnt), tested) == (13, ["d0.tif", "e0.tif", "f0.tif"])
    assert not set(learnt) & set(tested)


@pytest.mark.parametrize("name", ["beads", "nuclei", "detection"])
def test_recipes_fit(name):
    recipe = load_recipe(FOLDER / f"{name}.toml", {} if name == "beads" else DATA)
    assert (recipe.split.by, recipe.split.share, recipe.training.patience) == ("density", 0.15, 20)


def test_both_ends_are_trained_and_scored(script, tmp_path, monkeypatch, capsys):
    study = script("study")
    small = [
        "-o",
        "architecture.width=2",
        "-o",
        "dataset.count=8",
        "-o",
        "dataset.shape=48,48",
        "-o",
        "dataset.most=14",
    ]
    arguments = ["study.py", str(tmp_path / "study"), "--quick", "--patches", "64", *small]
    monkeypatch.setattr(study, "TEST_IMAGES", 2)
    monkeypatch.setattr(sys, "argv", arguments)
    study.main()
    first = capsys.readouterr().out
    assert first.count("\n| failing") == first.count("\n| recalibrated") == 1
    for row in study.rows_of(tmp_path / "study" / "results.csv"):
        assert 0 <= float(row["jaccard"]) <= float(row["best_jaccard"]) <= 1
    monkeypatch.setattr(study, "fit", None)  # nothing is trained twice
    study.main()
    assert capsys.readouterr().out == first
    picture = tmp_path / "outlines.png"
    script("pictures").nuclei(picture, [tmp_path / "study" / "failing" / "seed0"])
    assert picture.stat().st_size > 5000


@pytest.fixture
def marked(tmp_path):
    """Write images of beads, and marks at their centres: a part to learn from and another to score."""
    for part, seed in (("train", 0), ("val", 1)):
        folder = tmp_path / "beadnet" / part
        folder.mkdir(parents=True)
        options = {"count": 10, "shape": (64, 64), "fewest": 6, "most": 10, "clustering": 0.0}
        for number, sample in enumerate(segkit.datasets["synthetic_beads"](seed=seed, **options)):
            labels = sample.labels.read()[0]
            places = np.rint(ndimage.center_of_mass(labels > 0, labels, np.unique(labels[labels > 0]))).astype(int)
            marks = np.zeros_like(labels)
            marks[tuple(places.T)] = 1
            tifffile.imwrite(folder / f"img_{number}.tif", sample.raw.read()[0])
            tifffile.imwrite(folder / f"mask_{number}.tif", marks)
    return tmp_path / "beadnet"


@pytest.mark.slow
def test_beads_of_which_centres_are_marked_are_detected(marked, tmp_path, script):
    def run(*arguments: object) -> None:
        subprocess.run([sys.executable, "-m", "segkit", *map(str, arguments)], check=True, cwd=tmp_path, timeout=110)

    options = {"sampling.batch_size": 8, "training.steps": 200, "training.validate_every": 50}
    options |= {"optimizer.learning_rate": 1e-2, "architecture.dropout": 0}
    options |= {"dataset.raw": f"{marked}/train/img_*.tif", "dataset.labels": f"{marked}/train/mask_*.tif"}
    pairs = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    run("train", FOLDER / "detection.toml", "--run", "run", *pairs)
    run("predict", "run", f"{marked}/val/img_*.tif", "found.zarr")
    run("segment", "found.zarr", "beads.zarr", "-o", "connectivity=4")
    run("segment", f"{marked}/val/mask_*.tif", "marks.zarr", "-o", "connectivity=4")
    run(*("evaluate", "beads.zarr", "marks.zarr"), *("--compare", "points", "--in-plane", "--json", "scores.json"))
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert scores["detection_f1"] > 0.7
    script("pictures").detection(tmp_path / "found.png", tmp_path / "run", marked / "val")
    assert (tmp_path / "found.png").stat().st_size > 5000


def test_masks_become_labels(script, tmp_path):
    unpack = script("unpack_nuclei")
    masks = np.zeros((2, 9, 9), np.uint8)
    masks[0, 1:3, 1:4], masks[1, 5:8, 5:8] = 255, 255
    for name in unpack.WANTED:
        folder = tmp_path / "stage1_train" / f"{name}0123"
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        imageio.imwrite(folder / "images" / "a.png", masks.max(0))
        for number, mask in enumerate(masks):
            imageio.imwrite(folder / "masks" / f"{number}.png", mask)
    assert unpack.unpack(tmp_path / "stage1_train", tmp_path / "data") == 179
    samples = load_recipe(
        FOLDER / "nuclei.toml",
        {"dataset.raw": f"{tmp_path}/data/images/*.png", "dataset.labels": f"{tmp_path}/data/labels/*.tif"},
    ).dataset.build("datasets")
    assert len(samples) == 179
    labels = samples[7].labels.read()
    assert [(labels == i).sum() for i in (1, 2)] == [6, 9]
    shutil.rmtree(tmp_path / "stage1_train" / f"{unpack.WANTED[3]}0123")
    with pytest.raises(segkit.errors.DataError, match="stage1_train"):
        unpack.unpack(tmp_path / "stage1_train", tmp_path / "data")
