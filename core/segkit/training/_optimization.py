"""Optimizers, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from segkit.errors import UsageError
from segkit.recipe import Optimizer, Schedule

if TYPE_CHECKING:
    import torch

__all__ = ["build_optimizer", "highest_rate", "learning_rate_at"]


def build_optimizer(settings: Optimizer, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe over `parameters`."""
    from torch import optim

    chosen = list(parameters)
    rate, decay, momentum = settings.learning_rate, settings.weight_decay, settings.momentum
    if settings.name == "sgd":
        return optim.SGD(chosen, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0)
    if settings.name == "rmsprop":
        return optim.RMSprop(chosen, lr=rate, weight_decay=decay, momentum=momentum)
    kind = optim.AdamW if settings.name == "adamw" else optim.Adam
    return kind(chosen, lr=rate, weight_decay=decay, betas=(momentum, 0.999))


def highest_rate(settings: Optimizer, network: torch.nn.Module) -> float:
    """Return the learning rate that the schedule lowers, scaled by how many residual branches the network has.

    Raises
    ------
    UsageError
        If it should be scaled, and the network has none.
    """
    if settings.depth_power == 0:
        return settings.learning_rate
    branches = sum(hasattr(module, "residual_branch") for module in network.modules())
    if not branches:
        raise UsageError(
            f"`optimizer.depth_power` is {settings.depth_power:g}, but no module of this {type(network).__name__} has a "
            "`residual_branch`, by which its depth is known. Set it to 0, or choose a residual network such as deep_fc, "
            "attention_resunet or ffn."
        )
    return float(settings.learning_rate / branches**settings.depth_power)


def learning_rate_at(step: int, steps: int, rate: float, schedule: Schedule, drops: int = 0) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    step
        Steps done before it.
    steps
        Steps in all.
    rate
        Highest learning rate.
    schedule
        How it changes.
    drops
        How often ``plateau`` has lowered it so far.
    """
    if step < schedule.warmup:
        return rate * (step + 1) / (schedule.warmup + 1)
    behind, length = step - schedule.warmup, max(1, steps - schedule.warmup)
    share = 1.0
    if schedule.name == "step":
        share = schedule.factor ** (behind // schedule.every)
    elif schedule.name == "plateau":
        share = schedule.factor**drops
    elif schedule.name == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * min(1.0, behind / length)))
    elif schedule.name == "cosine_restarts":  # SGDR, Loshchilov and Hutter 2017, equation 5
        period = float(schedule.every)
        while behind >= period:
            behind -= int(period)
            period *= schedule.stretch
        share = 0.5 * (1 + math.cos(math.pi * behind / period))
    if schedule.name.startswith("cosine"):
        return rate * (schedule.floor + (1 - schedule.floor) * share)
    return rate * max(schedule.floor, share)
