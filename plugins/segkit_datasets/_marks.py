"""Labels in which an object is a mark, such as a click on its centre: each mark is grown to a ball when it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import Any

import numpy as np

from segkit import Volume
from segkit.volume import ArrayLike, Spacing

__all__ = ["grown"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Grown:
    """An array-like whose voxels carry the id of the nearest mark within `radius`."""

    array: ArrayLike
    radius: float
    spacing: Spacing
    unlabelled: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        from scipy.ndimage import distance_transform_edt

        wide, inner = [], []
        reach = (0,) * (len(key) - 3) + tuple(floor(self.radius / step) for step in self.spacing)
        for part, size, more in zip(key, self.shape, reach, strict=True):
            start, stop, _ = part.indices(size)
            first = max(0, start - more)
            wide.append(slice(first, min(size, stop + more)))
            inner.append(slice(start - first, stop - first))
        labels = np.asarray(self.array[tuple(wide)])
        volume = labels.reshape(labels.shape[-3:])
        marks = volume != 0
        if self.unlabelled is not None:
            marks &= volume != self.unlabelled
        if not marks.any():
            return labels[tuple(inner)]
        away, nearest = distance_transform_edt(~marks, sampling=self.spacing, return_indices=True)
        balls = np.where(away <= self.radius, volume[tuple(nearest)], volume)
        return np.asarray(balls.reshape(labels.shape)[tuple(inner)])


def grown(labels: Volume, radius: float, unlabelled: int | None) -> Volume:
    """Return labels in which every mark is a ball with the mark's id; where balls meet, the nearer mark wins.

    Parameters
    ----------
    labels
        A single channel of ids.
    radius
        Of the balls, in voxels of the finest axis.
    unlabelled
        The id that is no mark; None where all but 0 are.
    """
    finest = min(labels.voxel_size)
    z, y, x = (size / finest for size in labels.voxel_size)
    return replace(labels, array=_Grown(labels.array, radius, (z, y, x), unlabelled), levels=())
