"""One pass over a patch that samples images and mask wherever a smooth map says.

Nothing of the size of the patch is made on the way: the map is an affine one plus a cubic B-spline, summed up from its
few control points for one row of voxels at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.compiling import compiled

__all__ = ["choose", "spline", "warp"]

Array = np.ndarray[Any, Any]


def spline(length: int, spacing: float, phase: float) -> tuple[Array, Array]:
    """Return, for each voxel of an axis, the first of the four control points that matter and their weights.

    Parameters
    ----------
    length
        Number of voxels.
    spacing
        Distance between control points, in voxels.
    phase
        Where between two control points the first voxel lies, 0..1.

    Returns
    -------
    tuple
        The first control points, int64 ``(length,)``, and the weights of a uniform cubic B-spline, float32
        ``(4, length)``.
    """
    place = np.arange(length) / spacing + phase
    cell = place.astype(np.int64)
    t = place - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return cell, weights.astype(np.float32)


@compiled(fused=True)
def _collapse(grid: Any, cell: int, weights: Any, out: Any) -> None:
    """Sum up four neighbours along the second axis of ``(3, n, m)``, weighted."""
    for k in range(3):
        first, second, third, fourth = grid[k, cell], grid[k, cell + 1], grid[k, cell + 2], grid[k, cell + 3]
        for i in range(out.shape[1]):
            out[k, i] = weights[0] * first[i] + weights[1] * second[i] + weights[2] * third[i] + weights[3] * fourth[i]


@compiled(fused=True)
def _place(start: Any, slope: Any, row: Any, weights: Any, bounds: Any, out: Any) -> None:
    """Find where a row of voxels is sampled, along one axis."""
    first, second, third, fourth = weights[0], weights[1], weights[2], weights[3]
    for cell in range(len(bounds) - 1):
        a, b, c, d = row[cell], row[cell + 1], row[cell + 2], row[cell + 3]
        for i in range(bounds[cell], bounds[cell + 1]):
            x = np.uint32(i)
            out[x] = start + slope * np.float32(x) + (first[x] * a + second[x] * b + third[x] * c + fourth[x] * d)


@compiled(fused=True)
def _fold(places: Any, length: int, stride: Any, base: Any, nearest: Any, inside: Any) -> None:
    """Reflect places back into the patch, and turn them into the voxel before each and the fraction beyond it."""
    half, zero, last = np.float32(0.5), np.float32(0), np.float32(length - 1)
    top, end = np.int32(max(length - 2, 0)), np.float32(length - 0.5)
    for x in range(len(places)):
        p = places[x]
        inside[x] &= np.uint8((p >= -half) & (p < end))
        p = last - abs(last - abs(p))
        p = min(max(p, zero), last)
        i = min(np.int32(p), top)
        places[x] = p - np.float32(i)
        base[x] += i * stride
        nearest[x] += np.int32(p + half) * stride


@compiled(fused=True)
def _linear(image: Any, base: Any, fractions: Any, steps: Any, flat: bool, out: Any) -> None:
    """Sample a row of one channel; `flat` saves the neighbours along z."""
    step_z, step_y, step_x = steps
    fz, fy, fx = fractions[0], fractions[1], fractions[2]
    one = np.float32(1)
    for x in range(len(out)):
        i = np.uint32(base[x])
        j = i + step_y
        # Not a + f * (b - a), which is not exactly b where f is 1.
        f, g = fx[x], one - fx[x]
        a = image[i] * g + image[i + step_x] * f
        b = image[j] * g + image[j + step_x] * f
        out[x] = a * (one - fy[x]) + b * fy[x]
    if flat:
        return
    for x in range(len(out)):
        i = np.uint32(base[x]) + step_z
        j = i + step_y
        f, g = fx[x], one - fx[x]
        a = image[i] * g + image[i + step_x] * f
        b = image[j] * g + image[j + step_x] * f
        out[x] = out[x] * (one - fz[x]) + (a * (one - fy[x]) + b * fy[x]) * fz[x]


@compiled(fused=True)
def choose(values: Any, places: Any, out: Any) -> None:
    """Fill ``(N,)`` with the values at these places, int32 ``(N,)``."""
    for x in range(len(out)):
        out[x] = values[np.uint32(places[x])]


@compiled(fused=True)
def _require(known: Any, base: Any, fractions: Any, steps: Any, out: Any) -> None:
    """Leave known only what was interpolated from known voxels alone."""
    least = np.float32(1e-4)
    for x in range(len(out)):
        for corner in range(8):
            i, weight = np.uint32(base[x]), np.float32(1)
            for k in range(3):
                f = fractions[k, x]
                if corner >> k & 1:
                    i += steps[k]
                    weight *= f
                else:
                    weight *= 1 - f
            if weight > least:
                out[x] &= known[i]


@compiled(fused=True)
def warp(
    raw: Any,
    known: Any,
    shape: Any,
    matrix: Any,
    grid: Any,
    cells: Any,
    weights: Any,
    bounds: Any,
    flat: bool,
    out: Any,
) -> None:
    """Fill `out` with what lies where the map says.

    Parameters
    ----------
    raw
        Images to be interpolated, float32 ``(C, N)``, where N is the number of voxels.
    known
        Mask, uint8 ``(N,)``.
    shape
        ``(Z, Y, X)``.
    matrix
        Affine map from voxels of the result to those of the source, float32 ``(3, 4)``.
    grid
        Displacement at the control points, in voxels of the source, float32 ``(3, gz, gy, gx)``.
    cells, weights
        What `spline` returns for each axis, the cells of z and y only.
    bounds
        For each first control point along x, at which x it begins to be that, and X at the end.
    flat
        Whether every place lies in its own section, so that nothing is interpolated along z.
    out
        Images and mask like those given; the nearest voxel of each place, int32 ``(N,)``; and whether a place lies among
        known voxels only, so that labels can be interpolated there, uint8 ``(N,)`` or empty.
    """
    raw_out, known_out, nearest_out, sure_out = out
    depth, height, width = shape
    row = np.empty((3, grid.shape[3]), np.float32)
    plane = np.empty((3, grid.shape[2] * grid.shape[3]), np.float32)
    columns, rows = grid.reshape(3, grid.shape[1], plane.shape[1]), plane.reshape(3, grid.shape[2], grid.shape[3])
    base, places = np.empty(width, np.int32), np.zeros((3, width), np.float32)
    strides = (np.int32(height * width), np.int32(width), np.int32(1))
    steps = (
        np.uint32(strides[0] if depth > 1 else 0),
        np.uint32(strides[1] if height > 1 else 0),
        np.uint32(1 if width > 1 else 0),
    )
    for z in range(depth):
        _collapse(columns, cells[0][z], weights[0][:, z], plane)
        for y in range(height):
            _collapse(rows, cells[1][y], weights[1][:, y], row)
            span = slice((z * height + y) * width, (z * height + y + 1) * width)
            nearest, inside = nearest_out[span], known_out[span]
            # Sections that are kept apart need no search along z.
            section = strides[0] * np.int32(z if flat else 0)
            for x in range(width):
                base[x], nearest[x], inside[x] = section, section, 1
            for k in range(1 if flat else 0, 3):
                start = matrix[k, 0] * np.float32(z) + matrix[k, 1] * np.float32(y) + matrix[k, 3]
                _place(start, matrix[k, 2], row[k], weights[2], bounds, places[k])
                _fold(places[k], shape[k], strides[k], base, nearest, inside)
            for c in range(len(raw)):
                _linear(raw[c], base, places, steps, flat, raw_out[c, span])
            if len(sure_out):
                sure_out[span] = inside
                _require(known, base, places, steps, sure_out[span])
            for x in range(width):
                inside[x] &= known[np.uint32(nearest[x])]
