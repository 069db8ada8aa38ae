"""The second pass: what a block holds, and which of its objects go on in its neighbours."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from segkit.geometry import Box, Triple
from segkit.segmentation._layout import Layout
from segkit.volume import Volume

__all__ = ["SHARED", "contents", "overlapping", "touching"]

Array = np.ndarray[Any, Any]

SHARED = 0.5
"""Two objects are one if the voxels they share are more than this part of the voxels that either has, where both
blocks see them. Above one half, an object has at most one such partner in each neighbouring block."""


def _keys(index: Array | int, local: Array) -> Array:
    """Return ids that are distinct in the whole volume: the block in the upper half, the id in the block below it."""
    return (np.asarray(index, np.uint64) << np.uint64(32)) | local.astype(np.uint64)


def contents(layout: Layout, index: int, cut: Array) -> tuple[Array, Array, Array]:
    """Return the key of each object in a block, its number of voxels, and where in the volume its first voxel lies."""
    import fastremap

    block = layout.lattice[index]
    inner = np.ascontiguousarray(cut[block.relative_to(layout.seen(index).start).slices])
    local, first, voxels = fastremap.unique(inner, return_index=True, return_counts=True)
    kept = local != 0
    z, y, x = (
        part.astype(np.uint64) + np.uint64(start)
        for part, start in zip(np.unravel_index(first[kept].astype(np.int64), inner.shape), block.start, strict=True)
    )
    _, height, width = (np.uint64(n) for n in layout.lattice.extent.shape)
    return _keys(index, local[kept]), voxels[kept].astype(np.uint64), (z * height + y) * width + x


def touching(layout: Layout, index: int, store: Volume, connectivity: int) -> Array:
    """Return pairs of keys ``(P, 2)`` of objects that touch across the upper faces of a block.

    Two neighbouring voxels span a cell of at most 2 x 2 x 2 voxels. They belong to the block that holds the first
    corner of that cell, so that each pair of voxels is looked at once, across edges and corners too.
    """
    lattice = layout.lattice
    block = lattice[index]
    grown = Box(block.start, _upwards(block.stop)) & lattice.extent
    assert grown is not None
    if grown == block:
        return np.zeros((0, 2), np.uint64)
    local = store.read(grown)
    blocks = [np.full(n, p, np.uint64) for n, p in zip(local.shape, lattice.position(index), strict=True)]
    for axis, inner in enumerate(block.shape):
        blocks[axis][inner:] += np.uint64(1)
    _, rows, columns = (np.uint64(n) for n in lattice.counts)
    found = []
    for step in product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0) or sum(map(abs, step)) > {6: 1, 18: 2, 26: 3}[connectivity]:
            continue
        for axis in np.flatnonzero(step).tolist():
            if grown.shape[axis] == block.shape[axis]:
                continue
            sides = []
            for side in (-np.minimum(step, 0), np.maximum(step, 0)):
                cells = [
                    range(int(s), int(n) - abs(t) + int(s)) for s, n, t in zip(side, grown.shape, step, strict=True)
                ]
                # only cells whose first corner is in this block, and in its last layer along the axis
                ends = [min(len(r), n) for r, n in zip(cells, block.shape, strict=True)]
                parts = [slice(r.start, r.start + end) for r, end in zip(cells, ends, strict=True)]
                last = block.shape[axis] - 1 + int(side[axis])
                parts[axis] = slice(last, last + 1)
                z, y, x = (b[p] for b, p in zip(blocks, parts, strict=True))
                number = (z[:, None, None] * rows + y[:, None]) * columns + x
                ids = local[tuple(parts)]
                sides.append((ids.ravel(), np.broadcast_to(number, ids.shape).ravel()))
            (a, in_a), (b, in_b) = sides
            both = np.flatnonzero((a != 0) & (b != 0))
            found.append(_distinct(np.stack([_keys(in_a[both], a[both]), _keys(in_b[both], b[both])], 1)))
    return _distinct(np.concatenate(found)) if found else np.zeros((0, 2), np.uint64)


def overlapping(layout: Layout, index: int, cut: Array, store: Volume) -> Array:
    """Return pairs of keys ``(P, 2)`` of objects that a block and its later neighbours mostly agree on; see `SHARED`."""
    import fastremap

    found = [np.zeros((0, 2), np.uint64)]
    seen = layout.seen(index)
    for other in layout.later_neighbours(index):
        shared = seen & layout.seen(other)
        if shared is None:
            continue
        mine = cut[shared.relative_to(seen.start).slices].ravel()
        theirs = store.read(layout.place(other, shared)).ravel()
        pairs, common = fastremap.unique(_keys(mine, theirs), return_counts=True)
        a, b = (pairs >> np.uint64(32)).astype(np.uint32), pairs.astype(np.uint32)
        both = (a != 0) & (b != 0)
        union = _sums(a, common)[both] + _sums(b, common)[both] - common[both]
        joined = common[both] > SHARED * union
        found.append(np.stack([_keys(index, a[both][joined]), _keys(other, b[both][joined])], 1))
    return np.concatenate(found)


def _sums(ids: Array, counts: Array) -> Array:
    """Return for each entry the sum of the counts of all entries with its id."""
    _, inverse = np.unique(ids, return_inverse=True)
    return np.bincount(inverse, counts)[inverse].astype(np.int64)


def _upwards(stop: Triple) -> Triple:
    z, y, x = stop
    return z + 1, y + 1, x + 1


def _distinct(pairs: Array) -> Array:
    """Return each row once. Runs go first: along x the same two objects mostly meet many times in a row."""
    if len(pairs) > 1:
        pairs = pairs[np.concatenate([[True], np.any(pairs[1:] != pairs[:-1], axis=1)])]
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        pairs = pairs[np.concatenate([[True], np.any(pairs[1:] != pairs[:-1], axis=1)])]
    return pairs
