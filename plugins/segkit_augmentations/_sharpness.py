"""Images that show less than the microscope could: out of focus, or taken with larger voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segkit.contracts import Array, Patch
from segkit_augmentations._bands import along, gaussian, resampling

__all__ = ["Blur", "Coarsen", "blurred"]


@dataclass(frozen=True)
class Blur:
    """See `segkit_augmentations.blur`."""

    sigma: float
    probability: float

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with an image that may be out of focus."""
        chance, strength = rng.random(2)
        if chance >= self.probability:
            return patch
        finest = min(patch.voxel_size)
        return replace(
            patch, raw=blurred(patch.raw, [self.sigma * strength * finest / size for size in patch.voxel_size])
        )


@dataclass(frozen=True)
class Coarsen:
    """See `segkit_augmentations.low_resolution`."""

    factor: float
    probability: float

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with an image that may have been taken with larger voxels."""
        chance, strength = rng.random(2)
        if chance >= self.probability:
            return patch
        # A voxel becomes at least as long as the finest axis times the factor; one that is longer anyway stays.
        coarse = min(patch.voxel_size) * (1 + (self.factor - 1) * strength)
        factors = [max(coarse / size, 1.0) for size in patch.voxel_size]
        bands = [resampling(n, factor) if factor > 1 else None for n, factor in zip(patch.mask.shape, factors)]
        return replace(patch, raw=_summed(patch.raw, bands))


def blurred(raw: Array, sigma: list[float]) -> Array:
    """Return an image ``(C, Z, Y, X)`` blurred by a Gaussian of so many voxels along (z, y, x)."""
    # Below a fifth of a voxel, neighbours get less than a hundred-thousandth.
    return _summed(raw, [gaussian(n, s) if s > 0.2 and n > 1 else None for n, s in zip(raw.shape[1:], sigma)])


def _summed(raw: Array, bands: list[tuple[Array, Array] | None]) -> Array:
    channels = []
    for image in np.require(raw, np.float32, ["C", "W"]):
        for axis, band in enumerate(bands):
            image = image if band is None else along(image, axis, *band)
        channels.append(image)
    return np.stack(channels).astype(raw.dtype, copy=False)
