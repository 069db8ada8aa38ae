"""Where a patch lies: on a voxel drawn exactly uniformly from all that count, anywhere in the patch or in its middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from segkit.contracts import Sample, Task
from segkit.errors import DataError
from segkit.geometry import Box, Triple
from segkit.sampling._balance import Balance, IdPlaces
from segkit.sampling._index import LabelIndex, read_known

__all__ = ["Aim", "Place", "Placing", "changed_error"]

Array = np.ndarray[Any, Any]


class Aim(NamedTuple):
    """Which voxels count.

    Parameters
    ----------
    foreground
        Only foreground, or all that is labelled.
    id
        Of the foreground only this id; None for all of it.
    """

    foreground: bool
    id: int | None = None


class Place(NamedTuple):
    """A patch before it is read: its sample, where it lies there, and what it was aimed at."""

    which: int
    box: Box
    aim: Aim


class Placing:
    """Draws places from the counted labels.

    Parameters
    ----------
    samples, task, index
        What is drawn from.
    foreground
        Share of patches placed on foreground.
    balance, class_weights
        See `segkit.recipe.Recipe`'s sampling settings.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: Task,
        index: LabelIndex,
        *,
        foreground: float,
        balance: Balance = "none",
        class_weights: Sequence[float] = (),
    ) -> None:
        self.samples, self.task, self.index, self._foreground = samples, task, index, foreground
        self.centred = bool(getattr(task, "centred", False))
        weights = [sample.weight for sample in samples]
        by_block = np.array(weights)[index.sample_of]
        self._known = np.cumsum(by_block * index.known)
        self._objects = np.cumsum(by_block * index.foreground)
        self._ids = None
        if balance != "none" and foreground > 0 and self._objects[-1] > 0:
            self._ids = IdPlaces.of(index, weights, balance, class_weights)

    def place(self, g: np.random.Generator, patch_shape: Triple) -> Place:
        """Return where a patch of `patch_shape` lies; reads a block of labels, unless all of it counts."""
        aim, block = self._aim(g)
        which, box = self.index.box(block)
        source = self.samples[which]
        if not aim.foreground and self.index.known[block] == box.size:
            choice = int(g.integers(box.size))
        else:
            chosen = np.flatnonzero(self.counting(aim, *read_known(source, box)))
            if not len(chosen):
                raise changed_error(source, box)
            choice = int(chosen[g.integers(len(chosen))])
        voxel = np.array(np.unravel_index(choice, box.shape)) + box.start
        if self.centred:
            start = [int(v) - p // 2 for v, p in zip(voxel, patch_shape, strict=True)]
            return Place(which, Box.of_shape(patch_shape, start), aim)
        # The voxel may lie anywhere in its patch: a network that always sees objects in the middle learns just that.
        start = [
            min(max(int(v) - int(g.integers(p)), 0), n - p)
            for v, p, n in zip(voxel, patch_shape, source.raw.spatial_shape, strict=True)
        ]
        return Place(which, Box.of_shape(patch_shape, start), aim)

    def counting(self, aim: Aim, labels: Array, known: Array) -> Array:
        """Return which voxels count, bool ``(Z, Y, X)``."""
        if not aim.foreground:
            return known
        chosen = self.task.foreground(labels) & known
        if aim.id is not None:
            chosen &= labels.reshape(chosen.shape) == np.int64(aim.id).astype(labels.dtype)
        return chosen

    def _aim(self, g: np.random.Generator) -> tuple[Aim, int]:
        """Draw what counts, and a block in proportion to how much of that it holds."""
        wants_object = g.random() < self._foreground and self._objects[-1] > 0
        if wants_object and self._ids is not None:
            chosen, block = self._ids.draw(g)
            return Aim(True, chosen), block
        cumulative = self._objects if wants_object else self._known
        block = int(np.searchsorted(cumulative, g.random() * cumulative[-1], side="right").clip(0, len(cumulative) - 1))
        return Aim(bool(wants_object)), block


def changed_error(sample: Sample, box: Box) -> DataError:
    """Return the error about labels that are no longer where they were counted."""
    return DataError(
        f"The labels of sample '{sample.name}' at {box} have changed since they were counted. Let nothing write them during "
        "a training, and delete the folder 'counts' in the run folder if it goes on with labels that were edited."
    )
