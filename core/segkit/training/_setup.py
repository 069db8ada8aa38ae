"""From a recipe to everything the loop needs, built and checked before the first step."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit._choice import written_at
from segkit.addressing import address
from segkit.contracts import Loss, Sample, Task, channels_for
from segkit.errors import DataError
from segkit.geometry import Box
from segkit.model import Model
from segkit.recipe import Recipe
from segkit.registry import registries
from segkit.sampling import (
    CountsFile,
    LabelIndex,
    Sampler,
    check_patch_shape,
    estimate_normalization,
    keep_decoded,
    split_samples,
    validation_boxes,
)
from segkit.training._events import Preparing
from segkit.training._optimization import build_optimizer

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Setup", "prepare", "weighted_sum"]


@dataclass(frozen=True, eq=False)
class Setup:
    """What the loop works with.

    Parameters
    ----------
    recipe
        What was asked.
    task
        What is learnt.
    sampler
        Draws training patches.
    validation
        Reads validation patches; None for no validation.
    boxes
        The patches that validation scores.
    network
        The network that is trained, on its device.
    average
        A copy of it that holds the running average of its weights; None for no average.
    loss
        The weighted sum of the recipe's losses.
    optimizer
        The optimizer over the weights of `network`.
    device
        Where the network is.
    """

    recipe: Recipe
    task: Task
    sampler: Sampler
    validation: Sampler | None
    boxes: Sequence[tuple[int, Box]]
    network: nn.Module
    average: nn.Module | None
    loss: Loss
    optimizer: torch.optim.Optimizer
    device: torch.device

    @property
    def fingerprint(self) -> str:
        """Text that changes when the data do: their places, extents, types and times of writing."""
        return _fingerprint([*self.sampler.samples, *self._held_out])

    @property
    def training_fingerprint(self) -> str:
        """The same of the training data alone."""
        return _fingerprint(self.sampler.samples)

    @property
    def validation_fingerprint(self) -> str:
        """The same of the validation data alone; empty where there are none."""
        return _fingerprint(self._held_out) if self._held_out else ""

    @property
    def _held_out(self) -> Sequence[Sample]:
        return self.validation.samples if self.validation else ()

    def model(self, details: dict[str, Any]) -> Model:
        """Return the network (its average, where there is one) as a model."""
        raw = self.sampler.samples[0].raw
        return Model(
            self.average or self.network,
            self.recipe.task,
            self.recipe.architecture,
            self.task,
            raw.channels,
            self.sampler.normalization,
            self.recipe.sampling.patch_shape,
            raw.voxel_size,
            raw.unit,
            self.recipe.training.precision,
            details,
        )


def _fingerprint(samples: Sequence[Sample]) -> str:
    volumes = [v for s in samples for v in (s.raw, s.labels, s.mask) if v is not None]
    facts = [(v.source, v.shape, str(v.dtype), v.offset, written_at(v)) for v in volumes]
    return blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def weighted_sum(recipe: Recipe) -> Loss:
    """Return the loss that a recipe minimises."""
    parts = [(choice.weight, choice.build("losses")) for choice in recipe.loss]

    def loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        total: Tensor = sum(weight * part(logits, target, mask) for weight, part in parts)
        return total

    return loss


def prepare(
    recipe: Recipe, device: torch.device, folder: Path, *, processes: int = 1, leads: bool = True
) -> Generator[Preparing, None, Setup]:
    """Open the data, count labels, and build network, loss and optimizer.

    Parameters
    ----------
    recipe
        What was asked.
    device
        Where the network goes.
    folder
        The run folder, which keeps the counts of the labels.
    processes, leads
        Processes that train together, and whether this is the one that writes.

    Raises
    ------
    DataError
        If the data are broken, or hold nothing to learn from.
    UsageError
        If a component refuses its options, or a patch does not fit.
    """
    import torch

    settings = recipe.sampling
    task: Task = recipe.task.build("tasks")
    samples = list(recipe.dataset.build("datasets"))
    if not samples:
        raise DataError(
            f"The dataset '{recipe.dataset.name}' has no sample. Check what it names: {dict(recipe.dataset.options)}."
        )
    if recipe.validation_dataset is not None:
        held_out = list(recipe.validation_dataset.build("datasets"))
    else:
        samples, held_out = split_samples(samples, recipe.split, settings.patch_shape)
    check_patch_shape(samples, settings.patch_shape, settings.planes)
    budget = settings.memory * 2**20
    samples, kept = keep_decoded(samples, budget)
    held_out, _ = keep_decoded(held_out, budget - kept)
    version = registries["tasks"][recipe.task.name].plugin.version
    file = CountsFile(folder, f"{recipe.task.name} {sorted(recipe.task.options.items())} {version}")

    def counted(samples: Sequence[Sample], ids: bool) -> Generator[Preparing, None, LabelIndex]:
        counting = file.building(samples, task.foreground, ids=ids, workers=settings.workers, write=leads)
        while True:
            try:
                yield Preparing(*next(counting))
            except StopIteration as end:
                index: LabelIndex = end.value
                return index

    normalization = estimate_normalization(samples, settings.normalization, recipe.seed, settings.non_finite)
    index = yield from counted(samples, settings.balance != "none" and settings.foreground > 0)
    sampler = Sampler(
        samples,
        task,
        index,
        normalization,
        patch_shape=settings.patch_shape,
        foreground=settings.foreground,
        balance=settings.balance,
        class_weights=settings.class_weights,
        planes=settings.planes,
        reuse=1 if kept else settings.reuse,
        memory=budget,
        patches=settings.batch_size * recipe.training.accumulation,
        processes=processes,
        augmentations=[(choice.name, choice.build("augmentations")) for choice in recipe.augmentation],
        seed=recipe.seed,
        non_finite=settings.non_finite,
    )
    validation: Sampler | None = None
    boxes: list[tuple[int, Box]] = []
    if held_out:
        found = yield from counted(held_out, False)
        # Its patches may reach beyond a small sample; what lies there is masked out, so every patch shape will do.
        validation = Sampler(
            held_out, task, found, normalization, patch_shape=settings.patch_shape, non_finite=settings.non_finite
        )
        limit, centred = recipe.training.validation_patches, bool(getattr(task, "centred", False))
        boxes = validation_boxes(held_out, found, settings.patch_shape, limit, centred=centred)
    # Weights depend on the seed alone, whatever was drawn before in this process.
    torch.manual_seed(address(recipe.seed, 0, 0, "weights"))
    channels = channels_for(task, samples[0].raw.channels)
    network = recipe.architecture.build("architectures", channels, task.out_channels)
    if recipe.initializer is not None:
        recipe.initializer.build("initializers")(network)
    network.to(device)
    average = None
    if recipe.training.ema is not None:
        average = deepcopy(network).eval().requires_grad_(False)
    optimizer = build_optimizer(recipe.optimizer, (p for p in network.parameters() if p.requires_grad))
    return Setup(recipe, task, sampler, validation, boxes, network, average, weighted_sum(recipe), optimizer, device)
