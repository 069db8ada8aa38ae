"""Training: the events, exact resume, and everything that must not lose or poison a run."""

from __future__ import annotations

import hashlib
import json
import math
import signal
from contextlib import closing

import numpy as np
import pytest
import torch
from torch import nn

import segkit
from segkit.contracts import Batch, call_network
from segkit.errors import BusyError, DataError, DivergedError, OutputExistsError, UsageError
from segkit.recipe import Recipe, Schedule
from segkit.training import Checkpoint, Finished, Preparing, Started, Step, Validation, fit, fit_events, fold
from segkit.training._optimization import learning_rate_at
from segkit.training._step import seed_draws, to_device
from segkit.training._stopping import stop_on_signals


def digest(folder) -> str:
    """Hash of the newest checkpoint's tensors, the model and the history."""
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    files = [newest / "tensors.safetensors", folder / "model" / "weights.safetensors", folder / "history.csv"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def train_until(step: int, recipe: Recipe, folder) -> None:
    """Train up to a step, and close the generator there."""
    with closing(fit_events(recipe, folder)) as events:
        assert any(isinstance(event, Step) and event.step == step for event in events)


@pytest.fixture
def recipe(recipe_tables) -> Recipe:
    return Recipe.from_mapping(recipe_tables)


@pytest.fixture
def uninterrupted(recipe, tmp_path) -> str:
    fit(recipe, tmp_path / "whole")
    return digest(tmp_path / "whole")


def test_the_events_tell_the_whole_story(recipe, tmp_path):
    events = [event for event in fit_events(recipe, tmp_path / "run") if not isinstance(event, Preparing)]
    assert (events[0].step, events[0].steps) == (0, 12)
    assert events[-1] == Finished(12, "completed")
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 13))
    assert [event.step for event in events if isinstance(event, Validation)] == [5, 10, 12]
    assert [event.step for event in events if isinstance(event, Checkpoint)][-1] == 12
    run = segkit.training.Run(tmp_path / "run")
    state = run.state()
    assert (state.step, state.steps, state.finished) == (12, 12, "completed")
    assert run.recipe == recipe
    for name in (
        "run.json",
        "recipe.toml",
        "journal.jsonl",
        "history.csv",
        "curves.png",
        "model/model.json",
        "final/model.json",
    ):
        assert (tmp_path / "run" / name).stat().st_size > 0
    header, *rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert header == "step,loss,learning_rate,validation_loss,accuracy"
    assert len(rows) == 12


