"""Runs are followed, started, continued, branched and stopped without a window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_segkit.session._project import Project
from napari_segkit.session._session import Session
from napari_segkit.session._writing import writer
from napari_segkit.session.trainings._compatible import LOSS_OF_TASK, NETWORK_OF_TASK, SECOND_LOSS_OF_TASK, misfit
from napari_segkit.session.trainings._devices import devices
from napari_segkit.session.trainings._presets import PRESETS
from napari_segkit.session.trainings._run_folder import ask_for_patch, read_patch
from napari_segkit.session.trainings._runs import Runs
from napari_segkit.session.trainings._series import Series
from napari_segkit.session.trainings._trainings import Measured, Trainings
from segkit.durable import append_record
from segkit.errors import DataError
from segkit.recipe import SECTIONS, load_recipe
from segkit.registry import registries


def journal(run: Path, *records: dict) -> None:
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text("{}")
    for record in records:
        append_record(run / "journal.jsonl", record, sync=False)


def step(number: int) -> dict:
    return {"event": "step", "step": number, "loss": 1 / number, "learning_rate": 1e-3, "seconds": 0.1}


def test_a_series_grows_and_is_cut() -> None:
    series = Series(smoothing=0.5)
    for number in range(1, 3001):
        series.add(number, 1.0 if number % 2 else float("nan"))
    assert len(series) == 3000
    assert series.smooth[-1] == 1.0
    series.add(2000, 3.0)
    assert len(series) == 2000
    assert series.at(2000) == 3.0
    assert series.smooth[-1] == 2.0
    assert series.at(2001) is None
    series.cut(0)
    assert not series


def test_runs_are_found_and_followed(tmp_path: Path) -> None:
    runs = Runs(Project(tmp_path))
    told = []
    runs.changed.connect(lambda: told.append(len(runs)))
    journal(tmp_path / "runs" / "run-1", {"event": "started", "step": 0, "steps": 9}, step(1), step(2))
    elsewhere = tmp_path / "elsewhere"
    journal(
        elsewhere,
        {"event": "started", "step": 0, "steps": 5},
        step(1),
        {"event": "finished", "step": 5, "reason": "completed"},
    )
    runs.attach(elsewhere)
    runs.take(runs.reader()())
    first, other = runs.of(tmp_path / "runs" / "run-1"), runs.of(elsewhere)
    assert (first.progress.step, first.word, first.running) == (2, "running", True)
    assert (other.word, other.interrupted) == ("done", False)
    journal(tmp_path / "runs" / "run-1", step(3), {"event": "failed", "step": 3, "message": "no"})
    runs.take(runs.reader()())
    assert (first.progress.step, first.word, first.interrupted) == (3, "failed", True)
    count = len(told)
    runs.take(runs.reader()())
    assert len(told) == count  # nothing new
    assert runs.attached == [elsewhere]
    runs.forget(elsewhere)
    assert runs.attached == []


def test_a_run_that_has_been_silent_for_long_was_interrupted(tmp_path: Path) -> None:
    import os

    runs = Runs(Project(tmp_path))
    run = tmp_path / "runs" / "run-1"
    journal(run, {"event": "started", "step": 0, "steps": 9}, step(1))
    os.utime(run / "journal.jsonl", (1e9, 1e9))
    runs.take(runs.reader()())
    found = runs.of(run)
    assert not found.running
    assert found.interrupted
    assert found.word == "interrupted"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.json"):
        Runs(Project(tmp_path)).attach(tmp_path)


def test_a_run_that_starts_again_is_read_again(tmp_path: Path) -> None:
    runs = Runs(Project(tmp_path))
    run = tmp_path / "runs" / "run-1"
    journal(run, {"event": "started", "step": 0, "steps": 9}, *(step(n) for n in range(1, 8)))
    runs.take(runs.reader()())
    (run / "journal.jsonl").unlink()
    journal(run, {"event": "started", "step": 0, "steps": 4}, step(1))
    runs.take(runs.reader()())
    assert (runs.of(run).progress.step, runs.of(run).progress.steps) == (1, 4)


def test_a_patch_that_is_announced_is_read(tmp_path: Path) -> None:
    ask_for_patch(tmp_path, "a")
    writer.finish()
    assert json.loads((tmp_path / "preview" / "patch.json").read_text()) == {"request": "a"}
    plane = np.zeros((1, 4, 4), np.uint8)
    np.savez(tmp_path / "preview" / "patch.npz", image=plane, target=plane, output=plane, mask=plane > 0)
    assert read_patch(tmp_path, {"path": "preview/patch.npz"})["mask"].dtype == bool
    assert read_patch(tmp_path, {"path": "preview/gone.npz"}) is None


def test_every_preset_is_a_recipe_that_holds() -> None:
    for preset in PRESETS.values():
        for key, section in SECTIONS.items():
            section(**preset.section(key))
        network = registries["architectures"]["unet"]
        assert set(preset.options(p.name for p in network.parameters)) == set(preset.architecture)
        network.bind(preset.architecture)
        assert preset.options(["other"]) == {}


def test_every_task_has_a_network_and_a_loss_that_fit() -> None:
    for task in registries["tasks"].values():
        name = task.qualified
        for kind in ("architectures", "losses"):
            fits = [c.qualified for c in registries[kind].values() if not misfit(kind, c.qualified, name)]
            assert fits
            for usual in (NETWORK_OF_TASK, LOSS_OF_TASK, SECOND_LOSS_OF_TASK):
                if name in usual and usual[name] in {c.qualified for c in registries[kind].values()}:
                    assert usual[name] in fits
    assert misfit("losses", "somebody:new", "tasks:semantic") == ""


def test_the_computer_is_a_device() -> None:
    found = devices()
    assert found[-1].key == "cpu"
    assert "GB free" in found[-1].label


def test_what_was_measured_is_said_shortly() -> None:
    assert str(Measured((16, 128, 128), 3_100_000_000, 0.42, "cuda")) == "16 × 128 × 128 · 3.1 GB · 0.42 s a step"


# ---- with real commands


@pytest.fixture
def session(tmp_path: Path):
    made = Session(tmp_path / "project")
    yield made
    made.close()


def tables(steps: int) -> dict:
    return {
        "task": {"name": "semantic"},
        "architecture": {"name": "unet", "width": 4, "depth": 1},
        "loss": [{"name": "bce"}],
        "dataset": {"name": "synthetic_neurons", "shape": [12, 32, 32], "count": 1, "neurites": 3},
        "sampling": {"patch_shape": [8, 16, 16], "batch_size": 1},
        "split": {"share": 0.3},
        "training": {"steps": steps, "validate_every": 20, "device": "cpu"},
    }


@pytest.mark.slow
def test_point_13_stopped_continued_branched_and_measured(session: Session) -> None:
    runs = Runs(session.project)
    trainings = Trainings(session.project, session.jobs, runs)
    recipe = trainings.write(tables(100), "run-1")
    measured = trainings.measure(recipe, largest=True)
    assert measured.seconds > 0
    run = trainings.reserve("run-1")
    assert session.project.new_run().name == "run-2"
    job = trainings.start(recipe, run)
    while runs.of(run).progress.step < 50 and (job.active or job.state == "queued"):
        session.poll()
        runs.take(runs.reader()())
    trainings.stop(run)
    assert session.wait(job, 120) == "stopped"
    runs.take(runs.reader()())
    stopped = runs.of(run).progress.step
    assert trainings.checkpoints(run)[-1] == stopped
    assert session.wait(trainings.go_on(run), 240) == "done"
    whole = trainings.reserve("whole")
    assert session.wait(trainings.start(trainings.write(tables(100), "whole"), whole), 240) == "done"
    runs.take(runs.reader()())
    one, other = runs.of(run).progress.losses, runs.of(whole).progress.losses
    np.testing.assert_array_equal(one.steps, other.steps)
    np.testing.assert_array_equal(one.values, other.values)  # as if it had never been stopped
    assert session.wait(trainings.go_on(run, 120), 240) == "done"
    runs.take(runs.reader()())
    assert (runs.of(run).progress.step, runs.of(run).progress.state) == (120, "finished")
    job = trainings.branch(run, tables(140))
    assert session.wait(job, 240) == "done"
    assert json.loads((job.output / "run.json").read_text())["start"]["run"] == str(run)
    assert trainings.changes(run, {"dataset": tables(1)["dataset"]}) is None
    assert trainings.changes(run, {"dataset": {**tables(1)["dataset"], "neurites": 4}}) is not None


@pytest.mark.slow
def test_a_loss_that_is_not_finite_goes_on_with_a_lower_rate(session: Session) -> None:
    runs = Runs(session.project)
    trainings = Trainings(session.project, session.jobs, runs)
    diverging = tables(60) | {"optimizer": {"name": "sgd", "learning_rate": 1e20, "weight_decay": 0.0}}
    diverging["training"] |= {"clip": "none"}
    problems = []
    session.problem.connect(problems.append)
    job = trainings.start(trainings.write(diverging, "run-1"), trainings.reserve("run-1"))
    assert session.wait(job, 240) == "failed"
    assert problems[0].fixes[0].key == "lower_rate"
    again = trainings.lower_rate(job.output)
    new = load_recipe(again.arguments[1])
    assert new.optimizer.learning_rate == 3e19
    again.stop()
    session.wait(again, 240)


@pytest.mark.slow
def test_a_training_of_somebody_else_is_stopped_by_a_file(session: Session, tmp_path: Path) -> None:
    import subprocess
    import sys
    from time import monotonic, sleep

    runs = Runs(session.project)
    trainings = Trainings(session.project, session.jobs, runs)
    recipe, run = trainings.write(tables(100_000), "long"), tmp_path / "elsewhere"
    shell = subprocess.Popen(
        [sys.executable, "-m", "segkit", "train", str(recipe), "--run", str(run)], stderr=subprocess.DEVNULL
    )
    try:
        end = monotonic() + 240
        while runs.of(run).progress.step < 5 and monotonic() < end:
            runs.take(runs.reader()())
            sleep(0.1)
        runs.attach(run)
        trainings.stop(run)
        assert shell.wait(60) == 143
    finally:
        shell.kill()
        shell.wait()
    runs.take(runs.reader()())
    assert runs.of(run).word == "stopped"
    assert not (run / "stop").exists()
