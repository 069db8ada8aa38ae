"""Seeds for objects that touch: the basins around the peaks of a height, joined where the pass between them is high."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.volume import Spacing

__all__ = ["basins", "joined", "maxima", "smoothed"]

Array = np.ndarray[Any, Any]


def smoothed(height: Array, sigma: float, voxel_size: Spacing) -> Array:
    """Return a height smoothed by `sigma` voxels of the finest axis, as far in space along the others."""
    from scipy.ndimage import gaussian_filter

    if not sigma:
        return height
    spread = [sigma * min(voxel_size) / size for size in voxel_size]
    found: Array = gaussian_filter(height, spread, mode="nearest", truncate=3)
    return found


def basins(height: Array, inside: Array) -> Array:
    """Return the basin (Z, Y, X) uint32 of each voxel `inside`: the peak it leads up to; 0 elsewhere."""
    import bioimage_cpp.segmentation as bio
    import cc3d
    from scipy.ndimage import maximum_filter

    tops = inside & (height == maximum_filter(height, 3, mode="nearest"))
    peaks = cc3d.connected_components(tops, connectivity=26).astype(np.uint32)
    found: Array = bio.watershed(-height, peaks, mask=inside)
    return found


def maxima(ids: Array, values: Array) -> Array:
    """Return the largest value of each id, 0 for the background."""
    largest = np.zeros(int(ids.max()) + 1, np.float32)
    np.maximum.at(largest, ids.ravel(), values.ravel())
    largest[0] = 0
    return largest


def joined(parts: Array, height: Array, neck: float) -> Array:
    """Make one of basins whose highest pass is at least `neck` times as high as the lower of their two peaks."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(parts.max()) + 1
    pairs, passes = [], []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        a, b = parts[low], parts[high]
        meet = (a != b) & (a != 0) & (b != 0)
        ends = np.sort(np.stack([a[meet], b[meet]], 1).astype(np.int64), axis=1)
        pairs.append(ends[:, 0] * count + ends[:, 1])
        passes.append(np.minimum(height[low][meet], height[high][meet]))
    code, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
    saddle = np.zeros(len(code), np.float32)
    np.maximum.at(saddle, inverse, np.concatenate(passes))
    first, second = code // count, code % count
    peak = maxima(parts, height)
    wide = saddle >= neck * np.minimum(peak[first], peak[second]) if neck < 1 else np.zeros(len(code), bool)
    graph = coo_array((np.ones(int(wide.sum()), bool), (first[wide], second[wide])), (count, count))
    number, group = connected_components(graph, directed=False)
    # The background is a component of its own; keep its number 0.
    names = np.empty(number, np.uint32)
    order = np.unique(group, return_index=True)[1]
    names[group[np.sort(order)]] = np.arange(number, dtype=np.uint32)
    found: Array = names[group][parts]
    return found