def test_training_learns(recipe_tables, tmp_path):
    recipe_tables["training"] = {"steps": 80, "validate_every": 40}
    recipe_tables["architecture"] |= {"width": 8, "dropout": 0.0}
    losses = [e.loss for e in fit_events(Recipe.from_mapping(recipe_tables), tmp_path / "r") if isinstance(e, Step)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


@pytest.mark.parametrize("close_at", [1, 5, 11])
def test_closing_the_generator_saves_and_resume_repeats_every_bit(recipe, tmp_path, uninterrupted, close_at):
    train_until(close_at, recipe, tmp_path / "run")
    resumed = list(fit_events(recipe, tmp_path / "run"))
    assert next(event.step for event in resumed if isinstance(event, Started)) == close_at
    assert digest(tmp_path / "run") == uninterrupted


def test_a_stop_in_the_middle_of_validation_is_made_up_for(recipe, tmp_path, uninterrupted):
    """Ask at every single question in turn; whatever phase that hits, the outcome is the same."""
    for patience in (4, 11, 12, 16):
        folder = tmp_path / f"run{patience}"
        asked = 0

        def stop(limit=patience):
            nonlocal asked
            asked += 1
            return asked > limit

        last = list(fit_events(recipe, folder, stop=stop))[-1]
        assert last.reason == "stopped"
        assert (folder / "model" / "model.json").exists()
        fit(recipe, folder)
        assert digest(folder) == uninterrupted, patience


def test_a_stop_while_labels_are_counted_ends_before_the_first_step(recipe, tmp_path, uninterrupted):
    assert list(fit_events(recipe, tmp_path / "run", stop=lambda: True))[-1] == Finished(0, "stopped")
    assert not (tmp_path / "run" / "checkpoints").exists()
    fit(recipe, tmp_path / "run")
    assert digest(tmp_path / "run") == uninterrupted


def test_a_finished_run_is_left_alone(recipe, tmp_path, uninterrupted):
    before = (tmp_path / "whole" / "journal.jsonl").read_bytes()
    assert list(fit_events(recipe, tmp_path / "whole")) == [Finished(12, "completed")]
    assert (tmp_path / "whole" / "journal.jsonl").read_bytes() == before


def test_a_damaged_checkpoint_falls_back_to_the_one_before(recipe, tmp_path, uninterrupted):
    train_until(11, recipe, tmp_path / "run")
    steps = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert steps == ["00000005", "00000010", "00000011"] or steps == ["00000010", "00000011"]
    tensors = tmp_path / "run" / "checkpoints" / "00000011" / "tensors.safetensors"
    data = bytearray(tensors.read_bytes())
    data[len(data) // 2] ^= 1
    tensors.write_bytes(data)
    resumed = list(fit_events(recipe, tmp_path / "run"))
    assert next(event for event in resumed if isinstance(event, Started)).step == 10
    assert digest(tmp_path / "run") == uninterrupted


def test_a_torn_journal_line_is_cut(recipe, tmp_path, uninterrupted):
    train_until(6, recipe, tmp_path / "run")
    with (tmp_path / "run" / "journal.jsonl").open("ab") as journal:
        journal.write(b'0123456789abcdef {"event":"st')
    fit(recipe, tmp_path / "run")
    assert digest(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("adam", "plateau"),
        pytest.param("sgd", "cosine_restarts", marks=pytest.mark.slow),
        pytest.param("rmsprop", "plateau", marks=pytest.mark.slow),
    ],
)
def test_every_optimizer_and_schedule_resumes_exactly(recipe_tables, tmp_path, name, schedule):
    recipe_tables["optimizer"] = {"name": name, "learning_rate": 0.01}
    recipe_tables["schedule"] = {"name": schedule, "warmup": 2, "every": 3, "patience": 1}
    precision = "float16" if schedule == "plateau" else "bfloat16"
    recipe_tables["training"] |= {"validate_every": 2, "accumulation": 2, "precision": precision}
    recipe = Recipe.from_mapping(recipe_tables)
    fit(recipe, tmp_path / "whole")
    train_until(7, recipe, tmp_path / "run")
    fit(recipe, tmp_path / "run")
    assert digest(tmp_path / "run") == digest(tmp_path / "whole")


def test_a_step_draws_what_torch_would_draw_from_its_seed():
    torch.manual_seed(2**64 - 3)
    wanted = torch.rand(9)
    seed_draws(torch.device("cpu"), 2**64 - 3)
    assert torch.equal(torch.rand(9), wanted)


def test_what_lies_voxel_by_voxel_is_learnt_from_alike(recipe_tables, tmp_path):
    losses = {}
    for layout in ("contiguous", "channels_last"):
        recipe_tables["training"]["layout"] = layout
        events = fit_events(Recipe.from_mapping(recipe_tables), tmp_path / layout)
        losses[layout] = [event.loss for event in events if isinstance(event, Step)]
    np.testing.assert_allclose(losses["channels_last"], losses["contiguous"], rtol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_planar_network_is_given_planes_that_lie_voxel_by_voxel(channels):
    network = nn.Conv2d(channels, 2, 3, padding=1)
    network.planar = True
    raw, known = torch.rand(2, channels, 1, 8, 8), torch.ones(2, 1, 1, 8, 8)
    batch = to_device(Batch(raw, known, known, ("a", "b")), torch.device("cpu"), "channels_last")
    logits = call_network(network, batch.raw)
    assert logits.squeeze(2).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(logits, call_network(network, raw))


def test_resume_with_a_changed_recipe_is_refused_and_more_steps_are_not(recipe_tables, tmp_path, recipe):
    fit(recipe, tmp_path / "run")
    recipe_tables["optimizer"] = {"learning_rate": 0.5}
    with pytest.raises(UsageError, match=r"optimizer.learning_rate: 0.01 -> 0.5.*new folder"):
        fit(Recipe.from_mapping(recipe_tables), tmp_path / "run")
    recipe_tables["optimizer"] = {"learning_rate": 0.01}
    recipe_tables["training"]["steps"] = 14
    assert fit(Recipe.from_mapping(recipe_tables), tmp_path / "run").state().step == 14


def test_a_folder_with_something_else_is_refused_and_a_held_run_is_busy(recipe, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("important")
    with pytest.raises(OutputExistsError, match="thesis.doc"):
        fit(recipe, tmp_path / "other")
    events = fit_events(recipe, tmp_path / "run")
    next(events)
    with pytest.raises(BusyError, match=r"in use by process \d+"):
        fit(recipe, tmp_path / "run")
    events.close()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_good_weights(recipe_tables, tmp_path):
    recipe_tables["loss"] = {"name": "bce", "blow_up_below": 0.6}
    recipe_tables["training"] = {"steps": 400, "validate_every": 5}
    recipe_tables["optimizer"] = {"learning_rate": 0.05}
    with pytest.raises(DivergedError, match=r"The loss of step \d+ is nan \(patches: blobs.*learning_rate"):
        fit(Recipe.from_mapping(recipe_tables), tmp_path / "run")
    records = segkit.durable.read_records(tmp_path / "run" / "journal.jsonl")[0]
    assert records[-1]["event"] == "failed"
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    from safetensors.numpy import load_file

    assert all(np.isfinite(tensor).all() for tensor in load_file(newest / "tensors.safetensors").values())
    assert all(np.isfinite(row["loss"]) for row in fold(records).rows.values())


def test_patience_ends_a_training_early(recipe_tables, tmp_path):
    recipe_tables["training"] = {"steps": 500, "validate_every": 1, "patience": 3}
    recipe_tables["optimizer"] = {"learning_rate": 1e-9}
    run = fit(Recipe.from_mapping(recipe_tables), tmp_path / "run")
    assert run.state().finished == "early_stopping"
    assert run.state().step < 20
    assert list(fit_events(run.recipe, run.folder))[-1] == Finished(run.state().step, "early_stopping")
    recipe_tables["training"]["patience"] = 5
    longer = fit(Recipe.from_mapping(recipe_tables), run.folder).state()
    assert (longer.finished, longer.step) == ("early_stopping", run.state().step)
    assert longer.step > 4


def test_without_validation_the_last_weights_are_the_model(recipe_tables, tmp_path):
    recipe_tables["split"]["share"] = 0
    fit(Recipe.from_mapping(recipe_tables), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "model" / "model.json").read_text())["details"]["step"] == 12


def test_an_empty_dataset_is_refused(recipe_tables, tmp_path):
    recipe_tables["dataset"]["count"] = 0
    with pytest.raises(DataError, match="has no sample"):
        fit(Recipe.from_mapping(recipe_tables), tmp_path / "run")


def test_changed_data_are_noticed(recipe_tables, tmp_path, monkeypatch):
    recipe = Recipe.from_mapping(recipe_tables)
    train_until(1, recipe, tmp_path / "run")
    monkeypatch.setattr("segkit.training._setup.written_at", lambda volume: "later")
    with pytest.warns(segkit.errors.SegkitWarning, match="data of .* have changed"):
        fit(recipe, tmp_path / "run")


@pytest.mark.parametrize("spread", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_a_full_disk_leaves_the_last_checkpoint(recipe, tmp_path, uninterrupted, monkeypatch, spread):
    """Fail the n-th durable operation for a spread of n: the run goes on afterwards, to the same bits."""
    from segkit.durable import faults
    from segkit.errors import StorageError

    before = faults.count
    fit(recipe, tmp_path / "count")
    operations = faults.count - before
    assert operations > 40
    for number, at in enumerate(range(1, operations, operations // spread)):
        folder = tmp_path / f"run{number}"
        monkeypatch.setattr(faults, "at", faults.count + at)
        monkeypatch.setattr(faults, "mode", ("enospc", "eio")[number % 2])
        with pytest.raises(StorageError, match=str(tmp_path)):
            fit(recipe, folder)
        monkeypatch.setattr(faults, "at", 0)
        fit(recipe, folder)
        assert digest(folder) == uninterrupted, at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(name="fixed"), [1, 1, 1]),
        (Schedule(name="step", factor=0.5, every=4), [1, 0.5, 0.25]),
        (Schedule(name="cosine"), [1, 0.5 * (1 + math.cos(0.4 * math.pi)), 0.5 * (1 + math.cos(0.8 * math.pi))]),
        (Schedule(name="cosine_restarts", every=4), [1, 1, 1]),
        (
            Schedule(name="cosine_restarts", every=3, stretch=2.0),
            [1, 0.5 * (1 + math.cos(math.pi / 6)), 0.5 * (1 + math.cos(math.pi * 5 / 6))],
        ),
        (Schedule(name="fixed", warmup=4), [0.2, 1, 1]),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule, expected):
    assert [learning_rate_at(step, 10, 1.0, schedule) for step in (0, 4, 8)] == pytest.approx(expected)


def test_the_floor_and_the_plateau():
    assert learning_rate_at(10, 10, 2.0, Schedule(name="cosine", floor=0.1)) == pytest.approx(0.2)
    assert learning_rate_at(5, 10, 2.0, Schedule(name="plateau", factor=0.5), drops=2) == pytest.approx(0.5)


def test_the_first_signal_asks_and_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()
        assert stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before
