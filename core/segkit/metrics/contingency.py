"""How many voxels each pair of ids shares in two label volumes: the one table that every comparison of objects needs.

The table is sparse and exact: ids are uint64 throughout, and it holds one row for each pair of ids that meets
somewhere, so its size follows the number of objects and not the number of voxels. It is filled block by block, and
tables of different blocks add up. Neighbouring voxels mostly hold the same pair, so runs are counted, not voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from segkit.errors import DataError

__all__ = ["Contingency", "Overlaps"]

Array = np.ndarray[Any, Any]
Rows = tuple[Array, Array, Array]

_SLAB = 1 << 18  # voxels that are compared at once: what the comparisons leave behind stays in the processor's cache
_SLOT_BITS = 17
_HASH_SEGMENT = np.uint64(0x9E3779B97F4A7C15)  # odd numbers with scattered bits, so that neighbouring ids part
_HASH_LABEL = np.uint64(0xC2B2AE3D27D4EB4F)
_SETTLE = 1 << 16  # rows below which joining the tables of blocks is not worth while yet


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Every pair of ids that meets, and in how many voxels.

    Parameters
    ----------
    segments
        Id in the segmentation, uint64 ``(P,)``.
    labels
        Id in the labels, uint64 ``(P,)``.
    counts
        Voxels that hold both, int64 ``(P,)``, each above 0. No pair comes twice; rows are sorted by segment, then label.
    """

    segments: Array
    labels: Array
    counts: Array

    @property
    def voxels(self) -> int:
        """Number of voxels compared."""
        return int(self.counts.sum())

    @cached_property
    def segment_sizes(self) -> Array:
        """Voxels of each row's segment, int64 ``(P,)``."""
        return _sizes(self.segments, self.counts)

    @cached_property
    def label_sizes(self) -> Array:
        """Voxels of each row's label, int64 ``(P,)``."""
        return _sizes(self.labels, self.counts)

    def where(self, rows: Array) -> Overlaps:
        """Return the chosen rows, bool ``(P,)``; voxels of all others no longer count, in sizes either."""
        return Overlaps(self.segments[rows], self.labels[rows], self.counts[rows])


def _sizes(ids: Array, counts: Array) -> Array:
    _, index = np.unique(ids, return_inverse=True)
    return np.asarray(np.bincount(index, weights=counts).astype(np.int64)[index])  # sums below 2^53 are exact


class Contingency:
    """Collects the overlaps of a segmentation and labels, block by block."""

    def __init__(self) -> None:
        empty = np.empty(0, np.uint64)
        self._settled: Rows = (empty, empty, np.empty(0, np.int64))
        self._pending: list[Rows] = []
        self._pending_rows = 0

    def update(self, segmentation: Array, labels: Array, mask: Array | None = None) -> None:
        """Add a block.

        Parameters
        ----------
        segmentation, labels
            Ids of equal shape, integer or bool, none below 0.
        mask
            True where voxels count, of that shape; None means everywhere.

        Raises
        ------
        DataError
            If the shapes differ, the voxels are not whole numbers or an id is negative.
        """
        if segmentation.shape != labels.shape or (mask is not None and mask.shape != labels.shape):
            raise DataError(
                f"A segmentation of shape {segmentation.shape} cannot be compared with labels of shape {labels.shape}"
                f"{'' if mask is None else f' under a mask of shape {mask.shape}'}. Pass the same region of each."
            )
        if mask is None:
            flat, other = segmentation.ravel(), labels.ravel()
        else:
            flat, other = segmentation[mask], labels[mask]
        slabs = []
        for at in range(0, flat.size, _SLAB):
            segments, labelled, lengths = _runs(flat[at : at + _SLAB], other[at : at + _SLAB])
            slabs.append(_folded(_unsigned(segments, "segmentation"), _unsigned(labelled, "labels"), lengths))
        if slabs:
            self._add(_grouped(*(np.concatenate(column) for column in zip(*slabs, strict=True))))

    def merge(self, other: Contingency) -> None:
        """Add all that another table has collected, such as one of other blocks."""
        self._add(other._settle())

    def overlaps(self) -> Overlaps:
        """Return what was collected so far."""
        return Overlaps(*self._settle())

    def _add(self, rows: Rows) -> None:
        self._pending.append(rows)
        self._pending_rows += len(rows[0])
        # Joining only when as much waits as there is already costs a constant number of sorts a row, however many blocks come.
        if self._pending_rows > max(_SETTLE, len(self._settled[0])):
            self._settle()

    def _settle(self) -> Rows:
        if self._pending:
            segments, labels, counts = (np.concatenate(c) for c in zip(self._settled, *self._pending, strict=True))
            self._settled = _grouped(segments, labels, counts)
            self._pending, self._pending_rows = [], 0
        return self._settled


def _runs(segments: Array, labels: Array) -> Rows:
    """Return the pair of ids of each run of equal pairs, and its length."""
    changes = segments[1:] != segments[:-1]
    changes |= labels[1:] != labels[:-1]
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return segments[starts], labels[starts], np.diff(starts, append=len(segments))


def _unsigned(ids: Array, what: str) -> Array:
    if ids.dtype.kind not in "bui":
        raise DataError(
            f"Ids are whole numbers, and the {what} came as {ids.dtype}. Threshold or segment it first, or convert it to an "
            "integer type."
        )
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise DataError(
            f"Ids are 0 (background) or above, and there is {int(ids.min())} in the {what}. If it marks voxels that are not "
            "annotated, give it as 'unlabelled'."
        )
    return ids.astype(np.uint64)


def _folded(segments: Array, labels: Array, counts: Array) -> Rows:
    """Add up the counts of most equal pairs, much faster than sorting does.

    Each pair is given a slot by a hash, and each slot to one of the pairs that fell into it; whatever fell into the slot
    of another pair stays as it is, for `_grouped` to find.
    """
    slots = ((segments * _HASH_SEGMENT ^ labels * _HASH_LABEL) >> np.uint64(64 - _SLOT_BITS)).astype(np.intp)
    rows = np.arange(len(slots))
    owners = np.empty(1 << _SLOT_BITS, np.intp)
    owners[slots] = rows
    first = owners[slots]
    same = (segments[first] == segments) & (labels[first] == labels)
    sums = np.bincount(first, weights=counts * same).astype(np.int64)  # far below 2^53, so exact
    kept = np.flatnonzero(first == rows)
    chosen = np.concatenate([kept, np.flatnonzero(~same)])
    return segments[chosen], labels[chosen], np.concatenate([sums[kept], counts[~same]])


def _grouped(segments: Array, labels: Array, counts: Array) -> Rows:
    """Add up the counts of equal pairs; the result is sorted by segment, then label."""
    first, last = int(segments.min()), int(segments.max())
    low, high = int(labels.min()), int(labels.max())
    width = high - low + 1
    codes: Array
    if (last - first + 1) * width < 1 << 64:
        codes = (segments - np.uint64(first)) * np.uint64(width) + (labels - np.uint64(low))
    else:  # a pair does not fit 64 bits as it is, but the ranks of its ids do
        _, left = np.unique(segments, return_inverse=True)
        distinct, right = np.unique(labels, return_inverse=True)
        codes = left * len(distinct) + right
    order = np.argsort(codes)
    codes = codes[order]
    starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
    chosen = order[starts]
    return segments[chosen], labels[chosen], np.add.reduceat(counts[order], starts)
