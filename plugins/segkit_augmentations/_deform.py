"""Random smooth maps of space: turned, scaled, sheared and bent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, log, pi, radians, sin

import numpy as np

from segkit.contracts import Array, Patch
from segkit_augmentations._warp import choose, spline, warp

__all__ = ["Deform", "deformed"]

STRONGLY_ANISOTROPIC = 3.0
"""From this ratio of voxel sizes on sections are kept apart, as nnU-Net does (Isensee et al. 2021)."""


@dataclass(frozen=True)
class Deform:
    """See `segkit_augmentations.deform`."""

    rotation: float
    tilt: float | None
    scaling: float
    shear: float
    displacement: float
    spacing: float
    probability: float

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch that was deformed, or is as it was."""
        chance, turn, axis, tilt, zoom, strength = rng.random(6)
        if chance >= self.probability:
            return patch
        size = np.array(patch.voxel_size, np.float64)
        flat = self._is_flat(patch)
        map_ = rotation(radians(self.rotation) * (2 * turn - 1))
        slants = rng.uniform(-self.shear, self.shear, 3)
        map_ = map_ @ np.array([[1, 0, 0], [slants[0], 1, 0], [slants[1], slants[2], 1]])
        factor = np.exp(log(1 + self.scaling) * (2 * zoom - 1))
        if flat:
            map_[1:, 1:] *= factor
        else:
            map_ = tilted(radians(self._largest_tilt(patch)) * (2 * tilt - 1), pi * axis) @ map_ * factor
        voxel = float(min(size[1:]) if flat else min(size))
        spacing = np.maximum(self.spacing * voxel / size, 1.0)
        phase = rng.random(3)
        points = [int((n - 1) / step + shift) + 4 for n, step, shift in zip(patch.mask.shape, spacing, phase)]
        bend = rng.uniform(-1, 1, (3, *points)) * (strength * self.displacement * voxel)
        if flat:
            bend[0] = 0
        return deformed(patch, map_, bend, spacing, phase, flat)

    def _is_flat(self, patch: Patch) -> bool:
        """Whether no voxel may leave its section."""
        z, *plane = patch.voxel_size
        if len(patch.mask) == 1 or self.tilt == 0:
            return True
        return self.tilt is None and z > STRONGLY_ANISOTROPIC * min(plane)

    def _largest_tilt(self, patch: Patch) -> float:
        """Return the angle, in degrees."""
        if self.tilt is not None:
            return self.tilt
        # A flat patch loses its ends to the first few degrees.
        depth, *sides = np.array(patch.mask.shape) * patch.voxel_size
        return self.rotation * min(1.0, float(depth / max(sides)))


def rotation(angle: float) -> Array:
    """Return the turn around z by an angle in radians, for (z, y, x)."""
    c, s = cos(angle), sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float64)


def tilted(angle: float, direction: float) -> Array:
    """Return the turn by an angle around an axis in the plane of y and x, both in radians."""
    c, s = cos(angle), sin(angle)
    out = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float64)
    return rotation(direction) @ out @ rotation(-direction)


def deformed(patch: Patch, map_: Array, bend: Array, spacing: Array, phase: Array, flat: bool) -> Patch:
    """Return a patch sampled at ``map_ @ (x + bend(x))``, both seen from its centre.

    Parameters
    ----------
    patch
        What is sampled.
    map_
        Matrix ``(3, 3)`` between positions in space, (z, y, x).
    bend
        Displacement of the control points of a cubic B-spline in space, ``(3, gz, gy, gx)``.
    spacing
        Distance between control points in voxels, for each axis.
    phase
        Where between two control points the first voxel lies, 0..1, for each axis.
    flat
        Whether neither moves anything along z.

    Returns
    -------
    Patch
        Image interpolated linearly, whole numbers taken from the nearest voxel, labels that are an image interpolated.
        Beyond its borders the patch is reflected, and nothing is known.
    """
    shape, size = patch.mask.shape, np.array(patch.voxel_size, np.float64)
    voxels = map_ * size / size[:, None]
    centre = (np.array(shape) - 1) / 2
    matrix = np.column_stack([voxels, centre - voxels @ centre]).astype(np.float32)
    grid = np.tensordot(map_, bend, 1) / size[:, None, None, None]
    (cells_z, *_), (cells_y, *_), (cells_x, *_) = splines = [spline(*it) for it in zip(shape, spacing, phase)]
    bounds = np.searchsorted(cells_x, np.arange(cells_x[-1] + 2))
    labels, count, voxels_in_all = patch.labels, len(patch.raw), patch.mask.size
    images, known = _ready(patch.raw, np.float32).reshape(count, -1), _ready(patch.mask, np.bool_).view(np.uint8)
    interpolated = labels.dtype.kind == "f"
    if interpolated:  # what is not known may be NaN, and must not spread
        more = np.where(patch.mask, labels, 0).astype(np.float32)
        images = np.concatenate([images, more.reshape(-1, voxels_in_all)])
    out, mask, nearest = np.empty_like(images), np.empty_like(known), np.empty(voxels_in_all, np.int32)
    sure = np.empty(voxels_in_all if interpolated else 0, np.uint8)
    cells, weights = (cells_z, cells_y), tuple(weight for _, weight in splines)
    results = out, mask.ravel(), nearest, sure
    warp(images, known.ravel(), shape, matrix, grid.astype(np.float32), cells, weights, bounds, flat, results)
    if interpolated:
        mask, new = sure, out[count:].astype(labels.dtype)
    else:
        new = _chosen(labels.reshape(-1, voxels_in_all), nearest)
    raw = out[:count].reshape(patch.raw.shape).astype(patch.raw.dtype, copy=False)
    return replace(patch, raw=raw, labels=new.reshape(labels.shape), mask=mask.view(np.bool_).reshape(shape))


def _chosen(labels: Array, places: Array) -> Array:
    """Return the labels ``(K, N)`` at these places; seen as bits, there are four types to compile for."""
    bits = _ready(labels, labels.dtype).view(f"u{labels.dtype.itemsize}")
    new = np.empty_like(bits)
    for values, out in zip(bits, new):
        choose(values, places, out)
    return new.view(labels.dtype)


def _ready(array: Array, dtype: np.dtype | type) -> Array:
    """Return an array that the compiled loop takes: contiguous, of that type, writable (or it compiles once more)."""
    return np.require(array, dtype, ["C", "W"])
