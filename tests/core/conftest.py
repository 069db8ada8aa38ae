"""A complete plugin of tiny components, so that the library is tested without any built-in one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest
from annotated_types import Ge

import segkit
from segkit.geometry import Box


def tiny_dataset(*, count: Annotated[int, Ge(0)] = 1, size: int = 16, label: int = 1, seed: int = 0):
    """Blobs in noise.

    Parameters
    ----------
    count
        Samples.
    size
        Edge of a sample.
    label
        Id of the blobs.
    seed
        Seed.
    """
    samples = []
    for number in range(count):
        g = np.random.default_rng([seed, number])
        labels = np.zeros((size, size, size), np.uint8)
        for start in g.integers(0, size - 5, (3, 3)):
            labels[Box.of_shape((5, 5, 5), start).slices] = label
        raw = (100 * (labels > 0) + g.normal(100, 20, labels.shape)).clip(0, 255).astype(np.uint8)
        samples.append(
            segkit.Sample(
                f"blobs {number}",
                segkit.Volume.from_array(raw, voxel_size=(10.0, 10.0, 10.0), source=f"raw {number}"),
                segkit.Volume.from_array(labels, source=f"labels {number}"),
            )
        )
    return samples


def tiny_net(in_channels: int, out_channels: int, *, width: Annotated[int, Ge(1)] = 4, dropout: float = 0.0):
    """Two convolutions.

    Parameters
    ----------
    width
        Channels.
    dropout
        Share of dropped channels.
    """
    from torch import nn

    return nn.Sequential(
        nn.Conv3d(in_channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Dropout3d(dropout),
        nn.Conv3d(width, out_channels, 3, padding=1),
    )


class Counts:
    """Voxels right and wrong."""

    def __init__(self) -> None:
        self.sums = np.zeros(2)

    def update(self, prediction: Any, target: Any, mask: Any) -> None:
        right = ((prediction > 0.5) == (target > 0.5)) & (mask > 0)
        self.sums += [right.sum(), (mask > 0).sum()]

    def compute(self) -> dict[str, float]:
        return {"accuracy": float(self.sums[0] / self.sums[1])}


def tiny_task():
    """Foreground or not."""
    from segkit.contracts import call_network

    return SimpleNamespace(
        out_channels=1,
        channel_names=("foreground",),
        best=("accuracy", "max"),
        target=lambda patch: ((patch.labels > 0)[None].astype(np.float32), patch.mask),
        foreground=lambda labels: labels > 0,
        step=lambda network, batch, loss: loss(call_network(network, batch.raw), batch.target, batch.mask),
        activate=lambda logits: logits.sigmoid(),
        metrics=Counts,
    )


def tiny_loss(*, blow_up_below: float = -1.0):
    """Masked cross-entropy.

    Parameters
    ----------
    blow_up_below
        Loss under which it turns into NaN.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    def loss(logits, target, mask):
        value = (binary_cross_entropy_with_logits(logits, target, reduction="none") * mask).sum() / mask.sum().clamp(
            min=1
        )
        return value * float("nan") if value.item() < blow_up_below else value

    return loss


def tiny_flip():
    """Mirror x at random."""

    def flip(patch, rng):
        from dataclasses import replace

        if rng.random() < 0.5:
            return patch
        return replace(
            patch,
            raw=patch.raw[..., ::-1].copy(),
            labels=patch.labels[..., ::-1].copy(),
            mask=patch.mask[..., ::-1].copy(),
        )

    return flip


@pytest.fixture
def tiny(isolated_plugins):
    """Register the tiny components as plugin ``tiny``."""
    offered = {
        "datasets": {"blobs": tiny_dataset},
        "architectures": {"net": tiny_net},
        "tasks": {"foreground": tiny_task},
        "losses": {"bce": tiny_loss},
        "augmentations": {"flip": tiny_flip},
    }

    def hook(name):
        def implementation():
            return offered[name]

        return segkit.hookimpl(specname=f"segkit_{name}")(implementation)

    segkit.register(SimpleNamespace(**{f"segkit_{name}": hook(name) for name in offered}), "tiny")
    return offered


@pytest.fixture
def recipe_tables(tiny) -> dict[str, Any]:
    """A recipe of the tiny components, as nested tables."""
    return {
        "seed": 3,
        "task": {"name": "foreground"},
        "architecture": {"name": "net", "width": 3, "dropout": 0.2},
        "loss": {"name": "bce"},
        "augmentation": [{"name": "flip"}],
        "dataset": {"name": "blobs", "count": 2},
        "sampling": {"patch_shape": [8, 8, 8], "batch_size": 2, "workers": 2},
        "split": {"share": 0.5},
        "optimizer": {"learning_rate": 0.01},
        "training": {"steps": 12, "validate_every": 5, "ema": 0.9},
    }
