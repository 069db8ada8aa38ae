"""Copies of arrays whose rows stay rows: forwards or backwards, in any order."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.compiling import compiled

__all__ = ["copy_rows"]


@compiled
def _copy(source: Any, start: int, steps: Any, extent: Any, out: Any) -> None:
    step_z, step_y, step_x = steps
    depth, height, width = extent
    size = depth * height * width
    # Rows that follow upon each other in both arrays are one long row: all of a plane that is turned by 180 degrees.
    if step_y == step_x * width:
        width, height, step_y = width * height, depth, step_z
        step_z, depth = step_z * depth, 1
        if step_y == step_x * width:
            width, height = width * height, 1
    several = source.size // size
    sources, outs = source.reshape((several, size)), out.reshape((several, depth, height, width))
    for c in range(several):
        voxels = sources[c]
        for z in range(depth):
            for y in range(height):
                row, first = outs[c, z, y], start + z * step_z + y * step_y
                if step_x == 1:
                    line = voxels[first : first + width]
                    for x in range(width):
                        row[x] = line[x]
                else:
                    line = voxels[first + 1 - width : first + 1]
                    for x in range(width):
                        row[x] = line[np.uint64(width - 1 - x)]


@compiled
def copy_rows(
    raw: Any, labels: Any, mask: Any, start: int, steps: Any, raw_out: Any, labels_out: Any, mask_out: Any
) -> None:
    """Copy three arrays alike, in one call because a call costs as much as a small patch.

    numpy copies what lies backwards one element at a time; this is as fast as forwards.

    Parameters
    ----------
    raw, labels, mask
        Unsigned integers, contiguous, ``(C, Z, Y, X)``, ``(K, Z, Y, X)`` or ``(Z, Y, X)``, and ``(Z, Y, X)``.
    start
        Element that comes first.
    steps
        How many elements further the next one lies, along each axis of the results; the last is 1 or -1.
    raw_out, labels_out, mask_out
        Of the same types and dimensions, turned.
    """
    _copy(raw, start, steps, mask_out.shape, raw_out)
    _copy(labels, start, steps, mask_out.shape, labels_out)
    _copy(mask, start, steps, mask_out.shape, mask_out)
