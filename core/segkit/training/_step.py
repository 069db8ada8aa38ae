"""One optimizer step, with what makes it safe: non-finite numbers stop the training before they reach the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.addressing import address
from segkit.contracts import Batch, parts_of
from segkit.errors import DivergedError
from segkit.training._distributed import World
from segkit.training._setup import Setup

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["autocast", "computed", "seed_draws", "take_step", "to_device", "update_average"]

ADVICE = (
    "The weights from before are kept. Start a new run with a lower optimizer.learning_rate (a third, say), with "
    'training.precision = "float32", or with a smaller training.clip.'
)


def to_device(batch: Batch, device: torch.device, layout: str) -> Batch:
    """Return the batch on a device, its images in a layout, which the network's layers then hand on."""
    import torch

    raw, target, mask = (tensor.to(device, non_blocking=True) for tensor in (batch.raw, batch.target, batch.mask))
    if layout == "channels_last":  # copied, as a single channel would be passed on as it lies
        raw = torch.empty_like(raw, memory_format=torch.channels_last_3d).copy_(raw)
    return Batch(raw, target, mask, batch.origins)


def autocast(setup: Setup) -> torch.autocast:
    """Return the context in which the network computes in the recipe's precision."""
    import torch

    precision = setup.recipe.training.precision
    return torch.autocast(setup.device.type, getattr(torch, precision), enabled=precision != "float32")


def computed(setup: Setup, network: nn.Module, batch: Batch) -> Iterator[tuple[Tensor, float]]:
    """Yield the parts of the loss of a batch and their weights, each computed in the recipe's precision when asked for."""
    with autocast(setup):
        parts = iter(parts_of(setup.task.step(network, batch, setup.loss)))
    while True:
        with autocast(setup):  # around the task's work alone: gradients are computed outside
            part = next(parts, None)
        if part is None:
            return
        yield part


def seed_draws(device: torch.device, seed: int) -> None:
    """Seed what a network on a device may draw from.

    `torch.manual_seed` seeds all kinds of devices; without CUDA it writes down each time who asked for that.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def take_step(
    setup: Setup, network: nn.Module, batches: Iterator[Batch], scaler: Any, step: int, rate: float, world: World
) -> float:
    """Do one optimizer step and return the loss, averaged over its batches and processes.

    Raises
    ------
    DivergedError
        If loss or gradient are not finite; the weights are then as they were.
    """
    import torch

    training = setup.recipe.training
    # Dropout and whatever else draws inside the network draws from this step's own numbers.
    seed_draws(setup.device, address(setup.recipe.seed, step, world.rank, "network"))
    for group in setup.optimizer.param_groups:
        group["lr"] = rate
    setup.optimizer.zero_grad(set_to_none=True)
    sums = np.zeros(3)  # of the losses, of their weights, and whether one of them is not finite
    origins: list[str] = []
    for _ in range(training.accumulation):
        batch = to_device(next(batches), setup.device, training.layout)
        origins += batch.origins
        for part, weight in computed(setup, network, batch):
            loss = part * weight
            sums += [float(loss.detach()), weight, 0.0]
            if not np.isfinite(sums[0]):
                break
            scaler.scale(loss).backward()
    # Processes meet only here: one may have more parts than another.
    sums[2] = not np.isfinite(sums[0])
    sums = world.sum(sums)
    mean, weight = float(sums[0] / sums[1]), float(sums[1])
    if sums[2]:
        raise DivergedError(f"The loss of step {step + 1} is {mean} (patches: {'; '.join(origins)}). {ADVICE}")
    world.add_gradients(setup.network)
    scaler.unscale_(setup.optimizer)
    if weight != 1:
        torch._foreach_div_([p.grad for p in setup.network.parameters() if p.grad is not None], weight)
    norm = torch.nn.utils.clip_grad_norm_(setup.network.parameters(), training.clip or float("inf"))
    # The scaler of fp16 skips a step that overflowed and lowers its scale; anywhere else it is the end.
    if not scaler.is_enabled() and not torch.isfinite(norm):
        raise DivergedError(f"The gradient of step {step + 1} is not finite (patches: {'; '.join(origins)}). {ADVICE}")
    scaler.step(setup.optimizer)
    scaler.update()
    update_average(setup, step)
    return mean


def update_average(setup: Setup, step: int) -> None:
    """Move the running average of the weights one step; early on it forgets faster, or it would keep the random start."""
    import torch

    if setup.average is None:
        return
    decay = min(setup.recipe.training.ema or 0.0, (1 + step) / (10 + step))
    current = setup.network.state_dict()
    with torch.no_grad():
        for name, kept in setup.average.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(current[name], 1 - decay)
            else:
                kept.copy_(current[name])
