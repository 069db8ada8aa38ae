"""Centrelines by thinning."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from segkit.tracing import Trace, spanning_forest
from segkit.volume import Spacing
from segkit_skeletons._graph import pruned, smoothed, spaced
from segkit_skeletons._solid import distances, filled, margin, missed

Array = np.ndarray[Any, Any]

_WORTH = 27  # voxels of a piece that has more than one node


@dataclass(frozen=True)
class Thinning:
    """See `segkit_skeletons.skeleton`."""

    scale: float
    constant: float | None
    smoothing: int
    spacing: float

    def __call__(self, mask: Array, voxel_size: Spacing) -> Trace:
        """Return the trace of the object ``(Z, Y, X)``."""
        return self.finish(self.draw_part(mask, voxel_size), voxel_size)

    def draw_part(self, mask: Array, voxel_size: Spacing) -> Trace:
        """Return the centreline of an object or of a part of one, with all spurs."""
        from skimage.morphology import skeletonize

        solid = filled(mask)
        distance = distances(solid, voxel_size)
        places = np.argwhere(skeletonize(solid, method="lee"))
        lost = missed(solid, distance, places)
        if len(lost):
            places = np.concatenate([places, _revived(solid, lost)])
            places = np.concatenate([places, missed(solid, distance, places)])
        radii = distance[tuple(places.T)].astype(np.float64)
        nodes = places * np.asarray(voxel_size, np.float64)
        return Trace(nodes, spanning_forest(nodes, _neighbours(places, mask.shape), radii), radii)

    def finish(self, trace: Trace, voxel_size: Spacing) -> Trace:
        """Take spurs away, then smooth the trace and thin out its nodes."""
        trace = pruned(trace, self.scale, margin(self.constant, voxel_size))
        return spaced(smoothed(trace, self.smoothing), self.spacing)


def _revived(solid: Array, lost: Array) -> Array:
    """Return the centrelines of pieces that thinning took away as a whole, given a voxel ``(M, 3)`` of each.

    A slanted bar whose sides are of even width loses one side after the other down to nothing; made one voxel wider, it
    keeps its middle.
    """
    import cc3d
    from skimage.morphology import skeletonize

    pieces = cc3d.connected_components(solid, connectivity=26)
    found = cc3d.statistics(pieces)
    lines = [np.zeros((0, 3), np.int64)]
    for label in pieces[tuple(lost.T)].tolist():
        if found["voxel_counts"][label] >= _WORTH:
            box = found["bounding_boxes"][label]
            piece = np.pad(pieces[box] == label, 2)
            wider = piece | np.roll(piece, 1, axis=2)
            line = np.argwhere(skeletonize(wider, method="lee"))
            line[~piece[tuple(line.T)], 2] -= 1
            lines.append(np.unique(line, axis=0) - 2 + [part.start for part in box])
    return np.concatenate(lines)


def _neighbours(places: Array, shape: tuple[int, ...]) -> Array:
    """Return the pairs ``(E, 2)`` of voxels ``(V, 3)`` that touch, if only with a corner; none is at the border."""
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    flat = places @ strides
    order = np.argsort(flat)
    ranked = flat[order]
    pairs = [np.zeros((0, 2), np.int64)]
    for step in product((-1, 0, 1), repeat=3):
        if step > (0, 0, 0):
            wanted = flat + np.array(step) @ strides
            at = np.minimum(np.searchsorted(ranked, wanted), len(ranked) - 1)
            found = np.flatnonzero(ranked[at] == wanted)
            pairs.append(np.stack([found, order[at[found]]], 1))
    return np.concatenate(pairs)
