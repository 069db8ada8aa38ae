"""One training patch by its address: where it lies, what is read there, and what augmentation makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from segkit.addressing import rng
from segkit.contracts import Normalization, Patch, Sample, Task
from segkit.geometry import Box, Triple
from segkit.sampling._balance import Balance
from segkit.sampling._index import LabelIndex
from segkit.sampling._placing import Placing
from segkit.sampling._plan import plan_reuse
from segkit.sampling._reuse import Neighbourhoods
from segkit.sampling._shapes import Planes, orient, shapes_of
from segkit.sampling._statistics import non_finite_error

__all__ = ["Sampler", "Example"]

Array = np.ndarray[Any, Any]

Augment = Callable[[Patch, np.random.Generator], Patch]
Room = Callable[[tuple[int, ...]], Array]
"""Gives the array of a shape, float32, to normalise an image into."""


@dataclass(frozen=True, eq=False)
class Example:
    """A patch as the network sees it.

    Parameters
    ----------
    raw
        Normalised image, float32 ``(C, Z, Y, X)``.
    target, mask
        What the task made of the labels; the mask may be a look at voxels that other patches share.
    origin
        Where it came from, for messages.
    """

    raw: Array
    target: Array
    mask: Array
    origin: str


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
    balance, class_weights
        What each patch on foreground is aimed at: any voxel, a class or an object; see `segkit.recipe.Recipe`. Anything
        but ``"none"`` needs an index with ids.
    planes
        ``"xy"``, or ``"all"`` for slices along y and x too, turned so that the axis they are cut along comes first.
    reuse
        Patches drawn from each decoded neighbourhood; 1 reads every patch by itself.
    memory
        Bytes that decoded neighbourhoods may take.
    patches, processes
        Patches of a step in this process, and processes that train together.
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
        balance: Balance = "none",
        class_weights: Sequence[float] = (),
        planes: Planes = "xy",
        reuse: int = 1,
        memory: int = 512 * 2**20,
        patches: int = 1,
        processes: int = 1,
        augmentations: Sequence[tuple[str, Augment]] = (),
        seed: int = 0,
        non_finite: Literal["refuse", "mask"] = "refuse",
    ) -> None:
        self.samples, self.task, self.normalization = tuple(samples), task, normalization
        self.patch_shape, self.augmentations, self.seed = patch_shape, tuple(augmentations), seed
        self._non_finite, self._shapes = non_finite, shapes_of(patch_shape, planes)
        self._placing = Placing(
            self.samples, task, index, foreground=foreground, balance=balance, class_weights=class_weights
        )
        self.index = replace(index, pairs=None)  # sorted by now, and large where objects are many
        self.reuse = plan_reuse(self.samples, self._shapes, reuse, patches, processes, memory)
        self.neighbourhoods: Neighbourhoods | None = None
        if self.reuse.times > 1:
            self.neighbourhoods = Neighbourhoods(self.samples, self._placing, self._shapes, self.reuse, seed)

    def position(self, step: int, sample: int) -> tuple[int, Box]:
        """Return which sample a training patch comes from, and its region there."""
        g = rng(self.seed, step, sample, "position")
        if self.neighbourhoods is not None:
            near = self.neighbourhoods.at(step, sample)
            return near.place.which, near.draw(g)
        plane = 0
        if len(self._shapes) > 1:
            plane = int(rng(self.seed, step, sample, "plane").integers(len(self._shapes)))
        which, box, _ = self._placing.place(g, self._shapes[plane])
        return which, box

    def training_patch(self, step: int, sample: int) -> Patch:
        """Return training patch `sample` of `step` in the numbers of the file, neither normalised nor augmented."""
        patch = orient(self._drawn(step, sample)[2], self.patch_shape)
        return replace(patch, raw=np.array(patch.raw), labels=np.array(patch.labels), mask=np.array(patch.mask))

    def training_example(self, step: int, sample: int, room: Room | None = None) -> Example:
        """Return training patch `sample` of `step`, augmented.

        The image is normalised into what `room` gives, and stays there if no augmentation makes another one of it.
        """
        which, box, patch = self._drawn(step, sample)
        patch = self._scaled(which, box, orient(patch, self.patch_shape), room)
        for number, (name, augment) in enumerate(self.augmentations):
            patch = augment(patch, rng(self.seed, step, sample, f"augmentation/{number}/{name}"))
        return self._example(patch)

    def example_at(self, which: int, box: Box, room: Room | None = None) -> Example:
        """Return the patch at `box` of sample `which`, as it is; what lies beyond the sample is masked out."""
        return self._example(self._scaled(which, box, self.samples[which].read(box), room))

    def _drawn(self, step: int, sample: int) -> tuple[int, Box, Patch]:
        if self.neighbourhoods is None:
            which, box = self.position(step, sample)
            return which, box, self.samples[which].read(box)
        near = self.neighbourhoods.at(step, sample)
        which, box = near.place.which, near.draw(rng(self.seed, step, sample, "position"))
        return which, box, near.patch(self.samples[which], box)

    def _scaled(self, which: int, box: Box, patch: Patch, room: Room | None) -> Patch:
        mask = patch.mask
        raw = self.normalization(patch.raw, None if room is None else room(patch.raw.shape))
        if patch.raw.dtype.kind == "f":
            finite = np.isfinite(patch.raw).all(axis=0)
            if not finite.all():
                if self._non_finite == "refuse":
                    raise non_finite_error(self.samples[which], box, np.reshape(finite, box.shape))
                raw[:, ~finite], mask = 0, mask & finite
        return replace(patch, raw=raw, mask=mask)

    def _example(self, patch: Patch) -> Example:
        target, mask = self.task.target(patch)
        return Example(np.asarray(patch.raw, np.float32), target, mask, patch.origin)
