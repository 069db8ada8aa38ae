"""SIGKILL at random moments of training and of prediction: the outcome is that of an uninterrupted run, by hash."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segkit.durable import read_records

KILLS = 20

RECIPE = """
seed = 1
task.name = "semantic"
architecture = {name = "unet", width = 8, depth = 2, dropout = 0.1}
loss = [{name = "bce"}, {name = "dice"}]
augmentation = [{name = "flips"}, {name = "quarter_turns"}, {name = "intensity"}]
dataset = {name = "files", raw = "raw.npy", labels = "labels.npy"}
sampling = {patch_shape = [8, 24, 24]}
split = {share = 0.4}
training = {steps = 120, validate_every = 15, checkpoint_minutes = 0.002, ema = 0.9}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    g = np.random.default_rng(5)
    z, y, x = np.ogrid[:40, :96, :96]
    labels = (np.sin(z / 5) + np.sin(y / 9) + np.sin(x / 7) > 0.8).astype(np.uint8)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "raw.npy", (90 * labels + g.normal(80, 25, labels.shape)).clip(0, 255).astype(np.uint8))
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def segkit(*args: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "segkit", *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(*args: object) -> None:
    process = segkit(*args)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def tree_hash(folder: Path, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        for file in sorted((folder / name).rglob("*")) if (folder / name).is_dir() else [folder / name]:
            if file.is_file():
                digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def kill_repeatedly(args: list[object], journal: Path, kills: int, chance: random.Random) -> int:
    """Start again and again, and kill at a random moment after work has begun; return how many kills hit work."""
    hits = 0
    while hits < kills:
        before = len(read_records(journal)[0])
        process = segkit(*args)
        while process.poll() is None and len(read_records(journal)[0]) == before:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1.5))
        if process.poll() is not None:
            process.communicate()
            return hits
        process.kill()
        process.communicate()
        hits += 1
    return hits


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow), (signal.SIGINT, 130)]
)
def test_a_signal_saves_and_stops(data, tmp_path, number, code):
    args = ["train", data / "recipe.toml", "--run", tmp_path / "run", "-o", "training.steps=2000"]
    process = segkit(*args)
    journal = tmp_path / "run" / "journal.jsonl"
    while process.poll() is None and not any(r["event"] == "step" for r in read_records(journal)[0]):
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    last = read_records(journal)[0][-1]
    assert (last["event"], last["reason"]) == ("finished", "stopped")
    assert (tmp_path / "run" / "checkpoints" / f"{last['step']:08d}" / "state.json").exists()
    assert (tmp_path / "run" / "model" / "model.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_training_survives_any_kill(data, tmp_path):
    parts = ["model", "history.csv", "checkpoints/00000120/tensors.safetensors"]
    finish("train", data / "recipe.toml", "--run", tmp_path / "whole")
    expected = tree_hash(tmp_path / "whole", parts)
    chance, hits, run = random.Random(11), 0, 0
    while hits < KILLS:
        folder = tmp_path / f"run{run}"
        args = ["train", data / "recipe.toml", "--run", folder]
        hits += kill_repeatedly(args, folder / "journal.jsonl", min(7, KILLS - hits), chance)
        finish(*args)
        assert tree_hash(folder, parts) == expected, f"run {run}, {hits} kills"
        run += 1
    print(f"training: {hits} kills in {run} runs, all identical")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_prediction_survives_any_kill(data, tmp_path):
    finish("train", data / "recipe.toml", "--run", tmp_path / "run", "-o", "training.steps=20")
    options = ["--block", 8, 32, 32, "--halo", 4, 8, 8]
    whole = tmp_path / "whole" / "prediction.zarr"  # a store knows its own name
    finish("predict", tmp_path / "run", data / "raw.npy", whole, *options)
    parts = sorted(path.name for path in whole.iterdir() if path.name != ".segkit")
    expected = tree_hash(whole, parts)
    chance, hits, run = random.Random(12), 0, 0
    while hits < KILLS:
        target = tmp_path / f"killed{run}" / "prediction.zarr"
        args = ["predict", tmp_path / "run", data / "raw.npy", target, *options]
        hits += kill_repeatedly(args, target / ".segkit" / "journal.jsonl", min(7, KILLS - hits), chance)
        finish(*args)
        assert tree_hash(target, parts) == expected, f"run {run}, {hits} kills"
        run += 1
    print(f"prediction: {hits} kills in {run} runs, all identical")
