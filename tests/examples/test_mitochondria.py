"""The mitochondria example: its recipes agree, its scripts count rightly, and its quick mode runs through."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segkit.geometry import Box
from segkit.recipe import load_recipe
from segkit.sampling import split_samples

FOLDER = Path(__file__).parents[2] / "examples" / "mitochondria"
SCRIPTS = ("compare", "generate", "held_out", "patches")


@pytest.fixture
def script(monkeypatch):
    """Import a script of the example, whose name other examples may use too."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in SCRIPTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.fixture
def quick(tmp_path, script):
    """The quick recipe beside its stack."""
    script("generate").main(tmp_path / "quick")
    shutil.copy(FOLDER / "quick.toml", tmp_path)
    return tmp_path / "quick.toml"


SLAB = {"dataset.tiles": "none", "split.by": "end", "split.share": "0.25", "split.gap": "4"}


def test_both_splits_differ_in_nothing_else():
    random, slab = load_recipe(FOLDER / "random.toml"), load_recipe(FOLDER / "slab.toml")
    changed = {difference.partition(":")[0] for difference in random.differences(slab)}
    assert changed == {"dataset.tiles", "split.by", "split.share", "split.gap"}
    small = load_recipe(FOLDER / "small.toml")
    assert small.split == random.split
    assert small.dataset == random.dataset


def test_a_random_patch_has_its_neighbour_in_training(quick, script):
    held_out = script("held_out").held_out
    patches = list(held_out(quick))
    assert len(patches) == round(0.1 * 48 * 2 * 3)
    distances = [patch.distance for patch in patches]
    assert np.median(distances) == 1
    recipe = load_recipe(quick)
    train, held = split_samples(list(recipe.dataset.build("datasets")), recipe.split, recipe.sampling.patch_shape)
    places = {script("held_out").place_of(sample) for sample in train}
    for patch, sample in zip(patches, held, strict=True):
        assert patch.place == script("held_out").place_of(sample)
        for side in (-1, 1):
            neighbour = patch.place.shift((side * patch.distance, 0, 0))
            if neighbour in places:
                break
        else:
            pytest.fail(f"{patch.place} has no neighbour {patch.distance} slices away")

    text = quick.read_text().replace("tiles = [1, 64, 64]\n", "").replace('"random"', '"end"')
    slab = quick.with_name("slab.toml")
    slab.write_text(text.replace("share = 0.1", "share = 0.25\ngap = 4"))
    far = list(held_out(slab))
    assert sorted({patch.distance for patch in far}) == list(range(5, 17))  # 12 slices behind a gap of 4
    assert {patch.place.start[0] - patch.distance for patch in far} == {31}
    jaccard = script("compare").jaccard
    near, apart = (jaccard([(patch.copied, patch) for patch in some]) for some in (patches, far))
    assert near > 0.7
    assert apart < 0.35


def test_what_is_wrong_with_products_of_probabilities(script):
    compare, held_out = script("compare"), script("held_out")

    def patch(truth, predicted):
        arrays = [np.array(values, np.float32).reshape(1, 1, 1, -1) for values in (truth, predicted)]
        return held_out.HeldOut(
            Box.of_shape((1, 1, 4), (0, 0, 0)),
            arrays[0],
            arrays[0],
            np.ones_like(arrays[0], bool),
            1,
            arrays[0],
            arrays[1],
        )

    full, empty = patch([1, 1, 0, 0], [0.8, 0.8, 0.2, 0.2]), patch([0, 0, 0, 0], [0.2, 0.2, 0.2, 0.2])
    patches = [full, empty]
    assert compare.jaccard([(p.predicted, p) for p in patches]) == 1  # every voxel is right
    assert compare.soft_jaccard(patches, 2) == pytest.approx(1.6 / (2.8 + 2 - 1.6))
    assert compare.soft_jaccard(patches, 1) == pytest.approx((1.6 / (2 + 2 - 1.6) + 0) / 2)


def run(*command, cwd):
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_quick_mode(quick, tmp_path):
    options = [part for key, value in SLAB.items() for part in ("-o", f"{key}={value}")]
    run("-m", "segkit", "train", quick, "--run", "runs/random", cwd=tmp_path)
    run("-m", "segkit", "train", quick, "--run", "runs/slab", *options, cwd=tmp_path)
    told = run(FOLDER / "compare.py", "runs/random", "runs/slab", "--picture", "gap.png", cwd=tmp_path)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in told.splitlines()[2:]]
    assert [row[0] for row in rows] == ["random", "slab"]
    for row in rows:
        copied, network, product = float(row[3]), float(row[4]), float(row[5])
        assert 0.3 < network <= 1
        assert product < network  # probabilities are never quite 0 or 1
        assert (copied > 0.6) == (row[0] == "random")
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
    run(FOLDER / "patches.py", "runs/slab", "patches.png", cwd=tmp_path)
    assert (tmp_path / "patches.png").read_bytes().startswith(b"\x89PNG")
    vary = ["--vary", "architecture.name=unet,attention_resunet", "--vary", "optimizer.learning_rate=1e-3,5e-3"]
    few = ["-o", "training.steps=20", "-o", "training.validate_every=2"]
    run("-m", "segkit", "sweep", quick, *vary, "--seeds", "1", "--folder", "sweeps/few", *few, cwd=tmp_path)
    table = (tmp_path / "sweeps" / "few" / "training_summary.csv").read_text().splitlines()
    assert len(table) == 1 + 4
