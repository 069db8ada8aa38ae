"""Where a segmentation goes wrong along skeletons: splits, mergers and omissions, each with its place and what it costs.

What an error costs is the expected run length (`segkit.metrics.run_length`) that mending it alone would give back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.metrics._joining import joining_nodes
from segkit.metrics.run_length import OMITTED, SPLIT, RunLength, connected

__all__ = ["TraceError", "locate_errors"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class TraceError:
    """One error along the skeletons.

    Parameters
    ----------
    kind
        ``"split"``: two segments follow each other on one skeleton. ``"merger"``: one segment holds two skeletons.
        ``"omission"``: a stretch of skeleton in no segment.
    position
        Where it is ``(z, y, x)``, in the unit of the skeletons: on the edge where the segments meet, halfway between the
        closest nodes of the skeletons, or on the middle node of the stretch.
    lost
        Expected run length that mending this error alone would give back, in that unit. What a merging segment costs is
        shared out among the places where it joins skeletons: each bears the skeleton that it adds to the one with the
        longest cable in the segment, and this one is borne with the next longest. A split or an omission gives nothing back
        as far as the segments beside it are merging ones.
    cable
        Cable that it concerns: the shorter of the two runs, the cable of the skeleton that is added, or the stretch.
    skeletons
        Numbers of the skeletons: one, or the two that are merged.
    segments
        Ids of the segments: the two of a split, the one of a merger, those beside an omission.
    """

    kind: Literal["split", "merger", "omission"]
    position: tuple[float, float, float]
    lost: float
    cable: float
    skeletons: tuple[int, ...]
    segments: tuple[int, ...]


def locate_errors(runs: RunLength) -> list[TraceError]:
    """Return all splits, mergers and omissions, those that cost the most first.

    Parameters
    ----------
    runs
        The comparison. Its rules hold: a graze of fewer nodes than its ``merge_nodes`` is no merger.
    """
    if not runs.cable:
        return []
    errors = [*_splits(runs), *_omissions(runs), *_mergers(runs)]
    return sorted(errors, key=lambda error: (-error.lost, -error.cable, error.kind, error.position))


def _splits(runs: RunLength) -> list[TraceError]:
    edges = np.flatnonzero(runs.kinds == SPLIT)
    found, which = np.unique(runs.crossings()[edges], axis=0, return_inverse=True)
    pieces, low, high = found.T
    middles = runs.skeletons.nodes[runs.skeletons.edges[edges]].mean(axis=1)
    positions = middles[_middle(which.ravel(), middles)]
    crossing = np.bincount(which.ravel(), runs.skeletons.lengths[edges], len(found))
    first, second = runs.run_lengths(pieces, low), runs.run_lengths(pieces, high)
    gain = (np.square(first + second + crossing) - np.square(first) - np.square(second)) / runs.cable
    gain[runs.merging[low] | runs.merging[high]] = 0
    owners = _owners(runs)[pieces]
    rows = zip(positions, gain, np.minimum(first, second), owners, runs.ids[low], runs.ids[high], strict=True)
    return [
        TraceError("split", _point(at), float(lost), float(cable), (int(owner),), (int(one), int(other)))
        for at, lost, cable, owner, one, other in rows
    ]


def _omissions(runs: RunLength) -> list[TraceError]:
    edges, lengths, pieces = runs.skeletons.edges, runs.skeletons.lengths, runs.skeletons.pieces
    omitted = np.flatnonzero(runs.kinds == OMITTED)
    empty = runs.ids[runs.places] == 0
    ends = edges[omitted]
    stretch = connected(ends[empty[ends].all(axis=1)], len(pieces))  # of each node that is in no segment
    inner = np.where(empty[ends[:, 0]], ends[:, 0], ends[:, 1])
    outer = np.where(empty[ends[:, 0]], ends[:, 1], ends[:, 0])
    found, which = np.unique(stretch[inner], return_inverse=True)
    cable = np.bincount(which, lengths[omitted], len(found))
    piece = np.zeros(len(found), np.int64)
    piece[which] = pieces[inner]
    nodes = np.flatnonzero(empty & np.isin(stretch, found))
    group = np.searchsorted(found, stretch[nodes])
    positions = runs.skeletons.nodes[nodes][_middle(group, runs.skeletons.nodes[nodes])]
    border = ~empty[outer]
    beside = np.unique(np.stack([which[border], runs.places[outer[border]]], 1), axis=0)
    run = runs.run_lengths(piece[beside[:, 0]], beside[:, 1]) * ~runs.merging[beside[:, 1]]
    joined = np.bincount(beside[:, 0], run, len(found))
    gain = (np.square(joined + cable) - np.bincount(beside[:, 0], np.square(run), len(found))) / runs.cable
    starts = np.searchsorted(beside[:, 0], np.arange(len(found) + 1))
    owners = _owners(runs)[piece]
    return [
        TraceError(
            "omission",
            _point(positions[i]),
            float(gain[i]),
            float(cable[i]),
            (int(owners[i]),),
            tuple(runs.ids[beside[starts[i] : starts[i + 1], 1]].tolist()),
        )
        for i in range(len(found))
    ]


def _mergers(runs: RunLength) -> list[TraceError]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    units = runs.units
    if not len(units):
        return []
    pieces, places, lengths = runs.runs
    count = int(runs.skeletons.owners.max()) + 1
    codes = units[:, 0] * count + units[:, 1]
    own = places * count + _owners(runs)[pieces]
    at = np.minimum(np.searchsorted(codes, own), len(codes) - 1)
    known = codes[at] == own
    cable = np.bincount(at[known], lengths[known], len(units))
    lost = np.bincount(at[known], np.square(lengths[known]), len(units)) / runs.cable
    nodes = runs.places * count + runs.skeletons.owners
    unit = np.minimum(np.searchsorted(codes, nodes), len(codes) - 1)
    touching = np.flatnonzero(codes[unit] == nodes)
    unit = unit[touching]
    ends = joining_nodes(runs.skeletons.nodes[touching], unit, units[unit, 0])
    middles = runs.skeletons.nodes[touching[ends]].mean(axis=1)
    joins = unit[ends]
    graph = coo_array((np.arange(1, len(joins) + 1), (joins[:, 0], joins[:, 1])), (len(units), len(units))).tocsr()
    graph = graph + graph.T
    errors = []
    order = np.lexsort((-cable, units[:, 0]))
    for main in order[np.unique(units[order, 0], return_index=True)[1]]:
        reached, before = breadth_first_order(graph, int(main), directed=False)
        added = reached[1:]
        share = lost[added].copy()
        share[cable[added].argmax()] += lost[main]
        for one, cost in zip(added, share, strict=True):
            other = before[one]
            errors.append(
                TraceError(
                    "merger",
                    _point(middles[graph[int(one), int(other)] - 1]),
                    float(cost),
                    float(cable[one]),
                    (int(units[other, 1]), int(units[one, 1])),
                    (int(runs.ids[units[one, 0]]),),
                )
            )
    return errors


def _owners(runs: RunLength) -> Array:
    """Return the number of the skeleton of each piece."""
    owners = np.zeros(int(runs.skeletons.pieces.max(initial=-1)) + 1, np.int64)
    owners[runs.skeletons.pieces] = runs.skeletons.owners
    return owners


def _middle(groups: Array, positions: Array) -> Array:
    """Return for each group, numbered from 0 without gaps, which of its positions ``(N, 3)`` is nearest to their mean."""
    counts = np.bincount(groups)
    means = np.stack([np.bincount(groups, axis) / counts for axis in positions.T], 1)
    away = np.square(positions - means[groups]).sum(1)
    order = np.lexsort((np.arange(len(groups)), away, groups))
    return order[np.searchsorted(groups[order], np.arange(len(counts)))]


def _point(position: Array) -> tuple[float, float, float]:
    z, y, x = position.tolist()
    return z, y, x
