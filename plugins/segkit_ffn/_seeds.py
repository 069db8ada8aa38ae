"""Where objects are begun: in the middle between the edges of an image, or between boundaries that a network predicted."""

from __future__ import annotations

from typing import Any, Literal

import edt
import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max

from segkit.geometry import Triple
from segkit.volume import Spacing

__all__ = ["Order", "edges", "peaks"]

Array = np.ndarray[Any, Any]
Order = Literal["distance", "position"]

_SMOOTHING = 49 / 6  # voxels; over which the strength of an edge is compared with its surroundings
_NOISE = 1e-4  # voxels; less than distances differ by, so that it only chooses between equals
_APART = 3  # voxels between two seeds


def edges(image: Array, voxel_size: Spacing) -> Array:
    """Return where an image ``(C, Z, Y, X)`` changes more than it does on average around, bool ``(Z, Y, X)``.

    The magnitude of the Sobel gradient is compared with itself, smoothed by a Gaussian of 49/6 voxels of the finest axis,
    as in Januszewski et al. (2018).
    """
    strength = np.zeros(image.shape[1:], np.float32)
    for channel in image:
        strength += ndimage.generic_gradient_magnitude(np.asarray(channel, np.float32), ndimage.sobel)
    sigma = [_SMOOTHING * min(voxel_size) / size for size in voxel_size]
    return np.asarray(strength > ndimage.gaussian_filter(strength, sigma))


def peaks(walls: Array, voxel_size: Spacing, margin: Triple, order: Order = "distance") -> Array:
    """Return voxels that are further from all walls than those around them.

    Parameters
    ----------
    walls
        ``(Z, Y, X)``, true where no object can be begun.
    voxel_size
        ``(z, y, x)``; distances are physical.
    margin
        How far from all sides of the volume seeds have to be, in voxels (z, y, x).
    order
        ``position``: by z, y and x, as in the published algorithm. ``distance``: the most distant first, which begins with
        what is surely the inside of an object; after them come seeds of objects that are thickest in the margin.

    Returns
    -------
    numpy.ndarray
        ``(N, 3)`` int64.
    """
    relative = tuple(size / min(voxel_size) for size in voxel_size)
    open_ = np.ascontiguousarray(~walls)
    distance = edt.edt(open_, anisotropy=relative, black_border=False, parallel=1)
    if not walls.any():
        distance = np.ones(walls.shape, np.float32)
    distance += np.random.RandomState(42).random_sample(distance.shape) * _NOISE
    found = _maxima(distance)
    found = found[((found >= margin) & (found < np.subtract(walls.shape, margin))).all(1)]
    if order == "position":
        return np.asarray(found[np.lexsort(found.T[::-1])])
    inner = tuple(slice(m, n - m) for m, n in zip(margin, walls.shape, strict=True))
    others = _maxima(distance[inner]) + np.array(margin)
    known = set(map(tuple, found.tolist()))
    others = others[[tuple(seed) not in known for seed in others.tolist()]]
    return np.concatenate([part[np.argsort(-distance[tuple(part.T)], kind="stable")] for part in (found, others)])


def _maxima(distance: Array) -> Array:
    """Return voxels ``(N, 3)`` int64 that are above 0 and those around them."""
    found = peak_local_max(distance, min_distance=_APART, threshold_abs=0, threshold_rel=0, exclude_border=False)
    return np.asarray(found, np.int64)
