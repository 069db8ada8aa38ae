"""`Trace`: the skeleton of one object, a forest of nodes with radii, and what can be measured on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from segkit.errors import DataError
from segkit.volume import Spacing

__all__ = ["Trace"]

Array = np.ndarray[Any, Any]

SOMA = 1
"""The type of a node that is a cell body, as SWC files number types (Cannon et al. 1998)."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The skeleton of one object.

    Parameters
    ----------
    nodes
        Positions ``(V, 3)`` in `unit`, float64, ``(z, y, x)``.
    edges
        Pairs of node numbers ``(E, 2)``, int64, that form a forest: no two nodes are joined in two ways.
    radii
        Distance ``(V,)`` from each node to the surface of the object, in `unit`, float64; 0 where it is not known.
    id
        The object in the segmentation.
    unit
        ``"nm"``, or ``"voxel"`` where the size of a voxel is not known.
    types
        What each node ``(V,)`` is, int64, as SWC files number it: 1 for a soma, 2 axon, 3 and 4 dendrite, 0 where it is
        not known. Empty where none is known.

    Raises
    ------
    DataError
        If the shapes do not fit, a number is not finite, or the edges form a cycle.
    """

    nodes: Array
    edges: Array
    radii: Array
    id: int = 0
    unit: Literal["nm", "voxel"] = "nm"
    types: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        nodes = np.asarray(self.nodes, np.float64).reshape(-1, 3)
        edges = np.asarray(self.edges).astype(np.int64).reshape(-1, 2)
        radii = np.asarray(self.radii, np.float64).reshape(-1)
        types = np.asarray(self.types).astype(np.int64).reshape(-1)
        types = types if len(types) else np.zeros(len(nodes), np.int64)
        for name, value in (("nodes", nodes), ("edges", edges), ("radii", radii), ("types", types)):
            object.__setattr__(self, name, value)
        for name, count in (("radii", len(radii)), ("types", len(types))):
            if count != len(nodes):
                raise DataError(f"Trace {self.id} has {len(nodes)} nodes but {count} {name}. Give one for each node.")
        if not (np.isfinite(nodes).all() and np.isfinite(radii).all()):
            raise DataError(
                f"Trace {self.id} has a position or radius that is not a finite number. Leave such nodes out."
            )
        if len(edges) and not (edges.min() >= 0 and edges.max() < len(nodes)):
            raise DataError(
                f"Trace {self.id} has an edge from node {edges.min()} or to node {edges.max()}, but its nodes are 0 to "
                f"{len(nodes) - 1}."
            )
        if len(edges) != len(nodes) - self.components:
            raise DataError(
                f"Trace {self.id} has {len(edges)} edges between {len(nodes)} nodes in {self.components} pieces, so some form a "
                "cycle. Cut each cycle once, for example with a minimum spanning tree."
            )

    @property
    def lengths(self) -> Array:
        """Length ``(E,)`` of each edge, in `unit`."""
        length: Array = np.linalg.norm(self.nodes[self.edges[:, 0]] - self.nodes[self.edges[:, 1]], axis=1)
        return length

    @property
    def degrees(self) -> Array:
        """Number ``(V,)`` of edges at each node."""
        return np.bincount(self.edges.ravel(), minlength=len(self.nodes))

    @property
    def cable_length(self) -> float:
        """Length of all edges together, in `unit`."""
        return float(self.lengths.sum())

    @property
    def tips(self) -> int:
        """Number of nodes where the trace ends: those with one edge."""
        return int((self.degrees == 1).sum())

    @property
    def branches(self) -> int:
        """Number of nodes where the trace forks: those with three edges or more."""
        return int((self.degrees > 2).sum())

    @property
    def components(self) -> int:
        """Number of pieces that are not connected with each other."""
        return self.pieces[0]

    @property
    def pieces(self) -> tuple[int, Array]:
        """Number of pieces, and for each node ``(V,)`` which of them it is in."""
        from scipy.sparse.csgraph import connected_components

        if not len(self.nodes):
            return 0, np.zeros(0, np.int32)
        count, piece = connected_components(self._graph(), directed=False)
        return int(count), piece

    @property
    def tortuosity(self) -> float:
        """Length along the longest path of the trace over the straight line between its ends: 1 where it is straight.

        NaN for a trace without edges. Of several pieces, the one with the longest path counts.
        """
        if not len(self.edges):
            return float("nan")
        begin, end, way = self._longest()
        straight = float(np.linalg.norm(self.nodes[begin] - self.nodes[end]))
        return way / straight if straight else float("inf")

    @property
    def longest_path(self) -> float:
        """Length of the longest way from one node to another, in `unit`; 0 without edges."""
        return self._longest()[2] if len(self.edges) else 0.0

    def _longest(self) -> tuple[int, int, float]:
        """Return the ends of the longest path, and its length."""
        # Twice the farthest node: in a tree the second answer is an end of its longest path.
        _, piece = self.pieces
        starts = self._farthest(np.zeros(len(self.nodes)), piece)
        begins = self._farthest(self._ways(starts), piece)
        ways = self._ways(begins)
        end = int(ways.argmax())
        return int(begins[piece[end]]), end, float(ways[end])

    def _ways(self, starts: Array) -> Array:
        """Return the length ``(V,)`` of the way to each node from the start in its piece."""
        from scipy.sparse.csgraph import dijkstra

        ways: Array = dijkstra(self._graph(), directed=False, indices=starts, min_only=True)
        return ways

    @staticmethod
    def _farthest(ways: Array, piece: Array) -> Array:
        """Return for each piece the first of its nodes with the longest way."""
        order = np.lexsort((np.arange(len(ways)), -ways, piece))
        return order[np.unique(piece[order], return_index=True)[1]]

    @property
    def strahler(self) -> int:
        """Highest Strahler order of the trace: 1 without branches, 0 without nodes.

        Tips have order 1; where two branches of one order meet, the next one begins (Strahler 1957,
        https://doi.org/10.1029/TR038i006p00913). It is seen from the roots, see `rooted`; one that lies on a path does not
        count as a place where two branches meet.
        """
        order, parents = self.rooted()
        above = parents.tolist()
        # Of each node: the highest order that comes to it, and how often; in the last place what roots hand on.
        highest, often = [0] * (len(above) + 1), [0] * (len(above) + 1)
        for node in order[::-1].tolist():
            parent = above[node]
            meeting = often[node] >= (2 if parent >= 0 else 3)
            own = max(1, highest[node] + meeting)
            if own > highest[parent]:
                highest[parent], often[parent] = own, 0
            often[parent] += own == highest[parent]
        return highest[-1]

    @property
    def soma(self) -> int | None:
        """The node that is the soma, the thickest of those of type 1; None where there is none."""
        found = np.flatnonzero(self.types == SOMA)
        return int(found[self.radii[found].argmax()]) if len(found) else None

    def _graph(self) -> Any:
        from scipy.sparse import coo_array

        a, b = self.edges[:, 0], self.edges[:, 1]
        # An edge of length 0 must still be one: sparse graphs take 0 for no edge.
        weight = np.maximum(self.lengths, np.finfo(np.float64).tiny)
        return coo_array((weight, (a, b)), (len(self.nodes), len(self.nodes))).tocsr()

    def rooted(self) -> tuple[Array, Array]:
        """Return an order ``(V,)`` in which parents come before children, and the parent ``(V,)`` of each node or -1.

        The root of each piece is its soma, or else its thickest node, where a soma would be.
        """
        from scipy.sparse.csgraph import breadth_first_order

        count, piece = self.pieces
        parents = np.full(len(self.nodes), -1, np.int64)
        thickest = np.lexsort((np.arange(len(self.nodes)), -self.radii, self.types != SOMA, piece))
        roots = thickest[np.unique(piece[thickest], return_index=True)[1]] if count else thickest
        graph, orders = self._graph(), [np.zeros(0, np.int64)]
        for root in roots:
            order, before = breadth_first_order(graph, int(root), directed=False)
            parents[order[1:]] = before[order[1:]]
            orders.append(order.astype(np.int64))
        return np.concatenate(orders), parents

    def kept(self, keep: Array) -> Trace:
        """Return the nodes for which `keep` ``(V,)`` is true, and the edges between them."""
        number = np.cumsum(keep) - 1
        edges = number[self.edges[keep[self.edges].all(axis=1)]]
        return replace(self, nodes=self.nodes[keep], edges=edges, radii=self.radii[keep], types=self.types[keep])

    def shifted(self, by: Spacing) -> Trace:
        """Return this trace moved by ``(z, y, x)``, in `unit`."""
        return replace(self, nodes=self.nodes + np.asarray(by, np.float64))

    def __repr__(self) -> str:
        return f"<Trace {self.id}: {len(self.nodes)} nodes, {self.cable_length:.6g} {self.unit}, {self.tips} tips>"
