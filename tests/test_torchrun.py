"""Two processes under torchrun train as one: the same patches, and the weights of a single process with their batch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

RECIPE = """
seed = 1
task.name = "semantic"
architecture = {name = "unet", width = 4, depth = 2}
loss = {name = "bce"}
augmentation = {name = "flips"}
dataset = {name = "files", raw = "raw.npy", labels = "labels.npy"}
sampling = {patch_shape = [4, 16, 16], batch_size = 2}
split = {share = 0.3}
optimizer = {name = "sgd", learning_rate = 0.05}
training = {steps = 6, validate_every = 3, ema = 0.5}
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    from safetensors.numpy import load_file

    from segkit.training import Run

    g = np.random.default_rng(5)
    labels = (g.normal(size=(16, 32, 32)) > 0).astype(np.uint8)
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "raw.npy", (90 * labels + 50).astype(np.uint8))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    train = ["segkit", "train", str(tmp_path / "recipe.toml")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    options = ["-o", "sampling.batch_size=1"]
    for command in (
        [sys.executable, "-m", *train, "--run", str(tmp_path / "one")],
        [*torchrun, *train, "--run", str(tmp_path / "two"), *options],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two = Run(tmp_path / "one").state(), Run(tmp_path / "two").state()
    assert one.finished == two.finished == "completed"
    assert sorted(one.rows) == sorted(two.rows) == list(range(1, 7))
    for step, row in one.rows.items():
        assert two.rows[step]["loss"] == pytest.approx(row["loss"], rel=1e-4)
    assert sorted(one.validations) == sorted(two.validations)
    for step, row in one.validations.items():
        assert two.validations[step]["metrics"] == pytest.approx(row["metrics"], abs=2e-3)
    first, second = (load_file(tmp_path / run / "model" / "weights.safetensors") for run in ("one", "two"))
    for name, tensor in first.items():
        np.testing.assert_allclose(second[name], tensor, atol=1e-4)
