"""Expected run length: how far one can follow a neuron through a segmentation before the first error.

Ground truth is skeletons, flat arrays of nodes and edges, and the id that a segmentation has at each node. What is wrong
where is found by `segkit.metrics.located`.

Source: Januszewski et al., Nature Methods 15 (2018), https://doi.org/10.1038/s41592-018-0049-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from segkit.errors import DataError, UsageError

__all__ = ["CORRECT", "EDGE_KINDS", "MERGED", "OMITTED", "SPLIT", "RunLength", "Skeletons"]

Array = np.ndarray[Any, Any]

EDGE_KINDS = ("correct", "split", "omitted", "merged")
"""What an edge can be; `RunLength.kinds` counts in them."""

CORRECT, SPLIT, OMITTED, MERGED = range(4)


@dataclass(frozen=True, eq=False)
class Skeletons:
    """Skeletons of many neurons as flat arrays.

    Parameters
    ----------
    nodes
        Positions ``(V, 3)``, float64, ``(z, y, x)``.
    edges
        Pairs of nodes ``(E, 2)``, int64, each of one skeleton.
    owners
        Number of the skeleton of each node ``(V,)``, int64, counted from 0.

    Raises
    ------
    DataError
        If the shapes do not fit, or an edge joins two skeletons.
    """

    nodes: Array
    edges: Array
    owners: Array

    def __post_init__(self) -> None:
        nodes = np.asarray(self.nodes, np.float64).reshape(-1, 3)
        edges = np.asarray(self.edges, np.int64).reshape(-1, 2)
        owners = np.asarray(self.owners, np.int64).reshape(-1)
        for name, value in (("nodes", nodes), ("edges", edges), ("owners", owners)):
            object.__setattr__(self, name, value)
        if len(owners) != len(nodes) or (len(edges) and not (edges.min() >= 0 and edges.max() < len(nodes))):
            raise DataError(
                f"There are {len(nodes)} nodes, but {len(owners)} owners and edges that use up to node "
                f"{edges.max(initial=-1)}. Give one owner for each node, and edges between nodes 0 to {len(nodes) - 1}."
            )
        if (owners[edges[:, 0]] != owners[edges[:, 1]]).any():
            raise DataError("An edge joins nodes of two skeletons. Give both nodes of an edge the same owner.")

    @cached_property
    def lengths(self) -> Array:
        """Length of each edge ``(E,)``, in the unit of the nodes."""
        length: Array = np.linalg.norm(self.nodes[self.edges[:, 0]] - self.nodes[self.edges[:, 1]], axis=1)
        return length

    @cached_property
    def pieces(self) -> Array:
        """Which connected piece each node ``(V,)`` is in, counted from 0 over all skeletons."""
        return connected(self.edges, len(self.nodes))

    def without(self, nodes: Array) -> Skeletons:
        """Return the same skeletons without some nodes, bool ``(V,)``, and without the edges that led there."""
        number = np.cumsum(~nodes) - 1
        edges = self.edges[~nodes[self.edges].any(axis=1)]
        return Skeletons(self.nodes[~nodes], number[edges], self.owners[~nodes])


def connected(edges: Array, count: int) -> Array:
    """Return the number of the connected component of each of `count` nodes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (count, count))
    component: Array = connected_components(graph, directed=False)[1].astype(np.int64)
    return component


