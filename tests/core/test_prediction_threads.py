"""The number of threads belongs to a prediction: the last bits depend on it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import segkit
from segkit import Model, Volume
from segkit.contracts import Normalization
from segkit.errors import OutputExistsError, UsageError
from segkit.execution import ClusterSpec
from segkit.recipe import Selection

BLOCKS = {"block_shape": (8, 16, 16), "halo": (2, 2, 2)}


class Watched(nn.Conv3d):
    """Notes how many threads torch has whenever it is called."""

    def __init__(self) -> None:
        super().__init__(1, 1, 3, padding=1)
        self.seen: list[int] = []

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        self.seen.append(torch.get_num_threads())
        return super().forward(raw)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(1)
    task = SimpleNamespace(out_channels=1, channel_names=("object",), activate=torch.sigmoid)
    return Model(
        Watched().eval(),
        Selection("some:task"),
        Selection("some:network"),
        task,
        1,
        Normalization((0.5,), (0.5,)),
        (16,) * 3,
    )


@pytest.fixture
def image(rng: np.random.Generator) -> Volume:
    return Volume.from_array(rng.random((16, 32, 32), np.float32))


@pytest.fixture(autouse=True)
def _threads_of_this_process() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def plan_of(path: Path) -> dict:
    return json.loads((path / ".segkit" / "plan.json").read_text())["plan"]["made_from"]


def test_a_block_has_the_threads_that_were_asked_for(model, image, tmp_path):
    torch.set_num_threads(1)
    segkit.predict(model, image, tmp_path / "p.zarr", **BLOCKS, threads=3)
    assert set(model.network.seen) == {3}
    assert torch.get_num_threads() == 1
    assert plan_of(tmp_path / "p.zarr")["threads"] == 3
    with pytest.raises(UsageError, match="`threads` is 0; it takes a number of at least 1"):
        segkit.predict(model, image, threads=0)


def test_a_prediction_goes_on_with_the_threads_it_was_begun_with(model, image, tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    torch.set_num_threads(2)
    with pytest.raises(KeyboardInterrupt):
        segkit.predict(model, image, tmp_path / "p.zarr", **BLOCKS, progress=stop)
    torch.set_num_threads(1)
    segkit.predict(model, image, tmp_path / "p.zarr", **BLOCKS)
    assert set(model.network.seen) == {2}
    with pytest.raises(OutputExistsError, match="threads was 2, now 1"):
        segkit.predict(model, image, tmp_path / "p.zarr", **BLOCKS, threads=1)
    model.network.seen.clear()
    segkit.predict(model, image, tmp_path / "p.zarr", **BLOCKS, overwrite=True)
    assert set(model.network.seen) == {1}


def test_it_travels_with_its_threads(model, image):
    lazy = segkit.predict(model, image, **BLOCKS, threads=2).array
    torch.set_num_threads(1)
    there = pickle.loads(pickle.dumps(lazy))
    there[:, :8, :16, :16]
    assert set(there.forward.network.seen) == {2}


def test_a_lazy_prediction_of_a_model_takes_what_there_is(model, image):
    for count in (1, 2):
        torch.set_num_threads(count)
        model(image, **BLOCKS).read()
        assert model.network.seen.pop() == count


@pytest.mark.parametrize(
    ("text", "threads"),
    [
        ("tcp://host:8786", 0),
        ("local:4", 2),
        ("local:16", 1),
        ("local", 1),
        ("slurm:cores=6,processes=2", 3),
        ("pbs:", 1),
    ],
)
def test_what_a_block_has_of_the_cores_of_a_cluster(text, threads, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert ClusterSpec.parse(text).torch_threads == threads
