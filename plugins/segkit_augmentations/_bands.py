"""Linear changes along one axis of an image, each value a weighted sum of some neighbours: blurring and resampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.compiling import compiled

__all__ = ["along", "gaussian", "resampling"]

Array = np.ndarray[Any, Any]
LANES = 16
"""Rows along x that are worked on at a time, side by side, so that the processor can take them in one go."""


def gaussian(length: int, sigma: float) -> tuple[Array, Array]:
    """Return the band of a Gaussian blur that reflects the image at the outermost voxels.

    Parameters
    ----------
    length
        Number of voxels along the axis.
    sigma
        Standard deviation in voxels, above 0; the Gaussian ends at three of them.

    Returns
    -------
    tuple
        As `along` takes it.
    """
    reach = max(int(3 * sigma + 0.5), 1)
    offsets = np.arange(-reach, reach + 1)
    bell = np.exp(-0.5 * (offsets / sigma) ** 2)
    at, last = np.arange(length)[:, None], max(length - 1, 1)
    width = min(2 * reach + 1, length)
    first = np.clip(at - reach, 0, length - width)
    reflected = np.abs((at + offsets + last) % (2 * last) - last) if length > 1 else 0 * (at + offsets)
    weights = np.zeros((length, width), np.float32)
    np.add.at(weights, (at, reflected - first), bell / bell.sum())
    return first[:, 0], weights


def resampling(length: int, factor: float) -> tuple[Array, Array]:
    """Return the band that averages voxels into longer ones, and interpolates linearly between these.

    Parameters
    ----------
    length
        Number of voxels along the axis.
    factor
        How much longer the others are, above 1.

    Returns
    -------
    tuple
        As `along` takes it.
    """
    few = max(round(length / factor), 1)
    size = length / few
    at = np.arange(length)[:, None]
    place = np.clip((at + 0.5) / size - 0.5, 0, few - 1)
    cell = np.minimum(place.astype(np.int64), max(few - 2, 0))
    width = min(int(2 * size) + 2, length)
    first = np.minimum((cell * size).astype(np.int64), length - width)
    voxel = first + np.arange(width)

    def share(cell: Array) -> Array:
        """Return how much of a longer voxel lies in each of those voxels."""
        overlap = np.minimum((cell + 1) * size, voxel + 1) - np.maximum(cell * size, voxel)
        return np.asarray(np.clip(overlap, 0, None) / size)

    weights = share(cell) * (1 - (place - cell)) + share(cell + 1) * (place - cell)
    return first[:, 0], weights.astype(np.float32)


@compiled(fused=True)
def _sum(source: Any, first: Any, weights: Any, out: Any) -> None:
    """Fill each row of `out` with a weighted sum of rows of `source`."""
    for i in range(len(out)):
        row = out[i]
        row[:] = 0
        for j in range(weights.shape[1]):
            other, weight = source[first[i] + j], weights[i, j]
            for x in range(len(row)):
                row[x] += weight * other[x]


@compiled(fused=True)
def along(image: Any, axis: int, first: Any, weights: Any) -> Any:
    """Return an image of which every value is a weighted sum along an axis.

    Parameters
    ----------
    image
        Float32 ``(Z, Y, X)``.
    axis
        0, 1 or 2.
    first
        For each voxel of the axis, the first that counts, int64 ``(n,)``.
    weights
        The weights from there on, float32 ``(n, m)``.
    """
    depth, height, width = image.shape
    out = np.empty_like(image)
    if axis == 0:
        _sum(image.reshape(depth, height * width), first, weights, out.reshape(depth, height * width))
    elif axis == 1:
        for z in range(depth):
            _sum(image[z], first, weights, out[z])
    else:
        rows, rows_out = image.reshape(depth * height, width), out.reshape(depth * height, width)
        columns, columns_out = np.empty((width, LANES), np.float32), np.empty((width, LANES), np.float32)
        for start in range(0, len(rows), LANES):
            some = min(LANES, len(rows) - start)
            for r in range(some):
                for x in range(width):
                    columns[x, r] = rows[start + r, x]
            _sum(columns, first, weights, columns_out)
            for r in range(some):
                for x in range(width):
                    rows_out[start + r, x] = columns_out[x, r]
    return out
