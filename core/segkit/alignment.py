"""Which voxels of two volumes lie at the same place.

Volumes are aligned by their positions where both say the same voxel size, so that the prediction of a crop is compared
with labels of the whole. Where one does not know how large its voxels are, nothing but an equal extent says that two
volumes show the same, and they are aligned voxel by voxel; also where neither does and one has no offset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from segkit.errors import DataError
from segkit.geometry import Box, Triple
from segkit.volume import Volume

__all__ = ["align"]

_TOLERANCE = 0.01  # of a voxel: offsets are written as decimal numbers of nanometres


def align(first: Volume, others: Mapping[str, Volume], within: Box | None = None) -> tuple[Box, dict[str, Triple]]:
    """Find what volumes share.

    Parameters
    ----------
    first
        The volume whose voxels the result counts in.
    others
        The other volumes, by what to call them in messages.
    within
        The part of `first` that is wanted; None for all of it. With one, the volumes may differ in extent.

    Returns
    -------
    tuple
        The shared region in voxels of `first`, and for each other volume the shift (z, y, x) from there to its own.

    Raises
    ------
    DataError
        If the extents or voxel sizes do not fit, positions differ by parts of voxels, or nothing is shared.
    """
    box = first.box if within is None else within
    shifts = {}
    for name, other in others.items():
        shift = _shift(first, other, name, strict=within is None)
        shared = box & other.box.shift([-s for s in shift])
        if shared is None:
            raise DataError(
                f"{first.source} and the {name} {other.source} share no voxel: in voxels of the first, the wanted region is "
                f"{box}, and the {name} cover {other.box.shift([-s for s in shift])}. Check their offsets."
            )
        box, shifts[name] = shared, shift
    return box, shifts


def _shift(first: Volume, other: Volume, name: str, *, strict: bool) -> Triple:
    both = f"{first.source} and the {name} {other.source}"
    extents = f"their extents are {first.spatial_shape} and {other.spatial_shape} voxels (z, y, x)"
    same_extent = first.spatial_shape == other.spatial_shape
    if first.unit != other.unit:
        if strict and not same_extent:
            unknown = first if first.unit == "voxel" else other
            raise DataError(
                f"{both} cannot be aligned: {extents}, and {unknown.source} does not say its voxel size. Open it with "
                "'voxel_size' and 'offset', or crop one of them."
            )
        return (0, 0, 0)
    sizes = zip(first.voxel_size, other.voxel_size, strict=True)
    if not all(math.isclose(a, b, rel_tol=1e-4) for a, b in sizes):
        raise DataError(
            f"{both} have voxels of {first.voxel_size} and {other.voxel_size} {first.unit} (z, y, x). Resample one of them, or "
            "open it with the right 'voxel_size'."
        )
    if same_extent and first.unit == "voxel" and not (any(first.offset) and any(other.offset)):
        return (0, 0, 0)  # an offset of 0 is what a file has that knows of none, such as a mask drawn on a crop
    exact = [(a - b) / v for a, b, v in zip(first.offset, other.offset, first.voxel_size, strict=True)]
    z, y, x = (round(e) for e in exact)
    if any(abs(e - s) > _TOLERANCE for e, s in zip(exact, (z, y, x), strict=True)):
        raise DataError(
            f"{both} are {', '.join(f'{e:.2f}' for e in exact)} voxels apart (z, y, x), which is not a whole number. Resample "
            "one of them, or open it with the right 'offset'."
        )
    if strict and not same_extent and first.unit == "voxel" and (z, y, x) == (0, 0, 0):
        raise DataError(
            f"{both} differ in extent: {extents}, and neither says its voxel size or offset. Crop one of them, or name the "
            "region to compare, which then counts from the first voxel of both."
        )
    return (z, y, x)
