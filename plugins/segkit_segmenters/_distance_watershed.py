"""Seeded watershed on predicted distances to the border of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.geometry import Triple
from segkit.volume import Spacing
from segkit_segmenters._basins import basins, joined, smoothed
from segkit_segmenters._reading import absorbed, refusal

Array = np.ndarray[Any, Any]

_READS = "the channel 'distance' of the task 'distances'"


@dataclass(frozen=True)
class DistanceWatershed:
    """See `segkit_segmenters.distance_watershed`."""

    threshold: float
    seed_threshold: float
    neck: float
    smoothing: float
    absorb_below: int
    halo: Triple
    stitching: Literal["touching", "overlap"] = "overlap"

    def for_channels(self, names: Sequence[str]) -> DistanceWatershed:
        """Return this segmenter, unless the channel is that of another task."""
        if names and tuple(names) != ("distance",):
            raise refusal("distance_watershed", _READS, names)
        return self

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(1, Z, Y, X)``."""
        import bioimage_cpp.segmentation as bio

        if len(prediction) != 1:
            raise refusal("distance_watershed", _READS, len(prediction))
        depth = np.ascontiguousarray(prediction[0], np.float32)
        mask, inside = depth > self.threshold, depth > self.seed_threshold
        if not inside.any():
            return np.zeros(depth.shape, np.uint32)
        height = np.where(inside, smoothed(depth, self.smoothing, voxel_size), 0)
        seeds = joined(basins(height, inside), height, self.neck)
        grown = bio.watershed(-depth, seeds, mask=mask)
        return absorbed(grown, self.absorb_below, -depth, mask)
