"""Seeded watershed for a map of objects and, where there is one, of the boundaries between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.geometry import Triple
from segkit.volume import Spacing
from segkit_segmenters._agglomeration import agglomerate

Array = np.ndarray[Any, Any]


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

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(1 or 2, Z, Y, X)``."""
        import bioimage_cpp.segmentation as bio

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
        import bioimage_cpp.segmentation as bio
        import cc3d
        import edt
        from scipy.ndimage import gaussian_filter, maximum_filter

        distance = edt.edt(np.ascontiguousarray(inside), anisotropy=voxel_size, black_border=False, parallel=1)
        # A region without any background has no border to measure from.
        distance = np.where(np.isfinite(distance), distance, float(np.linalg.norm(inside.shape) * max(voxel_size)))
        distance = distance.astype(np.float32)
        if self.smoothing:
            sigma = [self.smoothing * min(voxel_size) / v for v in voxel_size]
            smooth = np.where(inside, gaussian_filter(distance, sigma, mode="nearest", truncate=3), 0)
        else:
            smooth = distance
        peaks = cc3d.connected_components(
            inside & (smooth == maximum_filter(smooth, 3, mode="nearest")), connectivity=26
        )
        basins = bio.watershed(-smooth, peaks.astype(np.uint32), mask=inside)
        joined = _join(basins, smooth, self.neck)
        if self.min_radius > 0:
            radius = _maxima(joined, distance)
            joined = np.where(radius >= self.min_radius, np.arange(len(radius)), 0).astype(np.uint32)[joined]
        return joined


def _maxima(ids: Array, values: Array) -> Array:
    """Return the largest value of each id, 0 for the background."""
    largest = np.zeros(int(ids.max()) + 1, np.float32)
    np.maximum.at(largest, ids.ravel(), values.ravel())
    largest[0] = 0
    return largest


def _join(basins: Array, height: Array, neck: float) -> Array:
    """Make one of basins whose highest pass is at least `neck` times as high as the lower of their two peaks."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(basins.max()) + 1
    pairs, passes = [], []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        a, b = basins[low], basins[high]
        meet = (a != b) & (a != 0) & (b != 0)
        ends = np.sort(np.stack([a[meet], b[meet]], 1).astype(np.int64), axis=1)
        pairs.append(ends[:, 0] * count + ends[:, 1])
        passes.append(np.minimum(height[low][meet], height[high][meet]))
    code, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
    saddle = np.zeros(len(code), np.float32)
    np.maximum.at(saddle, inverse, np.concatenate(passes))
    first, second = code // count, code % count
    peak = _maxima(basins, height)
    wide = saddle >= neck * np.minimum(peak[first], peak[second]) if neck < 1 else np.zeros(len(code), bool)
    graph = coo_array((np.ones(int(wide.sum()), bool), (first[wide], second[wide])), (count, count))
    number, group = connected_components(graph, directed=False)
    # The background is a component of its own; keep its number 0.
    names = np.empty(number, np.uint32)
    order = np.unique(group, return_index=True)[1]
    names[group[np.sort(order)]] = np.arange(number, dtype=np.uint32)
    joined: Array = names[group][basins]
    return joined
