"""The mutex watershed: near affinities join, far ones forbid, the surest of all first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Triple
from segkit.volume import Spacing
from segkit_segmenters._reading import Affinities, absorbed

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class MutexWatershed:
    """See `segkit_segmenters.mutex_watershed`."""

    offsets: tuple[Triple, ...]
    threshold: float
    strides: Triple
    absorb_below: int
    halo: Triple
    stitching: Literal["touching", "overlap"] = "overlap"
    affinities: Affinities | None = None
    cell_voxels: int = 96**3  # it needs about 370 bytes for each, and for those of the halo

    def for_channels(self, names: Sequence[str]) -> MutexWatershed:
        """Return this segmenter for the offsets that the names of channels tell."""
        return replace(self, affinities=Affinities.named(names, "mutex_watershed")) if names else self

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(K, Z, Y, X)``."""
        import bioimage_cpp.segmentation as bio

        given = self.affinities or Affinities.counted(len(prediction), self.offsets, "mutex_watershed")
        if given.near == len(given.offsets):
            raise DataError(
                f"The prediction has affinities at the offsets {given.offsets} (z, y, x) only, and 'mutex_watershed' needs far "
                "ones to tell objects apart. Choose 'agglomeration', or train with more offsets."
            )
        mask = given.mask(prediction, self.threshold)
        if not mask.any():
            return np.zeros(mask.shape, np.uint32)
        weights = given.read(prediction)
        np.subtract(1, weights[given.near :], out=weights[given.near :])
        ids = bio.mutex_watershed(weights, given.offsets, given.near, strides=self.strides, mask=mask)
        del weights
        return absorbed(ids, self.absorb_below, given.boundary(prediction), mask)
