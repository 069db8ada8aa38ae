"""What varies in a sweep: how it is written, what it means, and what is refused."""

from __future__ import annotations

import pytest

from segkit.errors import DataError, UnknownNameError, UsageError
from segkit.recipe import Recipe
from segkit.sweeping import SweepPlan, load_plan
from segkit.sweeping._entries import changed

RECIPE = """
seed = 5
task = {name = "semantic"}
architecture = {name = "unet", width = 8, depth = 2, dropout = 0.1}
loss = [{name = "dice"}, {name = "bce", weight = 0.5}]
dataset = {name = "files", raw = "raw.npy", labels = "labels.npy"}
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def grid(recipe, key: str, text: str = "") -> tuple:
    (dimension,) = load_plan(recipe, {key: text}).dimensions
    return dimension.grid


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("optimizer.learning_rate", "1e-4, 1e-3", (1e-4, 1e-3)),
        ("optimizer.learning_rate", "1e-4..1e-1", (1e-4, 1e-3, 1e-2, 1e-1)),
        ("optimizer.learning_rate", "0.2..0.5", (0.2, 0.3, 0.4, 0.5)),
        ("architecture.depth", "2..4", (2, 3, 4)),
        ("architecture.width", "2..64:6", (2, 4, 8, 16, 32, 64)),
        ("architecture.normalization", "", ("instance", "batch", "group", "none")),
        ("architecture.name", "unet,attention_unet", ("unet:unet", "unet:attention_unet")),
        ("initializer.name", "none,kaiming", (None, "initializers:kaiming")),
        ("loss.0.weight", "0.5,2", (0.5, 2.0)),
        ("loss.bce.weight", "0.5,2", (0.5, 2.0)),
        ("sampling.patch_shape", "1,64,64; 1,128,128", ((1, 64, 64), (1, 128, 128))),
        ("training.clip", "none,1", (None, 1.0)),
        ("training.compile", "", (False, True)),
        ("split.by", "random,end", ("random", "end")),
    ],
)
def test_what_a_setting_takes(recipe, key, text, expected):
    assert grid(recipe, key, text) == pytest.approx(expected) if "rate" in key else grid(recipe, key, text) == expected


def test_a_range_of_the_component_is_logarithmic_over_decades(recipe):
    width, momentum = load_plan(
        recipe, {"architecture.width": "", "optimizer.momentum": ""}, search="random"
    ).dimensions
    assert (width.low, width.high, width.log, width.whole) == (1, 1024, True, True)
    assert (momentum.low, momentum.high, momentum.log) == (0, pytest.approx(0.999), False)  # 1 itself is excluded


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({}, "Nothing varies"),
        ({"seed": "1,2"}, "how many seeds"),
        ({"optimiser.learning_rate": "1,2"}, "Did you mean 'optimizer'"),
        ({"optimizer.learning_rat": "1,2"}, "Did you mean 'learning_rate'"),
        ({"optimizer.learning_rate": ""}, "has no end"),
        ({"optimizer.learning_rate": "1e-3"}, "two or more values"),
        ({"optimizer.learning_rate": "1e-3,1e-3"}, "each once"),
        ({"optimizer.learning_rate": "1e-2..1e-3"}, "smaller end first"),
        ({"optimizer.learning_rate": "1e-3..1e-2:one"}, "behind the colon"),
        ({"optimizer.learning_rate": "-1,1"}, "greater than 0"),
        ({"optimizer.learning_rate": 3}, "takes a list of values"),
        ({"architecture.name": "unet,unett"}, "unett"),
        ({"architecture.name": ""}, "Say which architectures"),
        ({"loss.weight": "1,2"}, "must say which loss"),
        ({"dataset.raw": ""}, "no end"),
    ],
)
def test_what_is_refused(recipe, vary, message):
    with pytest.raises(UsageError, match=message):
        load_plan(recipe, vary)


def test_an_option_of_a_component_that_varies(recipe):
    plan = load_plan(recipe, {"architecture.name": "unet,ffn", "architecture.flat_modules": "2,4"})
    assert [dimension.key for dimension in plan.dimensions] == ["architecture.name", "architecture.flat_modules"]
    with pytest.raises(UnknownNameError, match="architecture.flat_modules"):  # which the U-Net does not have
        plan.recipe_of({"architecture.name": "unet:unet", "architecture.flat_modules": 2}, 0)


def test_another_component_keeps_what_both_have(recipe):
    plan = load_plan(recipe, {"architecture.name": "unet,attention_unet", "loss.0.name": "dice,focal"})
    values = {"architecture.name": "unet:attention_unet", "loss.0.name": "losses:focal"}
    other = plan.recipe_of(values, 7)
    assert (other.seed, other.architecture.name) == (7, "unet:attention_unet")
    assert {key: other.architecture.options[key] for key in ("width", "depth", "dropout")} == {
        "width": 8,
        "depth": 2,
        "dropout": 0.1,
    }
    assert [(loss.name, loss.weight) for loss in other.loss] == [("losses:focal", 1.0), ("losses:bce", 0.5)]
    assert plan.recipe.architecture.name == "unet:unet"


def test_every_combination_is_in_a_grid(recipe):
    plan = load_plan(recipe, {"architecture.depth": "1,2", "loss.1.weight": "0.5,1,2"}, seeds=2)
    found = plan.configurations()
    assert len(found) == plan.trials == 6
    assert found[1] == {"architecture.depth": 1, "loss.1.weight": 1.0}
    assert plan.seeds == (5, 6)
    assert changed(plan.recipe.to_mapping(), found[1], 5).loss[1].weight == 1.0


def test_a_sweep_file_says_the_same_as_the_command_line(recipe, tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(
        'recipe = "recipe.toml"\nsearch = "random"\ntrials = 7\n[vary]\narchitecture.depth = [1, 2]\n'
        '"loss.0.weight" = [1.0, 2.0]\noptimizer.learning_rate = "1e-4..1e-2"\ntraining.compile = ""\n'
    )
    vary = {
        "architecture.depth": "1,2",
        "loss.0.weight": "1,2",
        "optimizer.learning_rate": "1e-4..1e-2",
        "training.compile": "",
    }
    assert load_plan(file) == load_plan(recipe, vary, search="random", trials=7)
    assert load_plan(file, {"architecture.depth": "1,3"}, {"seed": "9"}, trials=8).settings.trials == 8
    file.write_text('recipe = "recipe.toml"\nseerch = "grid"\n[vary]\narchitecture.depth = [1, 2]\n')
    with pytest.raises(UnknownNameError, match="Did you mean 'search'"):
        load_plan(file)
    file.write_text("[vary]\narchitecture.depth = [1, 2]\n")
    with pytest.raises(UsageError, match="must name its recipe"):
        load_plan(file)
    file.write_text("recipe = \n")
    with pytest.raises(DataError, match="cannot be read"):
        load_plan(file)


def test_a_plan_survives_its_file_and_knows_what_differs(recipe):
    vary = {"sampling.patch_shape": "1,64,64;1,32,32", "optimizer.learning_rate": "1e-4..1e-2"}
    plan = load_plan(recipe, vary)
    again = SweepPlan.from_mapping(plan.to_mapping())
    assert again.differences(plan) == []
    assert again.configurations() == plan.configurations()
    assert plan.differences(load_plan(recipe, vary, seeds=5, keep="all")) == []
    assert plan.differences(load_plan(recipe, vary, {"architecture.depth": "3"})) == ["architecture.depth: 2 -> 3"]
    assert "search: grid -> tpe" in plan.differences(load_plan(recipe, vary, search="tpe"))
    other = plan.differences(load_plan(recipe, vary | {"optimizer.learning_rate": "1e-4,1e-3"}))
    assert other == ["optimizer.learning_rate: 0.0001 to 0.01 (log) -> 0.0001, 0.001"]
    assert plan.differences(load_plan(recipe, dict(reversed(vary.items())))) == ["the settings stand in another order"]


def test_locations_start_from_the_file(recipe, tmp_path):
    (dimension,) = load_plan(recipe, {"dataset.raw": "a.npy,b.npy"}).dimensions
    assert dimension.values == (str(tmp_path / "a.npy"), str(tmp_path / "b.npy"))
    assert isinstance(load_plan(recipe, {"dataset.raw": "a.npy,b.npy"}).recipe, Recipe)
