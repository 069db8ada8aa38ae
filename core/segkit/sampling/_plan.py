"""How large neighbourhoods are and how many are alive at once, so that what is decoded stays within its budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.contracts import Sample
from segkit.geometry import Triple

__all__ = ["Reuse", "plan_reuse", "voxel_bytes"]

_TOGETHER = 16  # neighbourhoods from which the patches of a few steps come, where the budget allows it
_SPARE = 2  # neighbourhoods in memory beside those alive: one that is being replaced, one that found no room


@dataclass(frozen=True, slots=True)
class Reuse:
    """What neighbourhoods are like.

    Parameters
    ----------
    times
        Patches drawn from each neighbourhood; 1 for none at all, every patch being read by itself.
    spread
        Steps between two patches of one neighbourhood.
    cells
        For each shape of patch (more than one where planes differ) the shape of the cell in each sample, in voxels.
    budget
        Bytes that decoded neighbourhoods may take.
    """

    times: int
    spread: int = 1
    cells: tuple[tuple[Triple, ...], ...] = ()
    budget: int = 0


def voxel_bytes(sample: Sample) -> int:
    """Return the bytes of a voxel in memory: its channels, labels, and whether it is known and counts."""
    labels = sample.labels
    return (
        sample.raw.channels * sample.raw.dtype.itemsize
        + (1 if labels is None else labels.channels * labels.dtype.itemsize)
        + 2
    )


def _largest(sample: Sample, patch: Triple, cell: Triple) -> int:
    """Return the bytes of the largest neighbourhood of these cells."""
    shape = (min(c - 1 + p, n) for c, p, n in zip(cell, patch, sample.raw.spatial_shape, strict=True))
    return math.prod(shape) * voxel_bytes(sample)


def _natural(sample: Sample, patch: Triple) -> Triple:
    """Return cells of whole chunks, about half a patch long at least: what is decoded is used, and patches differ."""
    chunks = [1, 1, 1]
    for volume in (sample.raw, sample.labels):
        if volume is not None and volume.chunks:
            chunks = [max(a, b) for a, b in zip(chunks, volume.chunks[-3:], strict=True)]
    cell = [max(1, -(-p // (2 * c))) * c for p, c in zip(patch, chunks, strict=True)]
    z, y, x = (min(c, n) for c, n in zip(cell, sample.raw.spatial_shape, strict=True))
    return z, y, x


def _shrunk(sample: Sample, patch: Triple, cell: Triple, limit: int) -> Triple:
    """Halve cells, longest first, until a neighbourhood fits or nothing is left to halve."""
    sides = list(cell)
    while _largest(sample, patch, (sides[0], sides[1], sides[2])) > limit and max(sides) > 1:
        axis = max((a for a in range(3) if sides[a] > 1), key=lambda a: sides[a] / patch[a])
        sides[axis] = -(-sides[axis] // 2)
    return sides[0], sides[1], sides[2]


def plan_reuse(
    samples: Sequence[Sample], shapes: Sequence[Triple], times: int, patches: int, processes: int, budget: int
) -> Reuse:
    """Choose cells and spread.

    While the budget does not bind, the plan depends on the patches of a step over all processes alone, so that two
    processes draw what one with twice the batch would.

    Parameters
    ----------
    samples
        What is drawn from.
    shapes
        Shapes that a patch may have.
    times
        Patches to draw from each neighbourhood.
    patches
        Patches of a step in this process.
    processes
        Number of processes.
    budget
        Bytes for decoded neighbourhoods, in this process.
    """
    stored = any(volume is not None and volume.chunks for s in samples for volume in (s.raw, s.labels))
    if times == 1 or not stored:
        return Reuse(1)
    cells = [[_natural(sample, shape) for sample in samples] for shape in shapes]
    largest = max(
        _largest(s, shape, c)
        for shape, row in zip(shapes, cells, strict=True)
        for s, c in zip(samples, row, strict=True)
    )
    wanted = -(-_TOGETHER // (patches * processes))
    spread = min(wanted, (budget // largest - _SPARE) // patches)
    if spread < 1:
        spread, limit = 1, budget // (patches + _SPARE)
        cells = [
            [_shrunk(s, shape, c, limit) for s, c in zip(samples, row, strict=True)]
            for shape, row in zip(shapes, cells, strict=True)
        ]
        for shape, row in zip(shapes, cells, strict=True):
            if any(_largest(s, shape, c) > limit for s, c in zip(samples, row, strict=True)):
                return Reuse(1)
    return Reuse(times, spread, tuple(map(tuple, cells)), budget)
