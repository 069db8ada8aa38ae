"""Which segment each of many positions lies in: only the blocks of a volume that hold any are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.execution import Failure, run
from segkit.geometry import Box
from segkit.progress import Progress, silent
from segkit.volume import Volume

__all__ = ["inside", "segments_at"]

Array = np.ndarray[Any, Any]

_LARGEST = 2**24  # voxels of a block, where chunks are larger
_UNCHUNKED = 64  # voxels along each axis of a block, where there are no chunks


def inside(volume: Volume, positions: Array) -> Array:
    """Return which positions ``(N, 3)``, in the unit of the volume, lie in one of its voxels."""
    voxels = _voxels(volume, positions)
    within: Array = np.all((voxels >= 0) & (voxels < np.array(volume.spatial_shape)), axis=1)
    return within


def segments_at(volume: Volume, positions: Array, *, workers: int | None = None, progress: Progress = silent) -> Array:
    """Return the id at each position, uint64 ``(N,)``.

    Parameters
    ----------
    volume
        A segmentation of one channel.
    positions
        Places ``(N, 3)`` in its unit, all of them inside.
    workers
        How many threads read; None takes up to 4.
    progress
        Called with the blocks read and the blocks in all.

    Raises
    ------
    DataError
        If the segmentation cannot be read there, or has negative ids.
    """
    voxels = _voxels(volume, positions).astype(np.int64)
    grid = (voxels - np.array(volume.chunk_start)) // np.array(_block(volume))
    counts = grid.max(axis=0, initial=0) + 1
    codes = (grid[:, 0] * counts[1] + grid[:, 1]) * counts[2] + grid[:, 2]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    blocks = np.split(order, starts[1:]) if len(order) else []
    found = np.zeros(len(voxels), np.uint64)
    progress(0, len(blocks))
    work = _Lookup(volume, voxels, blocks)
    for done, (index, ids) in enumerate(run(work, range(len(blocks)), workers=workers), 1):
        if isinstance(ids, Failure):
            raise ids.error if isinstance(ids.error, Exception) else DataError(ids.reason)
        found[blocks[index]] = ids
        progress(done, len(blocks))
    return found


@dataclass(frozen=True, eq=False)
class _Lookup:
    """Called with the index of a block: the ids at the voxels in it."""

    volume: Volume
    voxels: Array
    blocks: list[Array]

    def __call__(self, index: int) -> Array:
        voxels = self.voxels[self.blocks[index]]
        start, stop = voxels.min(axis=0), voxels.max(axis=0) + 1
        box = Box.of_shape((stop - start).tolist(), start.tolist())
        ids = self.volume.read(box).reshape(box.shape)[tuple((voxels - start).T)]
        if ids.dtype.kind == "i" and ids.min() < 0:
            raise DataError(
                f"Ids are 0 (background) or above, and there is {int(ids.min())} in {self.volume.source} at {box}. Write it again "
                "with another id for what is not known."
            )
        return np.asarray(ids, np.uint64)


def _voxels(volume: Volume, positions: Array) -> Array:
    voxels: Array = np.rint((positions - np.array(volume.offset)) / np.array(volume.voxel_size))
    return voxels


def _block(volume: Volume) -> list[int]:
    """Return the shape of a chunk, or of a part of one that is very large."""
    shape = [min(n, c) for n, c in zip(volume.spatial_shape, (volume.chunks or (_UNCHUNKED,) * 3)[-3:], strict=True)]
    while math.prod(shape) > _LARGEST:
        axis = shape.index(max(shape))
        shape[axis] = -(-shape[axis] // 2)
    return shape
