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

_SLAB = 1 << 18  # voxels that are converted and compared at once: few enough to stay in the processor's cache
_SLOTS = 1 << 12  # pairs a block may hold at first, twice over
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
    """Return for each row the sum of the counts of all rows with its id."""
    if not len(ids):
        return counts
    order = None if (ids[1:] >= ids[:-1]).all() else np.argsort(ids)
    grouped = ids if order is None else ids[order]
    starts = np.concatenate([[0], np.flatnonzero(grouped[1:] != grouped[:-1]) + 1])
    sums = np.add.reduceat(counts if order is None else counts[order], starts)
    each = np.repeat(sums, np.diff(starts, append=len(ids)))
    if order is None:
        return each
    sizes = np.empty_like(each)
    sizes[order] = each
    return sizes


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
        from segkit.metrics._counting import count_pairs

        everywhere = mask is None or bool(mask.all())
        known = None if mask is None or everywhere else mask.ravel()
        flat, other = segmentation.ravel(), labels.ravel()
        table, used = np.zeros((_SLOTS, 3), np.uint64), 0
        for start in range(0, flat.size, _SLAB):
            part = slice(start, start + _SLAB)
            chosen = slice(None) if known is None else known[part]
            segments, labelled = _unsigned(flat[part][chosen], "segmentation"), _unsigned(other[part][chosen], "labels")
            at = 0
            while at < segments.size:
                at, used = count_pairs(segments, labelled, table, at, used)
                if at < segments.size:
                    table = _doubled(table)
        if used:
            segments, labelled, counts = table[table[:, 2] != 0].T
            self._add((segments, labelled, counts.astype(np.int64)))

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


def _unsigned(ids: Array, what: str) -> Array:
    if ids.dtype.kind not in "bui":
        raise DataError(
            f"Ids are whole numbers, and the {what} came as {ids.dtype}. Threshold or segment it first, or convert it to an "
            "integer type."
        )
    if ids.dtype.kind == "i" and ids.size and ids.min() < 0:
        raise DataError(
            f"Ids are 0 (background) or above, and there is {int(ids.min())} in the {what}. If it marks voxels that are not "
            "annotated, give it as 'unlabelled'."
        )
    return np.ascontiguousarray(ids, np.uint64)


def _doubled(table: Array) -> Array:
    """Return the same pairs in a table of twice the size."""
    from segkit.metrics._counting import move_pairs

    larger = np.zeros((2 * len(table), 3), np.uint64)
    move_pairs(table, larger)
    return larger


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
