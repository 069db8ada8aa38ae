"""What is read of the data: all of it where it is small, seeded blocks and seeded samples where it is large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.addressing import rng
from segkit.contracts import Sample
from segkit.geometry import Box, Lattice, Triple

__all__ = ["BUDGET", "Reading", "plan_reading"]

BUDGET = 2**31  # bytes of voxels that are read in all
_WHOLE = 2**27  # bytes of labels that are in memory at once; larger samples are read in blocks
_RAW = 2**30  # bytes of an image that is read whole
_AT_ONCE = 2**22  # numbers of an image in memory at once
_BLOCK = 2**21  # voxels of a block of a sample that is not read whole
_SMALLEST = 2**15  # and at least, where little may be read
_FEWEST = 32  # samples that are read however large they are


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of one sample.

    Parameters
    ----------
    which
        Number of the sample.
    pieces
        Regions in which labels are read, which do not overlap; a single one where the sample is read whole.
    parts
        Regions in which the image is read, which are those pieces cut smaller.
    share
        Share of the sample's voxels that these are, 0..1.
    """

    which: int
    pieces: tuple[Box, ...]
    parts: tuple[Box, ...]
    share: float


def plan_reading(samples: Sequence[Sample], *, budget: int = BUDGET, seed: int = 0) -> tuple[Reading, ...]:
    """Choose what is read.

    Parameters
    ----------
    samples
        All there are.
    budget
        Bytes that may be read, but for one block of each of 32 samples.
    seed
        Decides which blocks and samples.
    """
    wanted = [min(_bytes(sample), budget // 8) for sample in samples]
    order = list(range(len(samples)))
    if sum(wanted) > budget:
        taken = 0
        chosen: list[int] = []
        for number in rng(seed, 0, 0, "analysed samples").permutation(len(samples)):
            taken += wanted[number]
            if taken > budget and len(chosen) >= _FEWEST:
                break
            chosen.append(int(number))
        order = sorted(chosen)
    allowed = max(1, budget // max(1, len(order)))
    allowed = max(allowed, budget // 8 if sum(wanted[n] for n in order) <= budget else allowed)
    return tuple(_reading(which, samples[which], allowed, seed) for which in order)


def _bytes(sample: Sample) -> int:
    return sample.raw.nbytes + sum(v.nbytes for v in (sample.labels, sample.mask) if v is not None)


def _reading(which: int, sample: Sample, allowed: int, seed: int) -> Reading:
    known = [v.nbytes for v in (sample.labels, sample.mask) if v is not None]
    whole = max(known, default=0) <= _WHOLE and sample.raw.nbytes <= _RAW and _bytes(sample) <= max(allowed, _AT_ONCE)
    box, chunk = sample.raw.box, _chunk(sample)
    if whole:
        shape = _grown(chunk, box.shape, max(1, _AT_ONCE // sample.raw.channels), flat=True)
        return Reading(which, (box,), tuple(Lattice(box, shape)), 1.0)
    voxel = max(1, _bytes(sample) // box.size)
    shape = _grown(chunk, box.shape, min(_BLOCK, max(_SMALLEST, allowed // (8 * voxel))), flat=False)
    lattice = Lattice(box, shape)
    per_block = voxel * math.prod(shape)
    count = min(len(lattice), max(1, allowed // per_block))
    numbers = rng(seed, 0, which, "analysed blocks").choice(len(lattice), count, replace=False)
    pieces = tuple(lattice[int(number)] for number in sorted(numbers))
    part = _grown(chunk, shape, max(1, _AT_ONCE // sample.raw.channels), flat=True)
    parts = tuple(cut for piece in pieces for cut in Lattice(piece, part))
    return Reading(which, pieces, parts, sum(piece.size for piece in pieces) / box.size)


def _chunk(sample: Sample) -> Triple:
    z, y, x = (sample.raw.chunks or (1, 64, 64))[-3:]
    while z * y * x > _BLOCK:  # huge chunks are read in parts
        z, y, x = (max(1, -(-z // 2)), -(-y // 2), -(-x // 2))
    return z, y, x


def _grown(chunk: Triple, extent: Triple, voxels: int, *, flat: bool) -> Triple:
    """Return whole chunks of up to about `voxels`: slabs across the sample if they are to be `flat`, else about cubic."""
    shape = [min(c, n) for c, n in zip(chunk, extent, strict=True)]
    while True:
        open_axes = [axis for axis in (2, 1, 0) if shape[axis] < extent[axis]]
        if not open_axes or 2 * math.prod(shape) > voxels:
            return shape[0], shape[1], shape[2]
        axis = open_axes[0] if flat else min(open_axes, key=lambda a: shape[a])
        shape[axis] = min(2 * shape[axis], extent[axis])
