"""Connected components of a mask by its runs along x, of which there are far fewer than voxels.

Libraries hold Python's lock while they label, so that threads gain nothing; here they do. Runs that touch are joined by
union-find with path halving, under the one that comes first (after Wu, Otoo and Suzuki 2009,
https://doi.org/10.1007/s10044-008-0109-y, who do so with voxels).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from segkit.compiling import compiled

__all__ = ["label_components"]

Array = np.ndarray[Any, Any]


def label_components(mask: Array, connectivity: Literal[4, 6, 18, 26]) -> Array:
    """Return ids ``(Z, Y, X)``, uint16 where they suffice, else uint32, numbered by first voxel (z, y, x).

    Parameters
    ----------
    mask
        ``(Z, Y, X)`` bool.
    connectivity
        Neighbours of a voxel: 6 across faces, 18 across edges too, 26 across corners too; 4 across faces within a z slice.
    """
    reach = {4: 1, 6: 1, 18: 2, 26: 3}[connectivity]
    rows, edges, names, count = _runs(np.ascontiguousarray(mask).view(np.uint8), reach, connectivity == 4)
    ids = np.empty(mask.shape, np.uint16 if count < 2**16 else np.uint32)
    _paint(rows, edges, names, ids)
    return ids


@compiled
def _runs(mask: Array, reach: int, planes: bool) -> tuple[Array, Array, Array, int]:
    """Find the runs of a mask of 0 and 1, and the component of each.

    Parameters
    ----------
    mask
        ``(Z, Y, X)`` uint8.
    reach
        How many steps across faces a neighbour may be away, each along another axis: 1 to 3.
    planes
        Whether every z slice is by itself.

    Returns
    -------
    tuple
        The first run of each row, and their number; where each run begins and ends, one after the other; the component
        of each run, from 1; and the number of components.
    """
    depth, height, width = mask.shape
    rows = np.zeros(depth * height + 1, np.int64)
    edges = np.empty(width + 1 + mask.size // 8, np.int32)  # objects are rarely thinner than that
    parents = np.empty(edges.size // 2 + 1, np.int32)
    found = 0  # edges
    for row in range(depth * height):
        z, y = row // height, row % height
        if found + width + 1 > edges.size:
            edges, parents = _longer(edges, found), _longer(parents, found // 2)
        line, last = mask[z, y], np.uint8(0)
        for x in range(width):  # without a branch: what comes next cannot be foreseen
            edges[found] = x
            found += line[x] != last
            last = line[x]
        if last:
            edges[found] = width
            found += 1
        rows[row + 1] = found // 2
        for run in range(rows[row], rows[row + 1]):
            parents[run] = run
        if y > 0:
            _join(rows, edges, parents, row, row - 1, reach > 1)
        if z > 0 and not planes:
            _join(rows, edges, parents, row, row - height, reach > 1)
        if z > 0 and reach > 1:
            if y > 0:
                _join(rows, edges, parents, row, row - height - 1, reach > 2)
            if y + 1 < height:
                _join(rows, edges, parents, row, row - height + 1, reach > 2)
    count = 0
    for run in range(found // 2):
        if parents[run] == run:
            count += 1
            parents[run] = count
        else:
            parents[run] = parents[parents[run]]
    return rows, edges, parents, count


@compiled
def _longer(array: Array, used: int) -> Array:
    longer = np.empty(2 * array.size, array.dtype)
    longer[:used] = array[:used]
    return longer


@compiled
def _join(rows: Array, edges: Array, parents: Array, row: int, other: int, diagonal: bool) -> None:
    """Join the runs of a row with those of an earlier one that lie beside them, or end where the others begin."""
    there, last = rows[other], rows[other + 1]
    for here in range(rows[row], rows[row + 1]):
        begin, end = edges[2 * here] - diagonal, edges[2 * here + 1] + diagonal
        while there < last and edges[2 * there + 1] <= begin:
            there += 1
        at = there
        while at < last and edges[2 * at] < end:
            a, b = parents[here], parents[at]
            if a != b:
                a, b = _root(parents, a), _root(parents, b)
                parents[max(a, b)] = min(a, b)
            at += 1
        there = max(there, at - 1)  # the last one may also lie beside the next run


@compiled
def _root(parents: Array, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def _paint(rows: Array, edges: Array, names: Array, ids: Array) -> None:
    depth, height, _ = ids.shape
    for row in range(depth * height):
        line = ids[row // height, row % height]
        line[:] = 0
        for run in range(rows[row], rows[row + 1]):
            name = names[run]
            for x in range(edges[2 * run], edges[2 * run + 1]):
                line[x] = name
