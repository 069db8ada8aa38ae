"""Traces with fewer nodes that look the same: what is drawn of many at once. Knows neither Qt nor napari.

Each branch is simplified by itself (Douglas and Peucker 1973, https://doi.org/10.3138/FM57-6770-U75U-7727), all branches at
the same time; the tolerance doubles until few enough edges are left, and only then are the shortest traces left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_segkit.session.traces._columns import spaced
from napari_segkit.session.traces._neurons import Neurons

__all__ = ["MOST_EDGES", "Sketch", "sketch"]

Array = np.ndarray[Any, Any]

MOST_EDGES = 100_000
_MOST_DOUBLINGS = 6


@dataclass(frozen=True, eq=False)
class Sketch:
    """Edges that are drawn.

    Parameters
    ----------
    ends
        Pairs ``(M, 2)`` of rows of `Neurons.nodes`.
    owners
        Row ``(M,)`` of the neuron that each is of.
    shown, of
        How many traces are drawn, and how many there are with an edge.
    tolerance
        How far a node that is left out may be from the line, in the unit of the traces.
    """

    ends: Array
    owners: Array
    shown: int
    of: int
    tolerance: float

    @property
    def note(self) -> str:
        """What is not drawn, for people; empty where everything is."""
        if self.shown == self.of:
            return ""
        return f"showing {spaced(self.shown)} of {spaced(self.of)}, shortest hidden"


def sketch(neurons: Neurons, tolerance: float, most: int = MOST_EDGES) -> Sketch:
    """Return at most so many edges that look like the traces.

    Parameters
    ----------
    neurons
        The traces.
    tolerance
        How far a node that is left out may be from the line at first, such as two voxels; nothing is left out where
        everything fits.
    most
        How many edges are wanted at most.
    """
    ends, owners = neurons.edges, neurons.edge_owners
    of = len(np.unique(owners))
    used = 0.0
    if len(ends) > most:
        points, starts = paths_of(ends, len(neurons.nodes))
        for doubling in range(_MOST_DOUBLINGS):
            used = tolerance * 2**doubling
            keep = simplified(neurons.nodes[points], starts, used)
            # The next, coarser round goes on with what is left of this one.
            counts = np.add.reduceat(keep, starts[:-1])
            points, starts = points[keep], np.concatenate([[0], np.cumsum(counts)])
            if len(points) - len(counts) <= most:
                break
        joined = np.ones(len(points) - 1, bool)
        joined[starts[1:-1] - 1] = False
        ends = np.stack([points[:-1][joined], points[1:][joined]], axis=1)
        owners = neurons.node_owners[ends[:, 0]]
        order = np.argsort(owners, kind="stable")
        ends, owners = ends[order], owners[order]
    shown = of
    if len(ends) > most:
        lengths = np.linalg.norm(neurons.nodes[ends[:, 0]] - neurons.nodes[ends[:, 1]], axis=1)
        cable = np.bincount(owners, lengths, len(neurons))
        edges = np.bincount(owners, minlength=len(neurons))
        longest = np.argsort(-cable, kind="stable")
        fits = longest[np.cumsum(edges[longest]) <= most]
        stay = np.zeros(len(neurons), bool)
        stay[fits] = True
        shown = int((edges[fits] > 0).sum())
        ends, owners = ends[stay[owners]], owners[stay[owners]]
    return Sketch(ends, owners, shown, of, used)


def paths_of(edges: Array, count: int) -> tuple[Array, Array]:
    """Return the branches of a forest: the nodes of all, each from end to end, and where each branch begins ``(B + 1,)``."""
    parents = _rooted(edges, count)
    children = np.bincount(parents[parents >= 0], minlength=count)
    root = parents < 0
    # A node goes on with the branch of its parent if it is the only child of one that is not a root.
    up = np.where(root, 0, parents)
    begins = ~root & ((children[up] != 1) | root[up])
    first, depth = np.arange(count), np.zeros(count, np.int64)
    inner = ~root & ~begins
    first[inner], depth[inner] = up[inner], 1
    while True:  # pointer doubling: every round looks twice as far up
        further = first[first]
        if (further == first).all():
            break
        depth += depth[first]
        first = further
    chain = np.flatnonzero(~root)
    chain = chain[np.lexsort((depth[chain], first[chain]))]
    heads = begins[chain]
    starts_of_chain = np.flatnonzero(heads)
    # Before each branch comes the node that it leaves from.
    points = np.insert(chain, starts_of_chain, up[chain[starts_of_chain]])
    starts = starts_of_chain + np.arange(len(starts_of_chain))
    return points, np.append(starts, len(points))


def _rooted(edges: Array, count: int) -> Array:
    """Return the parent ``(V,)`` of each node, or -1 of the root of each tree."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), (count, count))
    _, piece = connected_components(graph, directed=False)
    degree = np.bincount(edges.ravel(), minlength=count)
    # Best a tip: a root within a branch would cut it in two.
    by = np.lexsort((degree != 1, piece))
    roots = by[np.unique(piece[by], return_index=True)[1]]
    # One more node above all roots makes one tree of the forest.
    rows = np.concatenate([edges[:, 0], np.full(len(roots), count)])
    columns = np.concatenate([edges[:, 1], roots])
    whole = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (count + 1, count + 1)).tocsr()
    _, before = breadth_first_order(whole, count, directed=False)
    parents: Array = before[:count].astype(np.int64)
    parents[roots] = -1
    return parents


def simplified(places: Array, starts: Array, tolerance: float) -> Array:
    """Return which points ``(P,)`` of many lines to keep, so that none is farther than `tolerance` from what is left.

    Parameters
    ----------
    places
        Positions ``(P, 3)`` along the lines, one line after the other.
    starts
        Where each line begins, and the end: ``(L + 1,)``.
    tolerance
        Largest distance.
    """
    keep = np.zeros(len(places), bool)
    keep[starts[:-1]] = keep[starts[1:] - 1] = True
    # Spans between points that are kept; those that are straight enough are not looked at again.
    left, right = starts[:-1], starts[1:] - 1
    while True:
        long = right - left > 1
        left, right = left[long], right[long]
        if not len(left):
            return keep
        sizes = right - left - 1
        begins = np.cumsum(sizes) - sizes
        span = np.repeat(np.arange(len(left)), sizes)
        inner = np.arange(int(sizes.sum())) - begins[span] + left[span] + 1
        a, along = places[left], places[right] - places[left]
        length = np.maximum((along**2).sum(axis=1), 1e-300)
        relative = places[inner] - a[span]
        part = np.clip((relative * along[span]).sum(axis=1) / length[span], 0, 1)
        off = ((relative - part[:, None] * along[span]) ** 2).sum(axis=1)
        worst = np.maximum.reduceat(off, begins)
        bent = worst > tolerance**2
        at = np.flatnonzero((off == worst[span]) & bent[span])
        spans, once = np.unique(span[at], return_index=True)
        split = inner[at[once]]
        keep[split] = True
        left, right = np.concatenate([left[spans], split]), np.concatenate([split, right[spans]])
