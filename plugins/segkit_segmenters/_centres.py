"""Objects as crowds of votes: each voxel votes for the centre of its object."""

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

_READS = "channels 'object' and 'to_centre_…' (two for single slices, else three) of the task 'centre_offsets'"


@dataclass(frozen=True)
class Centres:
    """See `segkit_segmenters.centres`."""

    threshold: float
    radius: float
    neck: float
    min_votes: int
    halo: Triple
    stitching: Literal["touching", "overlap"] = "overlap"

    def for_channels(self, names: Sequence[str]) -> Centres:
        """Return this segmenter, unless the channels are those of another task."""
        if names and not all(name.startswith("to_centre_") for name in names[1:]):
            raise refusal("centres", _READS, names)
        return self

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(3 or 4, Z, Y, X)``."""
        if len(prediction) not in (3, 4):
            raise refusal("centres", _READS, len(prediction))
        mask = np.asarray(prediction[0] > self.threshold)
        ids = np.zeros(mask.shape, np.uint32)
        slices = [slice(None)] if len(prediction) == 4 else [slice(z, z + 1) for z in range(len(mask))]
        for part in slices:
            found = self._cut(prediction[1:, part], mask[part], voxel_size)
            ids[part] = np.where(found, found + ids.max(), 0)
        return ids

    def _cut(self, away: Array, mask: Array, voxel_size: Spacing) -> Array:
        """Return the objects of one crowd, or of a slice."""
        ids = np.zeros(mask.shape, np.uint32)
        if not mask.any():
            return ids
        votes = self._votes(away, mask, voxel_size)
        count = np.bincount(votes, minlength=mask.size).reshape(mask.shape).astype(np.float32)
        crowd = smoothed(count, self.radius, voxel_size)
        inside = crowd > 0
        places = joined(basins(crowd, inside), crowd, self.neck)
        ids[mask] = places.ravel()[votes]
        # A few stray votes make no object; their voxels go to one that they touch.
        return absorbed(ids, self.min_votes, np.zeros(mask.shape, np.float32), mask)

    def _votes(self, away: Array, mask: Array, voxel_size: Spacing) -> Array:
        """Return the flat index of the voxel that each voxel in `mask` votes for; votes beyond the border end there."""
        axes = range(3 - len(away), 3)
        finest = min(voxel_size[axis] for axis in axes)
        flat = np.zeros(np.count_nonzero(mask), np.int64)
        for axis, place in enumerate(np.nonzero(mask)):
            if axis in axes:
                step = away[axis - axes[0]][mask] * (finest / voxel_size[axis])
                place = np.rint(place + step).clip(0, mask.shape[axis] - 1).astype(np.int64)
            flat = flat * mask.shape[axis] + place
        return flat
