"""Seeded watershed for a map of objects and, where there is one, of the boundaries between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.geometry import Triple
from segkit.volume import Spacing
from segkit_segmenters._agglomeration import agglomerate
from segkit_segmenters._basins import basins, joined, maxima, smoothed
from segkit_segmenters._reading import refusal

Array = np.ndarray[Any, Any]

_READS = "channels 'object' and 'boundary' of the task 'boundaries', or one of the task 'semantic' for two classes"


@dataclass(frozen=True)
class Watershed:
    """See `segkit_segmenters.watershed`."""

    threshold: float
    seed_threshold: float
    neck: float
    smoothing: float
    min_radius: float
    merge_below: float
    halo: Triple
    stitching: Literal["touching", "overlap"] = "overlap"

    def for_channels(self, names: Sequence[str]) -> Watershed:
        """Return this segmenter, unless the channels are those of another task."""
        if any(name.startswith(("affinity_", "to_centre_", "distance")) for name in names):
            raise refusal("watershed", _READS, names)
        return self

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(1 or 2, Z, Y, X)``."""
        import bioimage_cpp.segmentation as bio

        if len(prediction) > 2:
            raise refusal("watershed", _READS, len(prediction))
        objects = np.asarray(prediction[0], np.float32)
        mask = objects > self.threshold if self.threshold > 0 else np.ones(objects.shape, bool)
        boundary = np.asarray(prediction[1], np.float32) if len(prediction) > 1 else 1 - objects
        inside = mask & ((objects - boundary if len(prediction) > 1 else objects) > self.seed_threshold)
        if not inside.any():
            return np.zeros(objects.shape, np.uint32)
        seeds = self.seeds(inside, voxel_size)
        boundary = np.ascontiguousarray(boundary)
        grown: Array = bio.watershed(boundary, seeds, mask=mask)
        return agglomerate(grown, boundary, self.merge_below) if self.merge_below > 0 else grown

    def seeds(self, inside: Array, voxel_size: Spacing) -> Array:
        """Return seeds (Z, Y, X) uint32 that fill `inside`, one for each object."""
        import edt

        distance = edt.edt(np.ascontiguousarray(inside), anisotropy=voxel_size, black_border=False, parallel=1)
        # A region without any background has no border to measure from.
        distance = np.where(np.isfinite(distance), distance, float(np.linalg.norm(inside.shape) * max(voxel_size)))
        distance = distance.astype(np.float32)
        height = np.where(inside, smoothed(distance, self.smoothing, voxel_size), 0)
        found = joined(basins(height, inside), height, self.neck)
        if self.min_radius > 0:
            radius = maxima(found, distance)
            found = np.where(radius >= self.min_radius, np.arange(len(radius)), 0).astype(np.uint32)[found]
        return found
