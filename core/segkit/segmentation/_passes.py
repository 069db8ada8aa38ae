"""Inner loops over voxels, compiled; all run without Python's lock, so that blocks are worked on by several threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.compiling import compiled

__all__ = ["meet", "rename", "tally"]

Array = np.ndarray[Any, Any]


@compiled
def tally(ids: Array, voxels: Array, first: Array) -> None:
    """Count the voxels of each id of a line of ids, and note where it comes first; 0 is left out.

    Parameters
    ----------
    ids
        ``(N,)``, unsigned; at least one.
    voxels, first
        By id, int64, zeros at the beginning.
    """
    start, last = 0, ids[0]
    for at in range(1, ids.size + 1):
        if at == ids.size or ids[at] != last:
            if last != 0:
                if voxels[last] == 0:
                    first[last] = start
                voxels[last] += at - start
            if at < ids.size:
                start, last = at, ids[at]


@compiled
def rename(ids: Array, names: Array, out: Array) -> None:
    """Write the name of each id, ``names[id]``, into `out`, or 0 if it has none; ids and `out` are ``(Z, Y, X)``."""
    depth, height, width = ids.shape
    count = np.uint64(names.size)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                id = np.uint64(ids[z, y, x])
                out[z, y, x] = names[id] if id < count else np.uint64(0)


@compiled
def meet(a: Array, b: Array, spare: int) -> Array:
    """Return pairs of ids that touch across a face, an edge or a corner.

    Parameters
    ----------
    a, b
        ``(Z, Y, X)`` of equal shape: the last layer on this side and the first on the other. A voxel of `a` touches the
        voxel of `b` at the same place, and those around it.
    spare
        How many steps along the layer a neighbour may be away: 0, 1 (across edges) or 2 (across corners).

    Returns
    -------
    numpy.ndarray
        uint64 ``(P,)``, the id in `a` in the upper half and that in `b` in the lower one; the same pair may come often.
    """
    depth, height, width = a.shape
    found = np.empty(64, np.uint64)
    recent = np.zeros(1024, np.uint64)
    count = 0
    for dz in range(-min(spare, 1), min(spare, 1) + 1):
        for dy in range(-min(spare, 1), min(spare, 1) + 1):
            for dx in range(-min(spare, 1), min(spare, 1) + 1):
                if abs(dz) + abs(dy) + abs(dx) > spare:
                    continue
                last = np.uint64(0)
                for z in range(max(0, -dz), depth - max(0, dz)):
                    for y in range(max(0, -dy), height - max(0, dy)):
                        for x in range(max(0, -dx), width - max(0, dx)):
                            here, there = np.uint64(a[z, y, x]), np.uint64(b[z + dz, y + dy, x + dx])
                            if here == 0 or there == 0:
                                continue
                            pair = here << np.uint64(32) | there
                            if pair == last:  # along x the same two objects mostly meet many times in a row
                                continue
                            last = pair
                            slot = (here * np.uint64(31) + there) & np.uint64(1023)  # and again in the next line
                            if recent[slot] == pair:
                                continue
                            recent[slot] = pair
                            if count == found.size:
                                longer = np.empty(2 * count, np.uint64)
                                longer[:count] = found
                                found = longer
                            found[count] = pair
                            count += 1
    return found[:count]
