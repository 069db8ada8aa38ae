"""The objects of a piece of labels: ids, and the connected pieces of each id."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from segkit.geometry import Box

__all__ = ["Regions", "as_ids", "count_regions"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Regions:
    """Some objects.

    Parameters
    ----------
    voxels
        Voxels of each, int64 ``(n,)``.
    extent
        Length of each along z, y and x, int64 ``(n, 3)``.
    counted
        Whether each is to be counted here, bool ``(n,)``: not where it begins in a neighbouring block.
    complete
        Whether each lies within the piece, or is cut only where the whole sample ends, bool ``(n,)``.
    touching
        Whether each has a neighbouring voxel of another id, bool ``(n,)``.
    """

    voxels: Array
    extent: Array
    counted: Array
    complete: Array
    touching: Array

    @classmethod
    def none(cls) -> Regions:
        """Return no objects."""
        empty = np.zeros(0, bool)
        return cls(np.zeros(0, np.int64), np.zeros((0, 3), np.int64), empty, empty, empty)

    @classmethod
    def joined(cls, parts: list[Regions]) -> Regions:
        """Put the objects of several pieces together."""
        if not parts:
            return cls.none()
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


_SPECKLED = 8  # voxels of a connected piece, on average, below which numbers are an image and not ids,
_MARKS = 10_000  # if there are more than so many


def as_ids(labels: Array) -> Array | None:
    """Return labels as whole numbers, NaN as 0; None where they are no whole numbers, as those of an image."""
    if labels.dtype.kind == "b":
        return labels.view(np.uint8)
    if labels.dtype.kind in "iu":
        return labels
    finite = np.isfinite(labels)
    numbers = np.where(finite, labels, 0).astype(np.int32)
    return numbers if bool((numbers == labels)[finite].all()) else None


def count_regions(labels: Array, piece: Box, within: Box) -> tuple[Regions, Regions, dict[int, int]] | None:
    """Measure the objects of a piece of labels.

    Parameters
    ----------
    labels
        Ids ``(Z, Y, X)``; 0 is background, and what is not labelled is 0 too.
    piece, within
        Where these labels lie, and the region of the whole sample.

    Returns
    -------
    tuple
        The objects if each id is one, the objects if each connected piece of an id is one, and the voxels of each id. None
        where most voxels differ from their neighbours, as in an image.
    """
    import cc3d
    import fastremap

    small, mapping = fastremap.renumber(labels, in_place=False)
    ids = {int(new): int(old) for old, new in mapping.items() if old != 0}
    if not ids:
        return Regions.none(), Regions.none(), {}
    pieces, count = cc3d.connected_components(small, connectivity=26, return_N=True)
    if len(ids) > 2 and count * _SPECKLED > np.count_nonzero(small) and count > _MARKS:
        return None
    own = _regions(small, piece, within)
    touching = np.zeros(len(own.voxels), bool)
    if len(ids) > 1:
        for pair in cc3d.contacts(small, connectivity=26):
            if 0 not in pair:
                touching[[int(number) - 1 for number in pair]] = True
    own = replace(own, touching=touching)
    voxels = {ids[number + 1]: int(count) for number, count in enumerate(own.voxels)}
    return own, _regions(pieces, piece, within), voxels


def _regions(labels: Array, piece: Box, within: Box) -> Regions:
    """Measure regions that are numbered from 1 without a gap."""
    import cc3d

    found = cc3d.statistics(labels, no_slice_conversion=True)
    voxels = np.asarray(found["voxel_counts"], np.int64)[1:]
    # Inclusive ends along the axes, in the order of the axes: first, last, first, last, ...
    ends = np.asarray(found["bounding_boxes"], np.int64).reshape(-1, 6)[1:]
    first, last = ends[:, 0::2], ends[:, 1::2]
    # Each object belongs to the block in which it begins, so that blocks count none twice (Gundersen's counting frame).
    before, after = np.array(piece.start) > np.array(within.start), np.array(piece.stop) < np.array(within.stop)
    counted = ~((first == 0) & before).any(axis=1)
    complete = counted & ~((last == np.array(piece.shape) - 1) & after).any(axis=1)
    return Regions(voxels, last - first + 1, counted, complete, np.zeros(len(voxels), bool))
