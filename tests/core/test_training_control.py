"""What others may ask of a training while it runs, and where a new one may start."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest

from segkit.durable import read_records, replace_file
from segkit.errors import UsageError
from segkit.recipe import Recipe
from segkit.training import (
    Finished,
    Patch,
    Preview,
    Run,
    Started,
    Step,
    Validation,
    fit,
    fit_events,
    largest_patch,
    step_cost,
)
from segkit.training import _preview as previewing
from segkit.training import _stopping as stopping


@pytest.fixture
def tables(recipe_tables):
    recipe_tables["training"] = {"steps": 40, "validate_every": 10}
    return recipe_tables


@pytest.fixture
def recipe(tables) -> Recipe:
    return Recipe.from_mapping(tables)


def test_a_file_stops_a_training_as_a_signal_does(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "LOOKS_EVERY_SECONDS", 0.0)
    run = Run(tmp_path / "run")
    told = []
    with closing(fit_events(recipe, run.folder)) as events:
        for event in events:
            told.append(event)
            if isinstance(event, Step) and event.step == 7:
                run.ask_to_stop()
    assert told[-1] == Finished(7, "stopped")
    assert run.has_checkpoint
    assert not run.stop_file.exists()
    fit(recipe, run.folder)
    assert run.state().finished == "completed"


def test_an_old_wish_to_stop_is_forgotten(recipe, tmp_path):
    run = Run(tmp_path / "run")
    with closing(fit_events(recipe, run.folder)) as events:
        assert any(isinstance(event, Step) and event.step == 3 for event in events)
    run.ask_to_stop()
    fit(recipe, run.folder)
    assert run.state().finished == "completed"
    assert not run.stop_file.exists()


def test_the_disk_is_looked_at_once_a_second(tmp_path):
    asked = stopping.StopFile(tmp_path / "stop")
    assert not asked()
    (tmp_path / "stop").touch()
    assert not asked()
    asked._looked -= stopping.LOOKS_EVERY_SECONDS
    assert asked()


def test_a_new_run_goes_on_from_another_ones_checkpoint(recipe, tables, tmp_path):
    fit(recipe, tmp_path / "first")
    tables["training"]["steps"] = 60
    tables["optimizer"] = {"learning_rate": 3e-4}
    tables["dataset"]["seed"] = 5
    calmer = Recipe.from_mapping(tables)
    events = list(fit_events(calmer, tmp_path / "second", start=tmp_path / "first", start_step=30))
    started = next(event for event in events if isinstance(event, Started))
    assert (started.step, started.steps) == (30, 60)
    assert next(event for event in events if isinstance(event, Validation)).best
    assert events[-1] == Finished(60, "completed")
    said = json.loads((tmp_path / "second" / "run.json").read_text())
    assert said["start"] == {"run": str(tmp_path / "first"), "step": 30}
    # It needs the first one no more, and its own recipe is all that decides.
    assert list(fit_events(calmer, tmp_path / "second", start=tmp_path / "gone")) == [Finished(60, "completed")]


def test_the_same_recipe_from_a_checkpoint_computes_the_same(recipe, tmp_path):
    fit(recipe, tmp_path / "whole")
    list(fit_events(recipe, tmp_path / "again", start=tmp_path / "whole", start_step=30))
    whole, again = (
        {step: row["loss"] for step, row in Run(tmp_path / name).state().rows.items() if step > 30}
        for name in ("whole", "again")
    )
    assert whole == again


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        (("architecture", {"width": 9}), None, "another one: architecture.width: . -> 9"),
        (("optimizer", {}), 17, "from step 17"),
        (("training", {"steps": 35}), None, "Choose more steps"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(recipe, tables, tmp_path, change, step, words):
    fit(recipe, tmp_path / "first")
    tables[change[0]] = {**tables.get(change[0], {}), **change[1]}
    with pytest.raises(UsageError, match=words):
        list(fit_events(Recipe.from_mapping(tables), tmp_path / "second", start=tmp_path / "first", start_step=step))
    assert not (tmp_path / "second").exists()


@pytest.fixture
def image(monkeypatch):
    import segkit

    voxels = np.random.default_rng(0).integers(0, 255, (12, 24, 24)).astype(np.uint8)
    # These tests do without formats, which are plugins.
    monkeypatch.setattr(previewing, "open_volume", {"image": segkit.Volume.from_array(voxels)}.__getitem__)
    return "image"


def ask(run, name: str, **wish) -> None:
    (run.folder / "preview").mkdir(parents=True, exist_ok=True)
    replace_file(run.folder / "preview" / f"{name}.json", json.dumps(wish).encode())


def test_a_region_is_predicted_again_every_so_many_steps(recipe, tmp_path, image, monkeypatch):
    monkeypatch.setattr(previewing, "LOOKS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(previewing, "SHARE_OF_TIME", 1e6)
    run = Run(tmp_path / "run")
    wish = {"request": "1", "source": image, "start": [5, 0, 0], "shape": [1, 24, 24], "every": 10}
    ask(run, "request", **wish)
    answers = [event for event in fit_events(recipe, run.folder) if isinstance(event, Preview)]
    assert [answer.step for answer in answers] == [1, 11, 21, 31]
    assert len({answer.path for answer in answers}) == 4
    left = sorted(path.name for path in (run.folder / "preview").glob("*.npy"))
    assert len(left) == previewing.ANSWERS_KEPT
    assert np.load(answers[-1].path).shape == (1, 1, 24, 24)


def test_previews_take_a_tenth_of_the_time_but_one_may_be_had_at_once(recipe, tmp_path, image, monkeypatch):
    monkeypatch.setattr(previewing, "LOOKS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(previewing, "SHARE_OF_TIME", 0.0)
    run = Run(tmp_path / "run")
    wish = {"source": image, "start": [5, 0, 0], "shape": [1, 24, 24]}
    ask(run, "request", request="first", **wish)
    answers = []
    for event in fit_events(recipe, run.folder):
        if isinstance(event, Step) and event.step == 10:
            ask(run, "request", request="moved", **wish)
        if isinstance(event, Step) and event.step == 20:
            ask(run, "request", request="now", now=True, **wish)
        if isinstance(event, Preview):
            answers.append((event.step, event.request))
    assert answers == [(1, "first"), (20, "now")]


def test_a_patch_is_shown_once_for_each_wish(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(previewing, "LOOKS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(previewing, "SHARE_OF_TIME", 1e6)
    run = Run(tmp_path / "run")
    ask(run, "patch", request="a")
    shown = []
    for event in fit_events(recipe, run.folder):
        if isinstance(event, Patch):
            shown.append(event)
            ask(run, "patch", request="b")
    assert [event.request for event in shown] == ["a", "b"]
    assert "blobs" in shown[0].origin
    with np.load(shown[-1].path, allow_pickle=False) as parts:
        sides = recipe.sampling.patch_shape[1:]
        assert parts["image"].shape == (1, *sides)
        assert parts["target"].shape == parts["output"].shape == parts["mask"].shape == (1, *sides)
        assert set(np.unique(parts["target"])) <= {0, 255}
    records, _ = read_records(run.journal)
    assert [record["request"] for record in records if record["event"] == "patch"] == ["a", "b"]


def test_looking_on_changes_nothing_of_what_is_trained(recipe, tmp_path, image, monkeypatch):
    monkeypatch.setattr(previewing, "LOOKS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(previewing, "SHARE_OF_TIME", 1e6)
    fit(recipe, tmp_path / "alone")
    run = Run(tmp_path / "watched")
    ask(run, "request", request="1", source=image, start=[5, 0, 0], shape=[1, 24, 24])
    ask(run, "patch", request="1")
    fit(recipe, run.folder)
    watched, alone = (
        {step: (row["loss"], row["learning_rate"]) for step, row in one.state().rows.items()}
        for one in (run, Run(tmp_path / "alone"))
    )
    assert watched == alone


def test_a_step_is_tried_and_what_it_takes_is_told(recipe):
    cost = step_cost(recipe)
    assert cost.patch_shape == recipe.sampling.patch_shape
    assert 0 < cost.seconds < 10
    assert cost.memory_free is None or cost.memory_free > 2**20
    assert "s a step on cpu" in str(cost)


def test_the_largest_patch_fits_data_memory_and_time(tables):
    tables["dataset"]["size"] = 64
    recipe = Recipe.from_mapping(tables)
    free = largest_patch(recipe, seconds=1000)
    assert all(16 < side <= 64 * (1 - recipe.split.share) for side in free.patch_shape)
    assert min(free.patch_shape) == max(free.patch_shape)  # voxels are cubes
    none = largest_patch(recipe, share=1e-9, seconds=1000)
    if none.memory is not None:
        assert none.patch_shape < free.patch_shape
    assert largest_patch(recipe, seconds=1e-9).patch_shape == (16, 16, 16)
