"""The recipes of the neuron tracing example: they load, fit together, and train."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit import Model
from segkit.contracts import channels_for
from segkit.recipe import load_recipe
from segkit.registry import registries
from segkit.training import fit

FOLDER = Path(__file__).parents[1] / "examples" / "h01_neuron_tracing"
RECIPES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_load_and_fit_together(path):
    recipe = load_recipe(path)
    assert recipe.differences(load_recipe(path)) == []
    task = recipe.task.build("tasks")
    if channels_for(task, 1) == 2:
        view, deltas = task.movement.field_of_view, task.movement.deltas
        # Two of the measured recipes leave seeds where they were drawn.
        steps = 2 if path.stem in ("narrow", "fib25") else 3
        assert recipe.sampling.patch_shape == tuple(v + steps * d for v, d in zip(view, deltas, strict=True))
        assert recipe.sampling.balance == "objects"
    for choice in recipe.augmentation:
        choice.build("augmentations")
    for choice in recipe.loss:
        choice.build("losses")
    if recipe.architecture.options["width"] <= 16:
        network = recipe.architecture.build("architectures", channels_for(task, 1), task.out_channels)
        assert sum(p.numel() for p in network.parameters()) < 500_000
    named = [recipe.dataset, *([recipe.validation_dataset] if recipe.validation_dataset else [])]
    for choice in named:
        raw = choice.options.get("raw", "")
        assert "://" in raw or not raw or Path(raw.rpartition(":")[0]).exists(), raw
    assert "flood_fill" in registries["segmenters"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["narrow", "narrow_v2", "fib25", "fib25_boundaries"])
def test_a_few_steps(name, tmp_path):
    few = {
        "training.steps": "6",
        "training.validate_every": "3",
        "training.validation_patches": "4",
        "training.device": "cpu",
        "schedule.warmup": "2",
    }
    if name.startswith("narrow"):
        few |= {"dataset.count": "2", "validation_dataset.count": "1"}
    run = fit(load_recipe(FOLDER / f"{name}.toml", few), tmp_path / "run")
    assert run.state().finished == "completed"
    assert sorted(run.state().validations) == [3, 6]
    for package in ("model", "final"):
        model = Model.load(tmp_path / "run" / package)
        assert model.task_choice == run.recipe.task
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
