"""Changes of the values of an image: brightness, contrast, gamma and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segkit.contracts import Array, Patch
from segkit_augmentations._tone import change

__all__ = ["Intensity"]


@dataclass(frozen=True)
class Intensity:
    """See `segkit_augmentations.intensity`."""

    brightness: float
    contrast: float
    gamma: float
    noise: float
    shot: float
    per_channel: bool

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with a changed image."""
        if not (self.brightness or self.contrast or self.gamma or self.noise or self.shot):
            return patch
        raw = np.require(patch.raw, np.float32, ["C", "W"])
        result = np.empty_like(raw)
        rows = len(raw) if self.per_channel else 1
        for values, out in zip(raw.reshape(rows, -1), result.reshape(rows, -1)):
            self._change(values, rng, out)
        return replace(patch, raw=result.astype(patch.raw.dtype, copy=False))

    def _change(self, values: Array, rng: np.random.Generator, out: Array) -> None:
        # Every number is drawn, used or not: what one strength is does not change the luck of the others.
        shift, stretch, power = rng.uniform(-1, 1, 3)
        noise, shot = rng.random(2)
        key = rng.integers(0, 2**32, 2, np.uint32)
        scale, mean = 1 + self.contrast * stretch, float(values.mean())
        offset = mean * (1 - scale) + self.brightness * shift
        limits = (float(values.min()) * scale + offset, float(values.max()) * scale + offset)
        strengths = (np.exp(self.gamma * power), self.noise * noise, self.shot * shot)
        change(values, _floats(*limits), _floats(scale, offset), _floats(*strengths), key, out)


def _floats(*values: float) -> Array:
    return np.array(values, np.float32)
