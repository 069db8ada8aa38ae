"""Space that flood filling left over: objects grow into it where the image allows, and what then remains is cut too.

A flood-filling network stays away from membranes, and it gives up thin and small processes. The first is a matter of few
voxels, which a watershed on the image fills; the second leaves whole pieces of neurites, each mostly by itself.
"""

from __future__ import annotations

from typing import Any

import bioimage_cpp.segmentation as bio
import cc3d
import edt
import numpy as np
from scipy.ndimage import gaussian_filter

from segkit.volume import Spacing

__all__ = ["grown", "membranes", "with_leftovers"]

Array = np.ndarray[Any, Any]

_SMOOTHING = 0.5  # voxels of the finest axis


def membranes(ids: Array, image: Array, voxel_size: Spacing, reach: float) -> tuple[Array, Array]:
    """Return how much each voxel looks like a membrane, and the empty voxels near objects.

    What a membrane looks like is found in the image: the mean difference between what is empty near objects, which mostly
    are membranes, and the objects.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` integers; 0 is empty.
    image
        ``(C, Z, Y, X)``.
    voxel_size
        ``(z, y, x)``.
    reach
        How near is near, in voxels of the finest axis.

    Returns
    -------
    tuple
        ``(Z, Y, X)`` float32, without a scale, and ``(Z, Y, X)`` bool.
    """
    empty = ids == 0
    height = np.zeros(ids.shape, np.float32)
    if empty.all() or not empty.any():
        return height, np.zeros(ids.shape, bool)
    relative = tuple(size / min(voxel_size) for size in voxel_size)
    near = empty & (edt.edt(np.ascontiguousarray(empty), anisotropy=relative, black_border=False, parallel=1) <= reach)
    spread = [_SMOOTHING / size for size in relative]
    for channel in image:
        values = np.asarray(channel, np.float32)
        difference = values[near].mean() - values[~empty].mean()
        height += difference * gaussian_filter(values, spread, mode="nearest", truncate=3)
    return height, near


def grown(ids: Array, height: Array, near: Array) -> Array:
    """Let objects grow into the empty space near them by a watershed, which crosses membranes last.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` integers; 0 is empty.
    height, near
        From `membranes`.

    Returns
    -------
    numpy.ndarray
        ``(Z, Y, X)`` uint32; objects only gain voxels.
    """
    found: Array = bio.watershed(height, ids.astype(np.uint32), mask=near | (ids != 0))
    return found


def with_leftovers(ids: Array, min_size: int) -> Array:
    """Make objects of the connected parts of what is empty.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` integers; 0 is empty.
    min_size
        Parts of fewer voxels stay empty.

    Returns
    -------
    numpy.ndarray
        ``(Z, Y, X)`` uint32; new objects have ids above those that are there.
    """
    found = ids.astype(np.uint32)
    parts = cc3d.dust(found == 0, threshold=min_size, connectivity=6)
    parts = cc3d.connected_components(parts, connectivity=6, out_dtype=np.uint32)
    new = parts != 0
    found[new] = parts[new] + found.max(initial=0)
    return found
