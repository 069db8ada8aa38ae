"""Mending traces by hand: several joined into one, or one cut in two, and what each of their nodes was traced in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segkit.errors import UsageError
from segkit.tracing._trace import Trace

__all__ = ["Piece", "cut", "edge_to_root", "join"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Piece:
    """A trace, and the objects that its nodes were traced in.

    Parameters
    ----------
    trace
        The trace as it is now.
    origin
        Id ``(V,)`` uint64 of the object that each node was traced in.
    """

    trace: Trace
    origin: Array

    @classmethod
    def of(cls, trace: Trace) -> Piece:
        """Return a trace that nobody changed."""
        return cls(trace, np.full(len(trace.nodes), trace.id, np.uint64))


def join(pieces: Sequence[Piece], id: int) -> Piece:
    """Return one trace of several, which are joined where they come closest.

    Parameters
    ----------
    pieces
        Traces of one unit, each with a node.
    id
        What the trace is called.

    Raises
    ------
    UsageError
        If there are fewer than two.
    """
    from scipy.spatial import cKDTree

    if len(pieces) < 2:
        raise UsageError(f"{len(pieces)} trace cannot be joined. Choose two or more.")
    whole, left = pieces[0], list(pieces[1:])
    while left:
        tree = cKDTree(whole.trace.nodes)
        found = [tree.query(piece.trace.nodes) for piece in left]
        nearest = min(range(len(left)), key=lambda place: float(found[place][0].min()))
        there = int(found[nearest][0].argmin())
        whole = _bridged(whole, left.pop(nearest), int(found[nearest][1][there]), there)
    return Piece(replace(whole.trace, id=id), whole.origin)


def _bridged(one: Piece, other: Piece, here: int, there: int) -> Piece:
    """Return both in one, with an edge from the node `here` of the first to the node `there` of the second."""
    a, b, first = one.trace, other.trace, len(one.trace.nodes)
    edges = np.concatenate([a.edges, b.edges + first, [[here, first + there]]])
    trace = replace(
        a,
        nodes=np.concatenate([a.nodes, b.nodes]),
        edges=edges,
        radii=np.concatenate([a.radii, b.radii]),
        types=np.concatenate([a.types, b.types]),
    )
    return Piece(trace, np.concatenate([one.origin, other.origin]))


def edge_to_root(trace: Trace, node: int) -> tuple[int, int]:
    """Return the edge at a node that leads to the root of its piece: the node nearer to the root, and the other one.

    At a root it is the edge to the neighbour behind which there is most cable.

    Raises
    ------
    UsageError
        If the node has no edge.
    """
    order, parents = trace.rooted()
    if parents[node] >= 0:
        return int(parents[node]), node
    below = np.zeros(len(parents))
    for child in order[::-1].tolist():
        parent = int(parents[child])
        if parent >= 0:
            below[parent] += below[child] + float(np.linalg.norm(trace.nodes[child] - trace.nodes[parent]))
    children = np.flatnonzero(parents == node)
    if not len(children):
        raise UsageError(f"Trace {trace.id} is a single node there, which cannot be cut.")
    return node, int(children[below[children].argmax()])


def cut(piece: Piece, near: int, beyond: int, new: int) -> tuple[Piece, Piece]:
    """Return a trace without what is behind one of its edges, and that as a trace of its own.

    Parameters
    ----------
    piece
        The trace.
    near, beyond
        The nodes that the edge joins; `beyond` comes into the new trace.
    new
        What that is called.

    Raises
    ------
    UsageError
        If no edge joins the two.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    trace = piece.trace
    here = (np.sort(trace.edges, axis=1) == sorted((near, beyond))).all(axis=1)
    if not here.any():
        raise UsageError(
            f"Nodes {near} and {beyond} of trace {trace.id} are not joined by an edge. Choose another node."
        )
    edges, count = trace.edges[~here], len(trace.nodes)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (count, count))
    side = connected_components(graph, directed=False)[1]
    away = side == side[beyond]
    open_trace = replace(trace, edges=edges)
    rest, part = open_trace.kept(~away), open_trace.kept(away)
    return Piece(rest, piece.origin[~away]), Piece(replace(part, id=new), piece.origin[away])
