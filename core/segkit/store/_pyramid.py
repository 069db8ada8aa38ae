"""Coarser and coarser copies of a volume: which axes shrink at each level, and how voxels are merged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from segkit.geometry import Box, Lattice, Triple

__all__ = ["level_factors", "level_shape", "reduce_block", "shrink"]

_COARSEST = 256
_MOST_LEVELS = 16


def level_factors(shape: Sequence[int], voxel_size: Sequence[float], count: int | None = None) -> tuple[Triple, ...]:
    """Return how many voxels of the finest level one voxel of each level covers, ``(z, y, x)``, finest level first.

    An axis is halved where its voxels are not yet half as long again as the shortest, so that anisotropic voxels
    become isotropic; an axis of one voxel stays.

    Parameters
    ----------
    shape, voxel_size
        Of the finest level, ``(z, y, x)``.
    count
        Number of levels, the finest included; None goes on until no axis is longer than 256 voxels. There are fewer
        where nothing is left to halve.
    """
    factors: list[Triple] = [(1, 1, 1)]
    while len(factors) < (_MOST_LEVELS if count is None else count):
        last = factors[-1]
        lengths = level_shape(shape, last)
        if count is None and max(lengths) <= _COARSEST:
            break
        sizes = [v * f for v, f in zip(voxel_size, last, strict=True)]
        shortest = min((s for s, n in zip(sizes, lengths, strict=True) if n > 1), default=0.0)
        halved = [n > 1 and s < 1.5 * shortest for n, s in zip(lengths, sizes, strict=True)]
        if not any(halved):
            break
        factors.append(cast("Triple", tuple(f * (2 if h else 1) for f, h in zip(last, halved, strict=True))))
    return tuple(factors)


def level_shape(shape: Sequence[int], factor: Sequence[int]) -> Triple:
    """Return the shape of a level; a voxel at the far border may cover fewer voxels than the others."""
    return cast("Triple", tuple(-(-n // f) for n, f in zip(shape, factor, strict=True)))


def shrink(voxels: np.ndarray[Any, Any], step: Sequence[int], *, labels: bool) -> np.ndarray[Any, Any]:
    """Merge neighbouring voxels of ``(…, Z, Y, X)``.

    Parameters
    ----------
    voxels
        What is merged; at the far border the last voxel is repeated.
    step
        How many are merged along ``(z, y, x)``, 1 or 2 each.
    labels
        Whether the values are ids: the first of each group is then taken. Otherwise their mean, rounded half to even
        for integers.
    """
    spatial = voxels.shape[-3:]
    if labels:
        return np.ascontiguousarray(voxels[..., :: step[0], :: step[1], :: step[2]])
    margins = [(0, 0)] * (voxels.ndim - 3) + [(0, -n % s) for n, s in zip(spatial, step, strict=True)]
    padded = np.pad(voxels, margins, mode="edge") if any(after for _, after in margins) else voxels
    precise = np.float32 if voxels.dtype.itemsize <= 2 or voxels.dtype == np.float32 else np.float64
    total: Any = 0
    for z, y, x in itertools.product(*(range(s) for s in step)):
        total = total + padded[..., z :: step[0], y :: step[1], x :: step[2]].astype(precise)
    mean = total / (step[0] * step[1] * step[2])
    if voxels.dtype.kind in "iu":
        mean = np.rint(mean)
    return cast("np.ndarray[Any, Any]", mean.astype(voxels.dtype))


def reduce_block(
    read: Callable[[Box], np.ndarray[Any, Any]], extent: Box, step: Triple, box: Box, *, labels: bool
) -> np.ndarray[Any, Any]:
    """Compute one block of a level from the next finer one, in pieces, so that no more than a block is in memory.

    Parameters
    ----------
    read
        Reads a box of the finer level.
    extent
        All of the finer level.
    step
        How many of its voxels make one along ``(z, y, x)``.
    box
        The block, in voxels of the coarser level.
    labels
        See `shrink`.
    """
    pieces = Lattice(box, cast("Triple", tuple(-(-n // s) for n, s in zip(box.shape, step, strict=True))))
    block: np.ndarray[Any, Any] | None = None
    for piece in pieces:
        finer = Box(
            cast("Triple", tuple(a * s for a, s in zip(piece.start, step, strict=True))),
            cast("Triple", tuple(min(b * s, n) for b, s, n in zip(piece.stop, step, extent.stop, strict=True))),
        )
        merged = shrink(read(finer), step, labels=labels)
        if block is None:
            block = np.empty((*merged.shape[:-3], *box.shape), merged.dtype)
        block[(..., *piece.relative_to(box.start).slices)] = merged
    assert block is not None
    return block
