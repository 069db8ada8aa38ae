"""Scoring the network on the validation grid, as sums over all patches and processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from segkit.contracts import respond
from segkit.sampling import load_batches
from segkit.training._distributed import World
from segkit.training._setup import Setup
from segkit.training._step import autocast, computed, to_device

if TYPE_CHECKING:
    from torch import nn

__all__ = ["is_better", "validate"]


def validate(
    setup: Setup, network: nn.Module, world: World, stop: Callable[[], bool]
) -> tuple[float, dict[str, float]] | None:
    """Return the mean loss (weighted by known voxels) and the metrics; None if it was asked to stop in between."""
    import torch

    assert setup.validation is not None
    sampling = setup.recipe.sampling
    mine = setup.boxes[world.rank :: world.size]
    groups = [mine[at : at + sampling.batch_size] for at in range(0, len(mine), sampling.batch_size)]
    metrics = setup.task.metrics()
    losses = np.zeros(2)
    was_training, stopped = network.training, False
    network.eval()
    with torch.inference_mode():
        for batch in load_batches(groups, setup.validation.example_at, workers=sampling.workers):
            stopped = stop()
            if stopped:
                break
            batch = to_device(batch, setup.device, setup.recipe.training.layout)
            parts = np.array([(float(part), weight) for part, weight in computed(setup, network, batch)])
            loss = np.average(parts[:, 0], weights=parts[:, 1])
            with autocast(setup):
                logits = respond(setup.task, network, batch)
            weight = float(batch.mask.sum())
            losses += [loss * weight, weight]
            prediction = setup.task.activate(logits.float())
            metrics.update(prediction.cpu().numpy(), batch.target.cpu().numpy(), batch.mask.cpu().numpy())
    network.train(was_training)
    if world.any(stopped):
        return None
    losses = world.sum(losses)
    metrics.sums = world.sum(metrics.sums)
    return float(losses[0] / losses[1]) if losses[1] else float("nan"), metrics.compute()


def is_better(score: float, best: float | None, direction: str) -> bool:
    """Return whether a score beats the best so far; one that is not finite never does."""
    if not np.isfinite(score):
        return False
    return best is None or (score > best if direction == "max" else score < best)
