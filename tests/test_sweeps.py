"""`segkit sweep` in processes that are killed, stopped and shared out: always the table of an undisturbed one."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segkit.durable import read_records
from segkit.sweeping import SweepFolder

pytestmark = pytest.mark.timeout(900)

RECIPE = """
task = {name = "regression", channels = 4}
architecture = {name = "simple_fc", width = 8, depth = 2}
loss = [{name = "mse"}]
dataset = {name = "manifold_points", manifold = "circle", dimensions = 4, points = 512}
validation_dataset = {name = "manifold_points", manifold = "circle", dimensions = 4, points = 256, draw = 1}
sampling = {patch_shape = [1, 1, 64], foreground = 0.0, normalization = "none", workers = 1}
optimizer = {name = "adam", learning_rate = 3e-3}
training = {steps = 30, validate_every = 10, checkpoint_minutes = 0.001}
"""
VARY = ("--vary", "optimizer.learning_rate=1e-3,1e-2,1e9", "--vary", "architecture.depth=1,2", "--seeds", "1")
TRAININGS = 6


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder / "recipe.toml"


def begin(recipe: Path, name: str, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "segkit", "sweep", recipe, "--folder", recipe.parent / name, "--threads", "1"]
    return subprocess.Popen(
        [*map(str, command), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def table(recipe: Path, name: str) -> list[dict[str, str]]:
    """The summary without what a clock says."""
    rows = csv.DictReader((recipe.parent / name / "training_summary.csv").read_text().splitlines())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def ended(folder: Path) -> list[tuple[int, int]]:
    records = read_records(folder / "trials.jsonl")[0]
    return [(record["number"], record["seed"]) for record in records if record["event"] == "ended"]


def complete(recipe: Path, name: str, *args: str) -> list[dict[str, str]]:
    process = begin(recipe, name, *args)
    out, errors = process.communicate(timeout=500)
    assert process.returncode == 3, errors  # a learning rate of 1e9 diverges
    assert "2 trainings failed, such as trial 4 seed 0: diverged" in errors
    assert "trial" in out
    rows = table(recipe, name)
    assert sorted(ended(recipe.parent / name)) == sorted(set(ended(recipe.parent / name)))
    assert len(rows) == TRAININGS
    return rows


@pytest.fixture(scope="module")
def whole(recipe) -> list[dict[str, str]]:
    return complete(recipe, "whole", *VARY)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_that_is_killed_twice_comes_to_the_same(recipe, whole, workers):
    name = f"killed-{workers}"
    seconds = random.Random(workers)
    for kill in range(2):
        process = begin(recipe, name, *VARY, "--workers", str(workers))
        while len(ended(recipe.parent / name)) < 2 * kill + 1 and process.poll() is None:
            time.sleep(0.02)
        time.sleep(seconds.uniform(0, 1.5))
        assert process.poll() is None, process.communicate()
        process.kill()  # its children end by themselves
        process.communicate()
    assert complete(recipe, name, *VARY, "--workers", str(workers)) == whole


@pytest.mark.slow
def test_two_processes_give_the_same_table_as_one(recipe, whole):
    assert complete(recipe, "two", *VARY, "--workers", "2") == whole


@pytest.mark.slow
def test_a_cluster_gives_the_same_table(recipe, whole):
    assert complete(recipe, "cluster", *VARY, "--cluster", "local:2") == whole


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_saves_and_stops(recipe, whole, number, workers):
    name = f"stopped-{number}-{workers}"
    process = begin(recipe, name, *VARY, "--workers", str(workers))
    while not ended(recipe.parent / name) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 128 + number, errors
    assert "run the same command to go on" in errors
    assert "trial" in out  # what there is, is shown
    assert 0 < len(ended(recipe.parent / name)) < TRAININGS
    folder = SweepFolder(recipe.parent / name)
    assert not folder.stop_file.exists()
    if workers == 2:
        assert complete(recipe, name, *VARY) == whole


@pytest.mark.slow
def test_a_process_that_dies_is_one_failed_training(recipe):
    process = begin(
        recipe,
        "died",
        "--vary",
        "architecture.depth=1,2",
        "--seeds",
        "1",
        "--workers",
        "2",
        "-o",
        "training.steps=40",
    )
    child = None
    while child is None and process.poll() is None:
        time.sleep(0.05)
        listed = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
        found = [int(line) for line in listed.split()]
        running = [p for p in found if b"segkit.sweeping._children" in Path(f"/proc/{p}/cmdline").read_bytes()]
        child = running[0] if running else None
    assert child is not None
    os.kill(child, signal.SIGKILL)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 3, errors
    assert "its process was ended by SIGKILL, as it is when memory is full" in errors
    states = sorted(row["state"] for row in table(recipe, "died"))
    assert states == ["completed", "failed"]


def test_the_plan_is_shown_before_anything_is_trained(recipe):
    process = begin(recipe, "none", *VARY, "--seeds", "2", "--check")
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "optimizer.learning_rate: 0.001, 0.01, 1e+09" in out
    assert "005  optimizer.learning_rate=1e+09  architecture.depth=2" in out
    assert "6 configurations x 2 seeds = 12 trainings of 30 steps (grid)" in out
    assert not (recipe.parent / "none").exists()
