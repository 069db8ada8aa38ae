"""Faults of serial sections: lost, displaced, out of focus or of another contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from segkit.contracts import Array, Patch

__all__ = ["Slices"]


@dataclass(frozen=True)
class Slices:
    """See `segkit_augmentations.slices`."""

    missing: float
    fill: Literal["blank", "noise", "repeat"]
    contrast: float
    defocus: float
    jitter: float
    slip: float
    shift: float

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with faults in some of its sections."""
        depth = len(patch.mask)
        # Every number is drawn, used or not: what one chance is does not change the luck of the others.
        chances, amounts = rng.random((5, depth)), rng.uniform(-1, 1, (8, depth))
        limits = (self.missing, self.contrast, self.defocus, self.jitter, self.slip)
        missing, contrast, defocus, jitter, slip = (chances[i] < limit for i, limit in enumerate(limits))
        slip[0] = False
        missing[0] &= not missing.all()
        if depth == 1 or not (missing | contrast | defocus | jitter | slip).any():
            return patch
        raw, labels, mask = patch.raw.copy(), patch.labels.copy(), patch.mask.copy()
        reach = self.shift * min(patch.voxel_size[1:]) / np.array(patch.voxel_size[1:])
        drift = np.rint(np.cumsum(slip * amounts[:2], 1).T * reach).astype(int)
        tremble = np.rint((jitter * amounts[2:4]).T * reach).astype(int)
        for z in range(depth):
            if drift[z].any():
                labels[..., z, :, :], _ = _moved(patch.labels[..., z, :, :], drift[z])
                known, inside = _moved(patch.mask[z], drift[z])
                mask[z] = known & inside
            if (drift[z] + tremble[z]).any():
                raw[:, z], _ = _moved(patch.raw[:, z], drift[z] + tremble[z])
            if defocus[z]:
                raw[:, z] = _defocused(patch, raw[:, z], 2 + amounts[4, z])
            if contrast[z]:
                mean = raw[:, z].mean((1, 2), keepdims=True)
                raw[:, z] = mean + (raw[:, z] - mean) * np.float32(0.65 + 0.35 * amounts[5, z])
                raw[:, z] += np.float32(0.5 * amounts[6, z])
        for z in np.flatnonzero(missing).tolist():
            raw[:, z] = self._lost(raw, z, missing, amounts[7, z], rng)
        return replace(patch, raw=raw, labels=labels, mask=mask)

    def _lost(self, raw: Array, z: int, missing: Array, amount: float, rng: np.random.Generator) -> Array | np.float32:
        """Return what is seen instead of section `z`."""
        if self.fill == "repeat":
            others = np.flatnonzero(~missing)
            return np.asarray(raw[:, others[np.abs(others - z).argmin()]])
        there = raw[:, ~missing]
        if self.fill == "noise":
            grain = rng.standard_normal(raw[:, z].shape, np.float32)
            return np.asarray(there.mean() + there.std() * grain)
        low, high = float(there.min()), float(there.max())
        return np.float32(low + (high - low) * (amount + 1) / 2)


def _moved(section: Array, by: Array) -> tuple[Array, Array]:
    """Return ``(..., Y, X)`` shifted by whole voxels and reflected at the borders, and where it is not a reflection."""
    places = [np.arange(n) + shift for n, shift in zip(section.shape[-2:], by)]
    (y, x), (inside_y, inside_x) = zip(*(_reflected(place) for place in places))
    return section[..., y[:, None], x], inside_y[:, None] & inside_x


def _reflected(place: Array) -> tuple[Array, Array]:
    last = max(len(place) - 1, 1)
    inside = (place >= 0) & (place < len(place))
    return np.minimum(np.abs((place + last) % (2 * last) - last), len(place) - 1), inside


def _defocused(patch: Patch, section: Array, sigma: float) -> Array:
    from segkit_augmentations._sharpness import blurred

    finest = min(patch.voxel_size[1:])
    return blurred(section[:, None], [0, *(sigma * finest / size for size in patch.voxel_size[1:])])[:, 0]
