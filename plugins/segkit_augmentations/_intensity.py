"""Changes of the image alone: brightness, contrast, gamma, noise and blur."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segkit.contracts import Array, Patch

__all__ = ["Blur", "Intensity"]


@dataclass(frozen=True)
class Intensity:
    """See `segkit_augmentations.intensity`."""

    brightness: float
    contrast: float
    gamma: float
    noise: float
    per_channel: bool

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with a changed image."""
        raw = np.array(patch.raw, np.float32, order="C")
        for group in raw[:, None] if self.per_channel else raw[None]:
            self._change(group, rng)
        return replace(patch, raw=raw)

    def _change(self, values: Array, rng: np.random.Generator) -> None:
        """Change float32 values of any shape in place."""
        # Every number is drawn, used or not: what one strength is does not change the luck of the others.
        shift, stretch, power = rng.uniform(-1, 1, 3)
        deviation = self.noise * rng.random()
        if self.gamma:
            low, high = values.min(), values.max()
            if high > low:
                values -= low
                values /= high - low
                np.power(values, np.float32(np.exp(self.gamma * power)), out=values)
                values *= high - low
                values += low
        if self.contrast:
            mean = np.float32(values.mean(dtype=np.float64))
            values -= mean
            values *= np.float32(1 + self.contrast * stretch)
            values += mean
        if self.brightness:
            values += np.float32(self.brightness * shift)
        if self.noise:
            grain = np.empty_like(values)
            rng.standard_normal(dtype=np.float32, out=grain)
            grain *= np.float32(deviation)
            values += grain


@dataclass(frozen=True)
class Blur:
    """See `segkit_augmentations.blur`."""

    sigma: float
    probability: float

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with an image that may be out of focus."""
        from scipy.ndimage import gaussian_filter

        chance, strength = rng.random(2)
        raw = np.array(patch.raw, np.float32, order="C")
        if chance < self.probability:
            finest = min(patch.voxel_size)
            sigma = [self.sigma * strength * finest / size for size in patch.voxel_size]
            for channel in raw:
                gaussian_filter(channel, sigma, output=channel, mode="nearest", truncate=3)
        return replace(patch, raw=raw)
