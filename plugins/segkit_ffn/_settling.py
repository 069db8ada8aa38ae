"""Where the seed of a training patch lies: in the inside of its object, as those that filling begins from.

Sampling draws any voxel of an object, and a third of those of a thin one are at its rim, where even the truth may be
in doubt. Filling begins far from edges. So a seed moves from the middle of its patch to the deepest voxel around.
"""

from __future__ import annotations

from typing import Any

import edt
import numpy as np

from segkit.geometry import Box, Triple
from segkit_ffn._movement import Movement

__all__ = ["middle_of", "settled", "steps_within"]

Array = np.ndarray[Any, Any]


def middle_of(shape: tuple[int, ...]) -> Triple:
    """Return the voxel (z, y, x) in the middle of a patch."""
    z, y, x = shape[-3:]
    return z // 2, y // 2, x // 2


def steps_within(movement: Movement, shape: tuple[int, ...]) -> Triple:
    """Return how many steps along each axis a field of view can go from the middle, within a patch of `shape`."""
    z, y, x = (room // delta if delta else 0 for room, delta in _rooms(movement, shape))
    return z, y, x


def settled(movement: Movement, inside: Array) -> Triple:
    """Return the voxel of the object in the middle of a patch that is the deepest of those around the middle.

    Around is what the patch leaves beyond whole steps of the field of view, so that all of them stay possible. Depth
    counts voxels along each axis by the steps there: where these are short, voxels are long.

    Parameters
    ----------
    movement
        How the field of view moves.
    inside
        The object, bool ``(Z, Y, X)``. Where the middle is not of it, it stays.
    """
    middle = middle_of(inside.shape)
    reach = [room % delta if delta else 0 for room, delta in _rooms(movement, inside.shape)]
    if not inside[middle] or not any(reach):
        return middle
    relative = np.max(movement.deltas) / np.maximum(movement.deltas, 1)
    # What is further away than a field of view does not matter for which is the deepest.
    far = [r + radius for r, radius in zip(reach, movement.radius, strict=True)]
    first = [m - f for m, f in zip(middle, far, strict=True)]
    seen = Box.of_shape([2 * f + 1 for f in far], first) & Box.of_shape(inside.shape)
    assert seen is not None
    depth = edt.edt(
        np.ascontiguousarray(inside[seen.slices]), anisotropy=tuple(relative), black_border=False, parallel=1
    )
    around = np.indices([2 * r + 1 for r in reach]).reshape(3, -1).T - reach
    depths = depth[tuple((around + middle - seen.start).T)]
    # Of those that are equally deep the nearest to the middle.
    best = np.lexsort((np.square(around * relative).sum(1), -depths))[0]
    z, y, x = (around[best] + middle).tolist()
    return z, y, x


def _rooms(movement: Movement, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return how far a field of view can go to each side along each axis, and how long its steps are."""
    sizes = zip(shape[-3:], movement.field_of_view, movement.deltas, strict=True)
    return [((n - view) // 2, delta) for n, view, delta in sizes]
