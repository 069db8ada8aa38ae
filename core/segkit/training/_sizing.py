"""What a training step takes, from doing one or two, and the largest patch for which that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segkit._resident import Peak, free_memory
from segkit.contracts import Normalization, Sample, Task, channels_for
from segkit.errors import DataError
from segkit.geometry import Box, Triple
from segkit.model import choose_device
from segkit.recipe import Recipe
from segkit.sampling import Example, stack
from segkit.training._optimization import build_optimizer
from segkit.training._setup import Setup, weighted_sum
from segkit.training._step import computed, to_device

if TYPE_CHECKING:
    from torch import nn

__all__ = ["StepCost", "largest_patch", "step_cost"]

SHARE_OF_MEMORY = 0.8
SIDES = (16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)
SIZE_OF_TRIALS = 2**15  # voxels of the smaller one; the larger has eight times as many


@dataclass(frozen=True)
class StepCost:
    """What one training step takes.

    Parameters
    ----------
    patch_shape, batch_size
        What it is a step of.
    memory
        Bytes that it takes beyond the program itself; of the GPU if it computes there. None where the system does not tell.
    memory_free
        Bytes that were free before it; None likewise.
    seconds
        Time of a step, without reading the patch.
    device
        Where it was done.
    """

    patch_shape: Triple
    batch_size: int
    memory: int | None
    memory_free: int | None
    seconds: float
    device: str

    def __str__(self) -> str:
        parts = [f"{self.batch_size} x {' x '.join(map(str, self.patch_shape))} voxels (z, y, x)"]
        if self.memory is not None:
            free = "" if self.memory_free is None else f" of {self.memory_free / 2**30:.3g} GiB free"
            parts.append(f"{self.memory / 2**30:.2g} GiB{free}")
        parts.append(f"{self.seconds:.2g} s a step on {self.device}")
        return ", ".join(parts)


class _Trial:
    """A network that is trained on what lies in the middle of the first sample, whatever is known there."""

    def __init__(self, recipe: Recipe) -> None:
        import torch

        self.recipe = recipe
        self.device = torch.device(choose_device(recipe.training.device))
        self.task: Task = recipe.task.build("tasks")
        self.samples: Sequence[Sample] = list(recipe.dataset.build("datasets"))
        if not self.samples:
            raise DataError(f"The dataset '{recipe.dataset.name}' has no sample. Check what it names.")
        channels = channels_for(self.task, self.samples[0].raw.channels)
        self.network: nn.Module = recipe.architecture.build("architectures", channels, self.task.out_channels)
        self.network.to(self.device).train()
        self.optimizer = build_optimizer(recipe.optimizer, (p for p in self.network.parameters() if p.requires_grad))
        self.loss = weighted_sum(recipe)
        self.free = self._free()

    def _free(self) -> int | None:
        import torch

        return torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else free_memory()

    def _step(self, shape: Triple) -> None:
        setup = cast("Setup", SimpleNamespace(recipe=self.recipe, device=self.device, task=self.task, loss=self.loss))
        batch = to_device(
            stack([self._example(shape)] * self.recipe.sampling.batch_size), self.device, self.recipe.training.layout
        )
        self.optimizer.zero_grad(set_to_none=True)
        for part, weight in computed(setup, self.network, batch):
            (part * weight).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _example(self, shape: Triple) -> Example:
        sample = self.samples[0]
        start = [(n - side) // 2 for n, side in zip(sample.raw.spatial_shape, shape, strict=True)]
        patch = sample.read(Box.of_shape(shape, start))
        raw = np.nan_to_num(patch.raw.astype(np.float32))
        scale = Normalization((float(raw.mean()),) * len(raw), (float(raw.std()) or 1.0,) * len(raw))
        target, mask = self.task.target(replace(patch, raw=scale(raw)))
        return Example(scale(raw), target, mask, patch.origin)

    def cost(self, shape: Triple) -> StepCost:
        """Do two steps: the first sets libraries up for this shape, the second is timed."""
        import torch

        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        with Peak(enabled=self.device.type == "cpu") as peak:
            self._step(shape)
            seconds = self._timed(shape)
        memory = torch.cuda.max_memory_allocated(self.device) if cuda else peak.grown
        return StepCost(shape, self.recipe.sampling.batch_size, memory, self.free, seconds, str(self.device))

    def _timed(self, shape: Triple) -> float:
        import torch

        began = perf_counter()
        self._step(shape)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter() - began


def step_cost(recipe: Recipe) -> StepCost:
    """Do a training step as a recipe says, and tell what it took; nothing is kept of it.

    Labels are not counted, so that this takes seconds for data of any size. Best called in a fresh process: memory that an
    earlier step has given back is not seen to be taken again.

    Raises
    ------
    SegkitError
        As `segkit.training.fit` does.
    """
    return _Trial(recipe).cost(recipe.sampling.patch_shape)


def largest_patch(recipe: Recipe, *, share: float = SHARE_OF_MEMORY, seconds: float = 1.0) -> StepCost:
    """Find the largest patch of even sides whose step fits the memory and does not take too long.

    Two small patches are tried; what they take, grown with the voxels, says what larger ones will.

    Parameters
    ----------
    recipe
        What is trained; its patch shape says no more than whether slices or volumes are. A task whose patches are about
        their middle voxel keeps the recipe's own.
    share
        Share of the free memory that may be taken, 0..1.
    seconds
        Longest time of a step.

    Raises
    ------
    SegkitError
        As `segkit.training.fit` does.
    """
    trial = _Trial(recipe)
    if getattr(trial.task, "centred", False) or getattr(trial.task, "own_channels", 0):
        return trial.cost(recipe.sampling.patch_shape)
    shapes = _shapes(trial.samples, trial.network, recipe)
    first = _nearest(shapes, SIZE_OF_TRIALS)
    second = _nearest(shapes, 8 * prod(first))
    if first == second:
        first = shapes[0]
    if first == second:
        return trial.cost(first)
    costs = [trial.cost(first), trial.cost(second)]
    chosen = _predicted(costs, shapes[0])
    for shape in shapes:
        expected = _predicted(costs, shape)
        fits = (
            expected.memory is None or expected.memory_free is None or expected.memory <= share * expected.memory_free
        )
        if fits and expected.seconds <= seconds:
            chosen = expected
    return chosen


def _predicted(costs: Sequence[StepCost], shape: Triple) -> StepCost:
    """Return what a step of a shape will take: memory and time are straight lines over the voxels."""
    small, large = costs
    part = (prod(shape) - prod(small.patch_shape)) / (prod(large.patch_shape) - prod(small.patch_shape))

    def at(one: float, other: float) -> float:
        return max(one + part * (other - one), min(one, other) * min(1.0, prod(shape) / prod(small.patch_shape)))

    memory = None if small.memory is None or large.memory is None else int(at(small.memory, large.memory))
    return replace(large, patch_shape=shape, memory=memory, seconds=at(small.seconds, large.seconds))


def _nearest(shapes: Sequence[Triple], voxels: int) -> Triple:
    return min(shapes, key=lambda shape: abs(prod(shape) - voxels))


def _shapes(samples: Sequence[Sample], network: Any, recipe: Recipe) -> list[Triple]:
    """Return patch shapes of about even sides in nm that the network takes and the data hold, the smallest first."""
    stride = (1, 1, 1, *(getattr(network, "stride", None) or ()))[-3:]
    flat = recipe.sampling.patch_shape[0] == 1 or bool(getattr(network, "planar", False))
    left = 1 - (recipe.split.share if recipe.validation_dataset is None and len(samples) < 5 else 0)
    room = [int(left * min(s.raw.spatial_shape[a] for s in samples)) for a in range(3)]
    z_size, *in_plane = samples[0].raw.voxel_size

    def fitted(side: float, axis: int) -> int:
        step = int(stride[axis])
        return max(min(step, room[axis]), min(round(side / step), room[axis] // step) * step)

    found: list[Triple] = []
    for side in SIDES:
        depth = 1 if flat else fitted(side * min(in_plane) / z_size, 0)
        shape = (depth, fitted(side, 1), fitted(side, 2))
        if shape not in found:
            found.append(shape)
    return found
