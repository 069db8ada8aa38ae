"""What all tracers need of an object: its distances, no cavities, and a node for pieces too small to have a skeleton."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.volume import Spacing

Array = np.ndarray[Any, Any]


def margin(constant: float | None, voxel_size: Spacing) -> float:
    """Return what is near a path whatever its radius: as chosen, or ten voxels."""
    return 10 * max(voxel_size) if constant is None else constant


def filled(mask: Array) -> Array:
    """Return a mask without cavities; its outermost voxels are background."""
    import cc3d

    outside = cc3d.connected_components(~mask, connectivity=6)
    solid: Array = outside != outside[0, 0, 0]
    return solid


def distances(mask: Array, voxel_size: Spacing) -> Array:
    """Return the distance of each voxel centre to that of the nearest background voxel."""
    import edt

    distance: Array = edt.edt(np.ascontiguousarray(mask), anisotropy=voxel_size, black_border=False, parallel=1)
    return distance


def missed(mask: Array, distance: Array, nodes: Array) -> Array:
    """Return the deepest voxel ``(M, 3)`` of each piece of the mask in which no node ``(V, 3)`` lies."""
    import cc3d

    pieces, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    have = np.zeros(count + 1, bool)
    have[0] = True
    have[pieces[tuple(nodes.T)]] = True
    if have.all():
        return np.zeros((0, 3), np.int64)
    places = np.flatnonzero(~have[pieces])
    piece, depth = pieces.ravel()[places], distance.ravel()[places]
    order = np.lexsort((places, -depth, piece))
    deepest = order[np.unique(piece[order], return_index=True)[1]]
    return np.stack(np.unravel_index(places[deepest], mask.shape), 1)
