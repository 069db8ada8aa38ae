"""The inner loop of the contingency table, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.compiling import compiled

__all__ = ["count_pairs", "move_pairs"]

Array = np.ndarray[Any, Any]

_FIRST = np.uint64(0x9E3779B97F4A7C15)  # odd numbers with scattered bits, so that neighbouring ids part
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)


@compiled
def _slot(segment: Any, label: Any, table: Array) -> Any:
    """Return the slot of a pair, or the free one where it belongs."""
    last = np.uint64(table.shape[0] - 1)
    mixed = (segment * _FIRST) ^ (label * _SECOND)
    slot = (mixed ^ (mixed >> np.uint64(32))) & last
    while table[slot, 2] != 0 and (table[slot, 0] != segment or table[slot, 1] != label):
        slot = (slot + np.uint64(1)) & last
    return slot


@compiled
def count_pairs(segments: Array, labels: Array, table: Array, at: int, used: int) -> tuple[int, int]:
    """Count how often each pair of ids comes, run by run, until all are counted or the table is full.

    Parameters
    ----------
    segments, labels
        Ids, uint64 ``(N,)``.
    table
        uint64 ``(S, 3)``, S a power of two: segment, label and count of each pair; a slot whose count is 0 is free.
    at
        Where to begin.
    used
        Slots that are taken.

    Returns
    -------
    tuple
        Where it stopped, N if all are counted; and how many slots are taken now, at most half of them.
    """
    size = table.shape[0]
    while at < segments.size:
        segment, label = segments[at], labels[at]
        stop = at + 1
        while stop < segments.size and segments[stop] == segment and labels[stop] == label:
            stop += 1
        slot = _slot(segment, label, table)
        if table[slot, 2] == 0:
            if 2 * used >= size:
                return at, used
            table[slot, 0], table[slot, 1] = segment, label
            used += 1
        table[slot, 2] += np.uint64(stop - at)
        at = stop
    return at, used


@compiled
def move_pairs(table: Array, larger: Array) -> None:
    """Put all pairs of a table into an empty one of the same kind, which has room for them."""
    for row in range(table.shape[0]):
        if table[row, 2] != 0:
            larger[_slot(table[row, 0], table[row, 1], larger)] = table[row]
