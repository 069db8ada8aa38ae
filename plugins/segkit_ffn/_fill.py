"""Space that flood filling left over: objects grow into it where the image allows, and what then remains is cut too.

A flood-filling network stays away from membranes, and it gives up thin and small processes. The first is a matter of few
voxels, which objects take by growing; the second leaves whole pieces of neurites, each mostly by itself.
"""

from __future__ import annotations

import math
from typing import Any

import cc3d
import edt
import numpy as np
from scipy.ndimage import gaussian_filter

from segkit.compiling import compiled
from segkit.geometry import Triple
from segkit.volume import Spacing

__all__ = ["grown", "growing_halo", "membranes", "with_leftovers"]

Array = np.ndarray[Any, Any]

_SMOOTHING = 0.5  # voxels of the finest axis
_STEEP = 6.0  # logarithm of how much more a step costs where the image differs by one
_RANGE = 4.0  # heights beyond it cost no more, and no less
_DETOUR = 24  # steps beyond those of the straight way, which may go around corners


def membranes(image: Array, voxel_size: Spacing, bright: bool) -> Array:
    """Return how much each voxel looks like a membrane.

    Parameters
    ----------
    image
        ``(C, Z, Y, X)``, normalised: its standard deviation is about 1.
    voxel_size
        ``(z, y, x)``.
    bright
        Whether membranes are brighter than what is around them.

    Returns
    -------
    numpy.ndarray
        ``(Z, Y, X)`` float32.
    """
    spread = [_SMOOTHING * min(voxel_size) / size for size in voxel_size]
    height: Array = gaussian_filter(image.mean(0, dtype=np.float32), spread, mode="nearest", truncate=3)
    return height if bright else -height


def growing_halo(reach: int) -> Triple:
    """Return how far around a voxel (z, y, x) lies what says whether an object grows to it."""
    far = _steps(reach) + reach + 2  # a way there, how near objects are to the end of it, and smoothing
    return far, far, far


def _steps(reach: int) -> int:
    return 2 * reach + _DETOUR


def grown(ids: Array, height: Array, voxel_size: Spacing, reach: int) -> Array:
    """Let objects grow into the empty space near them, across membranes last.

    A voxel goes to the object from which the way to it costs least; membranes cost a multiple. Ways have a limited
    number of steps, so that in a part of a volume each voxel goes to the same object as in the whole, except less
    than `growing_halo` from where it was cut.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` unsigned integers; 0 is empty.
    height
        From `membranes`.
    voxel_size
        ``(z, y, x)``.
    reach
        How far objects grow at most, in voxels of the finest axis.

    Returns
    -------
    numpy.ndarray
        As `ids`; objects only gain voxels.
    """
    empty = ids == 0
    if empty.all() or not empty.any():
        return ids
    relative = tuple(size / min(voxel_size) for size in voxel_size)
    near = empty & (edt.edt(np.ascontiguousarray(empty), anisotropy=relative, black_border=False, parallel=1) <= reach)
    found = np.ascontiguousarray(ids).copy()
    _grow(found.reshape(-1), found.shape, np.flatnonzero(near), height.reshape(-1), _steps(reach))
    return found


@compiled
def _grow(ids: Array, shape: tuple[int, int, int], near: Array, height: Array, steps: int) -> None:
    """Give each voxel of `near` to the object with the cheapest way of at most so many steps; ties go to the smaller id."""
    depth, rows, columns = shape
    spent = np.where(ids == 0, np.inf, 0.0)
    cost = np.empty(near.size, np.float64)
    for n in range(near.size):
        cost[n] = math.exp(_STEEP * min(max(float(height[near[n]]), -_RANGE), _RANGE))
    new, total = np.empty(near.size, ids.dtype), np.empty(near.size, np.float64)
    for _ in range(steps):
        changed = False
        for n in range(near.size):
            at = near[n]
            z, y, x = at // (rows * columns), at // columns % rows, at % columns
            best, least = ids[at], spent[at]
            for side in range(6):
                axis = side // 2
                place, last = (z, depth) if axis == 0 else (y, rows) if axis == 1 else (x, columns)
                stride = rows * columns if axis == 0 else columns if axis == 1 else 1
                if (place == 0) if side % 2 == 0 else (place == last - 1):
                    continue
                other = at - stride if side % 2 == 0 else at + stride
                if ids[other] == 0:
                    continue
                way = spent[other] + cost[n]
                if way < least or (way == least and ids[other] < best):
                    best, least = ids[other], way
            changed |= best != ids[at] or least != spent[at]
            new[n], total[n] = best, least
        if not changed:
            return
        for n in range(near.size):  # together, so that no order of voxels matters
            ids[near[n]], spent[near[n]] = new[n], total[n]


def with_leftovers(ids: Array, taken: Array, min_size: int) -> Array:
    """Make objects of the connected parts of what is left.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` unsigned integers; 0 is empty.
    taken
        ``(Z, Y, X)`` bool: what is not left, such as where objects will grow.
    min_size
        Parts of fewer voxels stay empty.

    Returns
    -------
    numpy.ndarray
        ``(Z, Y, X)`` uint32; new objects have ids above those that are there.
    """
    found = ids.astype(np.uint32)
    parts = cc3d.dust(~taken, threshold=min_size, connectivity=6)
    parts = cc3d.connected_components(parts, connectivity=6, out_dtype=np.uint32)
    new = parts != 0
    found[new] = parts[new] + found.max(initial=0)
    return found
