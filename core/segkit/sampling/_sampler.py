"""One training patch by its address: where it lies, what is read there, and what augmentation makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from segkit.addressing import rng
from segkit.contracts import Normalization, Patch, Sample, Task
from segkit.errors import UsageError
from segkit.geometry import Box, Triple
from segkit.sampling._index import LabelIndex, read_known
from segkit.sampling._statistics import non_finite_error

__all__ = ["Sampler", "Example"]

Array = np.ndarray[Any, Any]
Augment = Callable[[Patch, np.random.Generator], Patch]


@dataclass(frozen=True, eq=False)
class Example:
    """A patch as the network sees it.

    Parameters
    ----------
    raw
        Normalised image, float32 ``(C, Z, Y, X)``.
    target, mask
        What the task made of the labels.
    origin
        Where it came from, for messages.
    """

    raw: Array
    target: Array
    mask: Array
    origin: str


def check_patch_shape(samples: Sequence[Sample], patch_shape: Triple) -> None:
    """Refuse a patch that does not fit into every sample.

    Raises
    ------
    UsageError
        Naming the sample, and a shape that fits.
    """
    for sample in samples:
        fits = tuple(min(p, n) for p, n in zip(patch_shape, sample.raw.spatial_shape, strict=True))
        if fits != tuple(patch_shape):
            raise UsageError(
                f"`sampling.patch_shape` is {tuple(patch_shape)}, but sample '{sample.name}' has only "
                f"{sample.raw.spatial_shape} voxels (z, y, x). A patch shape of {fits} would fit."
            )


class Sampler:
    """Draws patches from samples.

    Parameters
    ----------
    samples
        What is trained on.
    task
        Makes targets, and says what is foreground.
    index
        Where labels are.
    normalization
        Scaling of the image.
    patch_shape
        Shape of a patch in voxels, ``(z, y, x)``.
    foreground
        Share of patches placed on foreground, 0..1; where there is none they fall anywhere that labels are known.
    augmentations
        Pairs of a name and the augmentation, applied in order.
    seed
        Seed of the run.
    non_finite
        Whether voxels that are NaN or infinite are an error, or are left out of the loss.

    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: Task,
        index: LabelIndex,
        normalization: Normalization,
        *,
        patch_shape: Triple,
        foreground: float = 0.0,
        augmentations: Sequence[tuple[str, Augment]] = (),
        seed: int = 0,
        non_finite: Literal["refuse", "mask"] = "refuse",
    ) -> None:
        self.samples, self.task, self.index, self.normalization = tuple(samples), task, index, normalization
        self.patch_shape, self.augmentations, self.seed = patch_shape, tuple(augmentations), seed
        self._foreground, self._non_finite = foreground, non_finite
        weights = np.array([sample.weight for sample in samples])[index.sample_of]
        self._known = np.cumsum(weights * index.known)
        self._objects = np.cumsum(weights * index.foreground)

    def position(self, step: int, sample: int) -> tuple[int, Box]:
        """Return which sample a training patch comes from, and its region there."""
        g = rng(self.seed, step, sample, "position")
        wants_object = g.random() < self._foreground and self._objects[-1] > 0
        cumulative = self._objects if wants_object else self._known
        block = int(np.searchsorted(cumulative, g.random() * cumulative[-1], side="right").clip(0, len(cumulative) - 1))
        which, box = self.index.box(block)
        source = self.samples[which]
        if not wants_object and self.index.known[block] == box.size:
            choice = int(g.integers(box.size))
        else:
            labels, known = read_known(source, box)
            chosen = np.flatnonzero(known & self.task.foreground(labels) if wants_object else known)
            choice = int(chosen[g.integers(len(chosen))])
        voxel = np.array(np.unravel_index(choice, box.shape)) + box.start
        # The voxel may lie anywhere in its patch: a network that always sees objects in the middle learns just that.
        start = [
            min(max(int(v) - int(g.integers(p)), 0), n - p)
            for v, p, n in zip(voxel, self.patch_shape, source.raw.spatial_shape, strict=True)
        ]
        return which, Box.of_shape(self.patch_shape, start)

    def training_example(self, step: int, sample: int) -> Example:
        """Return training patch `sample` of `step`, augmented."""
        patch = self._read(*self.position(step, sample))
        for number, (name, augment) in enumerate(self.augmentations):
            patch = augment(patch, rng(self.seed, step, sample, f"augmentation/{number}/{name}"))
        return self._example(patch)

    def example_at(self, which: int, box: Box) -> Example:
        """Return the patch at `box` of sample `which`, as it is; what lies beyond the sample is masked out."""
        return self._example(self._read(which, box))

    def _read(self, which: int, box: Box) -> Patch:
        sample = self.samples[which]
        patch = sample.read(box)
        mask = patch.mask
        raw = self.normalization(patch.raw)
        if patch.raw.dtype.kind == "f":
            finite = np.isfinite(patch.raw).all(axis=0)
            if not finite.all():
                if self._non_finite == "refuse":
                    raise non_finite_error(sample, box, np.asarray(finite))
                raw, mask = np.where(finite, raw, np.float32(0)), mask & finite
        return replace(patch, raw=raw, mask=mask)

    def _example(self, patch: Patch) -> Example:
        target, mask = self.task.target(patch)
        return Example(np.ascontiguousarray(patch.raw, np.float32), target, mask, patch.origin)
