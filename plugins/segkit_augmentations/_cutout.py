"""Parts of the image that cannot be seen: boxes, or whole channels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segkit.contracts import Patch

__all__ = ["Cutout"]


@dataclass(frozen=True)
class Cutout:
    """See `segkit_augmentations.cutout`."""

    boxes: int
    size: float
    channels: float
    probability: float

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch of which parts of the image were replaced by its mean."""
        chance, count = rng.random(2)
        sizes, places = rng.random((2, self.boxes, 3))
        blank = rng.random(len(patch.raw)) < self.channels
        kept = rng.integers(len(patch.raw))
        blank[kept] &= not blank.all()
        if chance >= self.probability:
            return patch
        raw, extent = patch.raw.copy(), np.array(patch.mask.shape)
        mean = raw.mean((1, 2, 3), keepdims=True)
        number = int(np.ceil(count * self.boxes))
        for share, place in zip(sizes[:number], places[:number]):
            shape = np.maximum(np.rint(share * self.size * extent), 1).astype(int)
            start = (place * (extent - shape + 1)).astype(int)
            raw[:, *(slice(first, first + n) for first, n in zip(start, shape))] = mean
        raw[blank] = mean[blank]
        return replace(patch, raw=raw)
