"""Somata: finding the ball that is much thicker than the neurites, and making one root node of all that is in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from segkit.geometry import Triple
from segkit.tracing._forest import spanning_forest
from segkit.tracing._trace import SOMA, Trace
from segkit.volume import Spacing

__all__ = ["Cells", "cell_shape", "cells_of", "find_soma", "with_soma"]

Array = np.ndarray[Any, Any]

_CELLS = 8  # a ball of the least radius is so many cells across from its centre to its surface
_THICKER = 2.0  # than half of the neurites
_NEAR = 1.5  # radii of the ball within which a branch that goes nowhere is part of the soma


@dataclass(frozen=True, eq=False)
class Cells:
    """How many voxels of an object lie in each coarse cell.

    Parameters
    ----------
    start
        The first cell, ``(z, y, x)``, counted in cells from the first voxel of the volume.
    counts
        Voxels in each cell from there on, ``(Z, Y, X)``.
    """

    start: Triple
    counts: Array


def cell_shape(voxel_size: Spacing, threshold: float) -> Triple:
    """Return how many voxels (z, y, x) make a cell that is fine enough to tell balls of a radius, in the unit of a voxel."""
    return cast("Triple", tuple(max(1, int(threshold / _CELLS / size)) for size in voxel_size))


def cells_of(mask: Array, start: Triple, cell: Triple) -> Cells:
    """Count the voxels of a mask in each cell; `start` is where its first voxel lies in the volume."""
    first = [s // c for s, c in zip(start, cell, strict=True)]
    pads = [(s % c, -(s + n) % c) for s, n, c in zip(start, mask.shape, cell, strict=True)]
    full = np.pad(mask, pads) if any(map(any, pads)) else mask
    cz, cy, cx = cell
    z, y, x = full.shape
    parts = full.reshape(z // cz, cz, y // cy, cy, x // cx, cx)
    return Cells(cast("Triple", tuple(first)), parts.sum(axis=(1, 3, 5), dtype=np.int32))


def find_soma(
    cells: Cells, cell: Triple, voxel_size: Spacing, offset: Spacing, threshold: float
) -> tuple[Array, float] | None:
    """Find the thickest place of an object.

    A cell belongs to the object if half of its voxels do; cavities, such as a nucleus that is an object of its own, do
    too.

    Returns
    -------
    tuple or None
        Centre ``(3,)`` and radius of the largest ball inside the object, in the unit of `voxel_size`; None if the
        radius is below `threshold`.
    """
    import cc3d
    import edt

    solid = np.pad(2 * cells.counts >= math.prod(cell), 1)
    outside = cc3d.connected_components(~solid, connectivity=6)
    solid = np.ascontiguousarray(outside != outside[0, 0, 0])
    edges = np.array(cell) * np.array(voxel_size)
    distance = edt.edt(solid, anisotropy=tuple(edges.tolist()), black_border=False, parallel=1)
    place = np.array(np.unravel_index(int(distance.argmax()), distance.shape))
    # The distance is to the centre of a cell outside, half a cell behind the surface.
    radius = float(distance.max()) - float(edges.min()) / 2
    if radius < threshold:
        return None
    voxel = (np.array(cells.start) + place - 1) * cell + (np.array(cell) - 1) / 2
    return np.array(offset) + voxel * voxel_size, radius


def with_soma(trace: Trace, centre: Array, radius: float) -> Trace:
    """Return the trace with one root node of type 1 in place of all that is inside a ball.

    What goes out of the ball begins at that node; branches that end near the ball are part of the soma, and go. Nothing
    changes where the ball is not at least twice as thick as half of the nodes outside of it.

    Parameters
    ----------
    trace
        A trace in the unit of `centre` and `radius`.
    centre, radius
        The ball; position ``(3,)``.
    """
    away = np.linalg.norm(trace.nodes - centre, axis=1)
    inside = away <= radius
    if not inside.all() and radius < _THICKER * float(np.median(trace.radii[~inside])):
        return trace
    root = len(trace.nodes)
    nodes = np.concatenate([trace.nodes, centre[None]])
    radii = np.append(trace.radii, radius)
    number = np.where(inside, root, np.arange(root))
    edges = number[trace.edges]
    if not inside.any() and root:
        edges = np.concatenate([edges, [[int(away.argmin()), root]]])
    types = np.append(trace.types, SOMA)
    # Ways that leave the ball and come back would be loops.
    found = replace(trace, nodes=nodes, edges=spanning_forest(nodes, edges, radii), radii=radii, types=types)
    found = found.kept(np.append(~inside, True))
    return found.kept(_goes_on(found, np.append(away[~inside], 0.0), _NEAR * radius))


def _goes_on(trace: Trace, away: Array, far: float) -> Array:
    """Return for each node whether it leads farther away than `far`, or is not joined with the soma, the last node."""
    _, piece = trace.pieces
    order, parents = trace.rooted()
    reach = away.tolist()
    for node in order[::-1].tolist():
        parent = int(parents[node])
        if parent >= 0 and reach[node] > reach[parent]:
            reach[parent] = reach[node]
    keep: Array = (np.array(reach) > far) | (piece != piece[-1])
    keep[-1] = True
    return keep