class RunLength:
    """Skeletons compared with the segments that their nodes lie in.

    An edge is *omitted* if one of its nodes is in no segment, *split* if its nodes are in two, *merged* if they are in
    one that also touches another skeleton, else *correct*. A run is all correct edges of one connected piece of skeleton
    in one segment.

    A skeleton in several pieces, such as one that the border of a volume cuts, is scored piece by piece, because no
    segmentation can join what meets outside; pieces of one skeleton in one segment are no merger. For skeletons in one
    piece that is the definition of the paper.

    Parameters
    ----------
    skeletons
        The ground truth.
    segments
        Id of the segment at each node ``(V,)``, whole numbers; 0 for none.
    merge_nodes
        How many nodes of a skeleton must lie in a segment before it counts as touched; 0 and 1 both mean a single one,
        as in the paper. More forgives grazes, and reads higher.

    Attributes
    ----------
    ids, places
        Ids that occur ``(I,)``, and which of them each node ``(V,)`` has.
    merging
        Which ids ``(I,)`` are of segments that touch several skeletons.
    units
        Pairs ``(U, 2)`` of a merging segment, as a place in `ids`, and a skeleton that it touches.
    kinds
        What each edge ``(E,)`` is, uint8: a place in `EDGE_KINDS`.

    Raises
    ------
    DataError
        If there is not one segment for each node.
    UsageError
        If `merge_nodes` is negative.
    """

    def __init__(self, skeletons: Skeletons, segments: Array, merge_nodes: int = 0) -> None:
        if len(segments) != len(skeletons.nodes):
            raise DataError(
                f"There are {len(skeletons.nodes)} nodes and {len(segments)} segments. Give one for each node."
            )
        if merge_nodes < 0:
            raise UsageError(f"`merge_nodes` is {merge_nodes}; it takes a number of nodes, 0 or more.")
        self.skeletons = skeletons
        self.ids, self.places = np.unique(np.asarray(segments), return_inverse=True)
        count = int(skeletons.owners.max(initial=0)) + 1
        codes, counts = np.unique(self.places * count + skeletons.owners, return_counts=True)
        units = np.stack([codes // count, codes % count], 1)[counts >= max(1, merge_nodes)]
        units = units[self.ids[units[:, 0]] != 0]
        merging = np.bincount(units[:, 0], minlength=len(self.ids)) > 1
        self.merging = merging
        self.units = units[merging[units[:, 0]]]
        self.kinds = self._kinds()

    def _kinds(self) -> Array:
        one, other = self.places[self.skeletons.edges].T
        kinds = np.full(len(one), CORRECT, np.uint8)
        kinds[self.merging[one]] = MERGED
        kinds[one != other] = SPLIT
        kinds[(self.ids[one] == 0) | (self.ids[other] == 0)] = OMITTED
        return kinds

    @cached_property
    def cable(self) -> float:
        """Length of all edges together."""
        return float(self.skeletons.lengths.sum())

    @cached_property
    def runs(self) -> tuple[Array, Array, Array]:
        """Each piece of skeleton in each segment: piece, place in `ids` and length ``(R,)``, merging segments too.

        Sorted by piece, then place.
        """
        inside = (self.kinds == CORRECT) | (self.kinds == MERGED)
        nodes = self.skeletons.edges[inside, 0]
        codes, run = np.unique(self.skeletons.pieces[nodes] * len(self.ids) + self.places[nodes], return_inverse=True)
        lengths = np.bincount(run, self.skeletons.lengths[inside], len(codes))
        return codes // max(1, len(self.ids)), codes % max(1, len(self.ids)), lengths

    def run_lengths(self, pieces: Array, places: Array) -> Array:
        """Return the length of the runs of some pieces in some segments; 0 where there is none."""
        codes = self.runs[0] * len(self.ids) + self.runs[1]
        wanted = pieces * len(self.ids) + places
        if not len(codes):
            return np.zeros(len(wanted))
        at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        return np.where(codes[at] == wanted, self.runs[2][at], 0.0)

    def scores(self, unit: str = "nm") -> dict[str, float]:
        """Return the scores; lengths in the unit of the nodes, rates per millimetre only if that is nm.

        NaN where there is no cable.
        """
        lengths, kinds, cable = self.skeletons.lengths, self.kinds, self.cable
        _, places, runs = self.runs
        whole = np.bincount(self.skeletons.pieces[self.skeletons.edges[:, 0]], lengths)
        expected = _ratio(math.fsum(np.square(runs[~self.merging[places]])), cable)
        perfect = _ratio(math.fsum(np.square(whole)), cable)
        shares = {name: _ratio(float(lengths[kinds == kind].sum()), cable) for kind, name in enumerate(EDGE_KINDS)}
        segments = int(self.merging.sum())
        splits, mergers = len(self.splits()), len(self.units) - segments
        right = self.skeletons.edges[kinds == CORRECT]
        stretches = len(np.unique(connected(right, len(self.skeletons.nodes))[right[:, 0]]))
        millimetres = cable * 1e-6 if unit == "nm" else math.nan
        return {
            "nerl": _ratio(expected, perfect),
            "erl": expected,
            "erl_perfect": perfect,
            "error_free_path": _ratio(shares["correct"] * cable, stretches),
            **{f"{name}_share": share for name, share in shares.items()},
            "splits": splits,
            "splits_per_mm": _ratio(splits, millimetres),
            "split_edges": int((kinds == SPLIT).sum()),
            "mergers": mergers,
            "mergers_per_mm": _ratio(mergers, millimetres),
            "merging_segments": segments,
            "skeletons": len(np.unique(self.skeletons.owners)),
            "cable": cable,
        }

    def splits(self) -> Array:
        """Return each split ``(S, 3)`` once, however many edges cross it: piece, and places of the lower and higher id."""
        crossing = self.crossings()[self.kinds == SPLIT]
        return np.unique(crossing, axis=0)

    def crossings(self) -> Array:
        """Return for each edge ``(E, 3)`` its piece and the places of the ids at its ends, the lower one first."""
        ends = np.sort(self.places[self.skeletons.edges], axis=1)
        return np.concatenate([self.skeletons.pieces[self.skeletons.edges[:, :1]], ends], axis=1)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
