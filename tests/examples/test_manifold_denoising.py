"""The example of deep denoisers: its files fit together, and its commands do what its README says, in a quick size."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.recipe import load_recipe
from segkit.sweeping import SweepFolder, load_plan

FOLDER = Path(__file__).parents[2] / "examples" / "manifold_denoising"
SWEEPS = sorted(path for path in FOLDER.glob("*.toml") if path.name != "recipe.toml")


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_configuration_of_a_sweep_is_one_that_can_be_trained(path: Path) -> None:
    plan = load_plan(path)
    recipes = [plan.recipe_of(values, plan.recipe.seed) for values in plan.configurations()]
    assert len(recipes) == plan.trials > 3
    for recipe in recipes:
        if recipe.architecture.options["depth"] <= 8 and recipe.initializer is not None:
            network = recipe.architecture.build("architectures", 16, 16)
            recipe.initializer.build("initializers")(network)


def test_test_points_are_not_those_of_training_or_validation() -> None:
    recipe = load_recipe(FOLDER / "recipe.toml")
    assert recipe.validation_dataset is not None
    draws = [choice.options["draw"] for choice in (recipe.dataset, recipe.validation_dataset)]
    assert draws == [0, 1]
    assert {**recipe.dataset.options, "draw": 1, "points": 8192} == dict(recipe.validation_dataset.options)
    sys.path.insert(0, str(FOLDER))
    try:
        from score import TEST_DRAW, bounds
    finally:
        sys.path.remove(str(FOLDER))
    assert TEST_DRAW not in draws
    # A circle in 8 dimensions: of the noise, the part along it stays, 1 in 8; a linear map keeps the plane, 2 in 8.
    circle = {"manifold": "circle", "dimensions": 8, "points": 20_000, "noise": 0.1}
    found = bounds(tuple(circle.items()))
    assert found["doing nothing"] == pytest.approx(0.01, rel=0.05)
    assert found["linear"] == pytest.approx(0.01 * 2 / 8, rel=0.08)
    assert found["best possible"] == pytest.approx(0.01 / 8, rel=0.08)
    assert found["best possible"] <= found["projection"]


def run(*arguments: object, code: int = 0) -> str:
    """Run a command as a newcomer would, in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, arguments)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_readme_in_a_quick_size(tmp_path: Path) -> None:
    segkit_command = Path(sys.executable).with_name("segkit")
    small = ("-o", "training.steps=60", "-o", "training.validate_every=30", "-o", "dataset.points=8192")
    depths = ("--vary", "architecture.depth=2,16", "--seeds", "2", "--threads", "1", *small)
    sweep = (segkit_command, "sweep", FOLDER / "depths.toml", *depths, "--folder", tmp_path / "depths")
    normalized = (segkit_command, "sweep", FOLDER / "normalized.toml", *depths, "--folder", tmp_path / "normalized")
    # Killed where it stands, twice, it goes on, and what had ended is as it was.
    kept: list[str] = []
    for _ in range(2):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*map(str, sweep)], timeout=6, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
        path = tmp_path / "depths" / "trials.jsonl"
        journal = path.read_text().splitlines() if path.exists() else []
        assert journal[: len(kept)] == kept
        kept = journal
    run(*sweep)
    trials = SweepFolder(tmp_path / "depths").trials()
    assert len(trials) == 6
    assert all(sorted(trial.outcomes) == [0, 1] for trial in trials)
    ended = [line for line in (tmp_path / "depths" / "trials.jsonl").read_text().splitlines() if '"ended"' in line]
    assert len(ended) == 12
    run(*normalized, "-o", "initializer.name=kaiming")

    run(sys.executable, FOLDER / "score.py", tmp_path / "out", tmp_path / "depths", tmp_path / "normalized")
    run(sys.executable, FOLDER / "pictures.py", tmp_path / "out")
    for name in ("depths", "points", "curves"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10_000
    with (tmp_path / "out" / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    losses = {
        name: np.mean(
            [
                float(r["test"])
                for r in rows
                if (r["initializer"], r["normalization"], r["depth"]) == (name, "none", "16")
            ]
        )
        for name in ("kaiming", "fixup")
    }
    assert losses["fixup"] < losses["kaiming"] / 2
    assert shutil.which(str(segkit_command))
    assert segkit.Model.load(rows[0]["run"]).in_channels == 16
