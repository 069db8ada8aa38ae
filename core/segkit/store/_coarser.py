"""A volume as it looks from further away, merged as it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from segkit.errors import UsageError
from segkit.geometry import Box, Lattice, Triple
from segkit.store._pyramid import level_factors, level_shape, shrink
from segkit.volume import Spacing, Volume

__all__ = ["coarser"]

_PIECE = 256  # finer voxels along each axis that are read at once


def coarser(volume: Volume, times: int, *, labels: bool = False) -> Volume:
    """Return a volume with its voxels halved in number along each axis, several times, without reading any.

    Axes whose voxels are longer than the others' are left as they are until the others have caught up, as in a pyramid.

    Parameters
    ----------
    volume
        The volume; levels that it has are not used.
    times
        How often, from 1 up.
    labels
        Whether the voxels are ids, of which one of each group is kept instead of the mean.

    Raises
    ------
    UsageError
        If the volume has too few voxels to be halved so often.
    """
    factors = level_factors(volume.spatial_shape, volume.voxel_size, times + 1)
    if len(factors) <= times:
        raise UsageError(
            f"{volume.source} has {volume.spatial_shape} voxels (z, y, x), which cannot be halved {times} times. Ask for "
            f"{len(factors) - 1} times at most."
        )
    factor = factors[-1]
    spaces = list(zip(volume.offset, factor, volume.voxel_size, strict=True))
    return replace(
        volume,
        array=_Coarser(volume, factors, labels),
        voxel_size=cast("Spacing", tuple(f * v for _, f, v in spaces)),
        offset=cast("Spacing", tuple(o + (f - 1) / 2 * v for o, f, v in spaces)),
        chunks=None,
        levels=(),
        metadata={},
    )


@dataclass(frozen=True)
class _Coarser:
    """An array-like that reads what it merges piece by piece, so that memory does not depend on how much that is."""

    volume: Volume
    factors: tuple[Triple, ...]
    labels: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.volume.shape[:-3], *level_shape(self.volume.spatial_shape, self.factors[-1]))

    @property
    def dtype(self) -> Any:
        return self.volume.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        factor = self.factors[-1]
        box = Box(*zip(*((part.start, part.stop) for part in key[-3:]), strict=True))
        found = np.empty((*self.volume.shape[:-3], *box.shape), self.dtype)
        for piece in Lattice(box, cast("Triple", tuple(max(1, _PIECE // f) for f in factor))):
            first = [a * f for a, f in zip(piece.start, factor, strict=True)]
            last = [min(b * f, n) for b, f, n in zip(piece.stop, factor, self.volume.spatial_shape, strict=True)]
            voxels = self.volume.read(Box(cast("Triple", tuple(first)), cast("Triple", tuple(last))))
            for finer, next_one in zip(self.factors, self.factors[1:], strict=False):
                step = [b // a for a, b in zip(finer, next_one, strict=True)]
                voxels = shrink(voxels, step, labels=self.labels)
            found[(..., *piece.relative_to(box.start).slices)] = voxels
        return found[key[:-3]]
