"""Distances inside a patch, and how far what is not known is away: nothing farther off can be said for sure."""

from __future__ import annotations

from typing import Any

import edt
import numpy as np

from segkit.contracts import Patch
from segkit.volume import Spacing

__all__ = ["apart_from_unknown", "distance_to", "distance_to_unknown", "spacing_of"]

Array = np.ndarray[Any, Any]

_FAR = 1e5  # times the finest axis: so far apart that slices do not see each other


def spacing_of(patch: Patch, in_plane_only: bool) -> Spacing:
    """Return the voxel size to measure with; slices lie far apart where each of them, or a single one, is by itself."""
    z, y, x = patch.voxel_size
    return (_FAR * max(y, x), y, x) if in_plane_only or patch.mask.shape[0] == 1 else (z, y, x)


def distance_to(places: Array, spacing: Spacing) -> Array:
    """Return how far each voxel is from the nearest of `places`, float32, infinite where there is none."""
    found: Array = edt.edt(~places, anisotropy=spacing, black_border=False, parallel=1)
    return found


def distance_to_unknown(mask: Array, spacing: Spacing) -> Array:
    """Return how far each voxel is from the nearest that is not known, all outside of the patch included."""
    found: Array = edt.edt(np.ascontiguousarray(mask), anisotropy=spacing, black_border=True, parallel=1)
    return found


def apart_from_unknown(labels: Array, mask: Array) -> Array:
    """Return labels in which all unknown voxels have an id of their own."""
    import fastremap

    if mask.all():
        return labels
    ids, _ = fastremap.renumber(np.ascontiguousarray(labels), preserve_zero=True, in_place=False)
    ids = ids.astype(np.uint32)
    ids[~mask] = ids.max() + 1
    result: Array = ids
    return result
