"""Recipes: read, checked, completed, changed from the command line, written and read again."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Annotated

import pytest
from annotated_types import Ge, Le

import segkit
from segkit.errors import DataError, SegkitWarning, UnknownNameError, UsageError
from segkit.recipe import Recipe, load_recipe


def test_defaults_are_filled_in_and_names_are_qualified(recipe_tables):
    recipe = Recipe.from_mapping(recipe_tables)
    assert recipe.architecture.name == "tiny:net"
    assert recipe.architecture.options == {"width": 3, "dropout": 0.2}
    assert recipe.loss[0].weight == 1.0
    assert recipe.training.clip == 1.0
    assert recipe.sampling.patch_shape == (8, 8, 8)


def test_a_written_recipe_reads_back_as_itself(recipe_tables, tmp_path):
    recipe_tables["training"] |= {"clip": "none", "patience": 7}
    recipe = Recipe.from_mapping(recipe_tables)
    assert recipe.training.clip is None
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "recipe.toml") == recipe
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_mapping()))
    assert load_recipe(tmp_path / "recipe.json") == recipe


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"trainin": {}}, UnknownNameError, "no entry `trainin`. Did you mean 'training'"),
        ({"training": {"step": 3}}, UnknownNameError, r"no option `training.step`. Did you mean 'steps'"),
        ({"training": {"steps": "3"}}, UsageError, r"`training.steps` is '3'.*int >= 1"),
        ({"training": {"steps": 0}}, UsageError, r"`training.steps` is 0.*int >= 1"),
        ({"training": {"steps": True}}, UsageError, r"`training.steps` is True"),
        ({"optimizer": {"learning_rate": 0}}, UsageError, r"float > 0"),
        ({"optimizer": {"name": "adamw2"}}, UsageError, r"one of 'adamw'"),
        ({"architecture": {"name": "nat"}}, UnknownNameError, "no architecture 'nat'. Did you mean 'net'"),
        ({"architecture": {"width": 3}}, UsageError, r"`architecture.name` is None"),
        ({"architecture": {"name": "net", "width": 0}}, UsageError, r"`architecture.width` is 0"),
        ({"loss": {"name": "bce", "weight": -1}}, UsageError, r"`loss.weight` of bce is -1"),
        ({"loss": []}, UsageError, r"no \[loss\]. Name one of the installed losses: bce"),
        ({"task": [{"name": "foreground"}, {"name": "foreground"}]}, UsageError, "there can be one"),
        ({"task": "foreground"}, UsageError, r"written as \[task\]"),
        ({"seed": -1}, UsageError, "`seed` is -1"),
        ({"sampling": {"patch_shape": [8, 8]}}, UsageError, "3 x int"),
    ],
)
def test_a_mistake_is_named_with_what_would_work(recipe_tables, change, error, message):
    with pytest.raises(error, match=message):
        Recipe.from_mapping(recipe_tables | change)


@pytest.mark.parametrize("text", ['{"seed": 1, "seed": 2}', '{"seed": NaN}', "[1]", "seed = ", '{"a": '])
def test_a_file_that_is_not_a_recipe_is_refused(tiny, tmp_path, text):
    path = tmp_path / ("recipe.toml" if text.startswith("seed") else "recipe.json")
    path.write_text(text)
    with pytest.raises(DataError, match=str(path)):
        load_recipe(path)
    with pytest.raises(DataError, match="There is no recipe"):
        load_recipe(tmp_path / "missing.toml")


def test_overrides_change_any_entry(recipe_tables, tmp_path):
    (tmp_path / "r.toml").write_text(Recipe.from_mapping(recipe_tables).to_toml())
    changed = load_recipe(
        tmp_path / "r.toml",
        {
            "seed": "9",
            "architecture.width": "5",
            "training.clip": "none",
            "loss.bce.weight": "2.5",
            "loss.0.blow_up_below": "0.5",
            "sampling.patch_shape": "4,4,4",
            "optimizer.learning_rate": "3e-4",
        },
    )
    assert (changed.seed, changed.architecture.options["width"], changed.training.clip) == (9, 5, None)
    assert (changed.loss[0].weight, changed.loss[0].options["blow_up_below"]) == (2.5, 0.5)
    assert (changed.sampling.patch_shape, changed.optimizer.learning_rate) == ((4, 4, 4), 3e-4)


@pytest.fixture
def other_components(isolated_plugins):
    def plain_net(in_channels: int, out_channels: int, *, width: Annotated[int, Ge(1), Le(4)] = 2, depth: int = 3):
        """Another network.

        Parameters
        ----------
        width
            Channels.
        depth
            Levels.
        """

    def plain_loss():
        """Another loss."""

    def start():
        """A start."""

    segkit.register(
        SimpleNamespace(
            segkit_architectures=segkit.hookimpl(lambda: {"plain": plain_net}, specname="segkit_architectures"),
            segkit_losses=segkit.hookimpl(lambda: {"plain": plain_loss}, specname="segkit_losses"),
            segkit_initializers=segkit.hookimpl(lambda: {"start": start}, specname="segkit_initializers"),
        ),
        name="other",
    )


def overridden(tables, folder, **overrides: str) -> Recipe:
    (folder / "r.toml").write_text(Recipe.from_mapping(tables).to_toml())
    return load_recipe(folder / "r.toml", {key.replace("__", "."): value for key, value in overrides.items()})


def test_another_component_keeps_the_options_that_it_takes(recipe_tables, other_components, tmp_path):
    with pytest.warns(
        SegkitWarning, match=r"`architecture.name=plain` leaves out .* 'plain' does not take: dropout = 0.2\.$"
    ):
        changed = overridden(recipe_tables, tmp_path, architecture__name="plain")
    assert (changed.architecture.name, changed.architecture.options) == ("other:plain", {"width": 3, "depth": 3})
    recipe_tables["architecture"]["width"] = 5
    with pytest.warns(SegkitWarning, match=r"does not take: width = 5, dropout"):
        changed = overridden(recipe_tables, tmp_path, architecture__name="plain", architecture__depth="1")
    assert changed.architecture.options == {"width": 2, "depth": 1}
    recipe_tables["loss"] = [{"name": "bce", "weight": 0.5}]
    with pytest.warns(SegkitWarning, match="blow_up_below"):
        assert overridden(recipe_tables, tmp_path, loss__bce__name="plain").loss[0].weight == 0.5


def test_the_same_component_keeps_everything(recipe_tables, tmp_path):
    changed = overridden(recipe_tables, tmp_path, architecture__name="net")
    assert changed == Recipe.from_mapping(recipe_tables)
    assert changed.architecture.options["width"] == 3


def test_an_optional_component_can_be_left_out(recipe_tables, other_components, tmp_path):
    recipe_tables["initializer"] = {"name": "start"}
    assert overridden(recipe_tables, tmp_path).initializer is not None
    assert overridden(recipe_tables, tmp_path, initializer__name="none").initializer is None
    with pytest.raises(UnknownNameError, match="no architecture 'none'"):
        overridden(recipe_tables, tmp_path, architecture__name="none")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("architecture.widht", "5", "Did you mean 'width'"),
        ("architecture.width", "wide", "`architecture.width` is 'wide'"),
        ("nonsense", "1", "names nothing in a recipe"),
        ("loss.dice.weight", "1", "must say which loss it means"),
        ("training", "1", "names nothing"),
        ("architecture.wide.width", "1", "must say which architecture it means"),
        ("loss.0.weight", "much", "`loss.weight` of bce is 'much'"),
    ],
)
def test_an_override_that_does_not_fit_is_refused(recipe_tables, tmp_path, key, value, message):
    (tmp_path / "r.toml").write_text(Recipe.from_mapping(recipe_tables).to_toml())
    with pytest.raises(UsageError, match=message):
        load_recipe(tmp_path / "r.toml", {key: value})


def test_differences_name_what_changed_but_not_what_may_change(recipe_tables):
    first = Recipe.from_mapping(recipe_tables)
    recipe_tables["training"]["steps"] = 99
    assert first.differences(Recipe.from_mapping(recipe_tables)) == []
    recipe_tables["architecture"]["width"] = 8
    assert first.differences(Recipe.from_mapping(recipe_tables)) == ["architecture.width: 3 -> 8"]
