"""Many traces in flat arrays, so that a million nodes are measured, drawn and searched at once; knows neither Qt nor napari."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from segkit.tracing import Piece, Trace

__all__ = ["Neurons"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Neurons:
    """Traces with nodes, each with an id of its own.

    Parameters
    ----------
    ids
        Id ``(N,)`` uint64 of each.
    nodes, radii, types, origin
        Of all of them, one after the other: positions ``(V, 3)`` ``(z, y, x)`` in `unit`, radii ``(V,)``, SWC types ``(V,)``,
        and the object ``(V,)`` uint64 that each node was traced in.
    edges
        Pairs of rows of `nodes`, ``(E, 2)``, those of one neuron after those of the one before.
    node_starts, edge_starts
        Where those of each neuron begin, and the end: ``(N + 1,)``.
    unit
        ``"nm"``, or ``"voxel"`` where the size of a voxel is not known.
    known
        What a table says of them, ``(N,)`` each; NaN where it says nothing.
    """

    ids: Array
    nodes: Array
    radii: Array
    types: Array
    origin: Array
    edges: Array
    node_starts: Array
    edge_starts: Array
    unit: Literal["nm", "voxel"] = "nm"
    known: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, traces: Iterable[Trace | Piece], known: Mapping[str, Mapping[int, float]] | None = None) -> Neurons:
        """Return traces as one set; where two have the same id, or none, the later gets one that is free.

        Parameters
        ----------
        traces
            The traces; those without a node are left out.
        known
            What a table says: for each of its columns the value by id.
        """
        pieces = [trace if isinstance(trace, Piece) else Piece.of(trace) for trace in traces]
        pieces = [piece for piece in pieces if len(piece.trace.nodes)]
        ids = unique_ids([piece.trace.id for piece in pieces])
        counts = [len(piece.trace.nodes) for piece in pieces]
        node_starts = np.cumsum([0, *counts])
        edge_starts = np.cumsum([0, *(len(piece.trace.edges) for piece in pieces)])

        def column(parts: list[Array], dtype: Any, *shape: int) -> Array:
            return np.concatenate([np.zeros((0, *shape), dtype), *parts]).astype(dtype)

        columns = {
            name: np.array([values.get(id, np.nan) for id in ids], np.float64) for name, values in (known or {}).items()
        }
        return cls(
            np.array(ids, np.uint64),
            column([piece.trace.nodes for piece in pieces], np.float64, 3),
            column([piece.trace.radii for piece in pieces], np.float32),
            column([piece.trace.types for piece in pieces], np.int16),
            column([piece.origin for piece in pieces], np.uint64),
            column([p.trace.edges + start for p, start in zip(pieces, node_starts, strict=False)], np.int64, 2),
            node_starts,
            edge_starts,
            pieces[0].trace.unit if pieces else "nm",
            columns,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def rows(self) -> dict[int, int]:
        """Row of each neuron by its id."""
        return {int(id): row for row, id in enumerate(self.ids)}

    @cached_property
    def node_owners(self) -> Array:
        """Row ``(V,)`` of the neuron that each node is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.node_starts))

    @cached_property
    def edge_owners(self) -> Array:
        """Row ``(E,)`` of the neuron that each edge is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.edge_starts))

    @cached_property
    def boxes(self) -> tuple[Array, Array]:
        """Lowest and highest position ``(N, 3)`` of each."""
        if not len(self):
            return np.zeros((0, 3)), np.zeros((0, 3))
        starts = self.node_starts[:-1]
        return np.minimum.reduceat(self.nodes, starts), np.maximum.reduceat(self.nodes, starts)

    def piece(self, row: int) -> Piece:
        """Return one of them, with what its nodes were traced in."""
        nodes = slice(self.node_starts[row], self.node_starts[row + 1])
        edges = self.edges[self.edge_starts[row] : self.edge_starts[row + 1]] - self.node_starts[row]
        trace = Trace(
            self.nodes[nodes],
            edges,
            self.radii[nodes],
            int(self.ids[row]),
            self.unit,
            self.types[nodes].astype(np.int64),
        )
        return Piece(trace, self.origin[nodes])

    def trace(self, row: int) -> Trace:
        """Return one of them."""
        return self.piece(row).trace

    def replaced(self, gone: Collection[int], pieces: Sequence[Piece]) -> Neurons:
        """Return the set without some, given by their ids, and with others behind; of those nothing but their nodes is known."""
        added = Neurons.of(pieces)
        leave = np.array([self.rows[id] for id in gone if id in self.rows], np.int64)
        stay = np.ones(len(self), bool)
        stay[leave] = False
        keep_nodes, keep_edges = stay[self.node_owners], stay[self.edge_owners]
        number = np.cumsum(keep_nodes) - 1
        count = int(keep_nodes.sum())

        def both(name: str, keep: Array) -> Array:
            return np.concatenate([getattr(self, name)[keep], getattr(added, name)])

        def starts(name: str) -> Array:
            return np.cumsum(np.concatenate([[0], np.diff(getattr(self, name))[stay], np.diff(getattr(added, name))]))

        nothing = np.full(len(added), np.nan)
        return Neurons(
            both("ids", stay),
            both("nodes", keep_nodes),
            both("radii", keep_nodes),
            both("types", keep_nodes),
            both("origin", keep_nodes),
            np.concatenate([number[self.edges[keep_edges]], added.edges + count]),
            starts("node_starts"),
            starts("edge_starts"),
            self.unit if len(self) else added.unit,
            {name: np.concatenate([values[stay], nothing]) for name, values in self.known.items()},
        )

    def chosen(self, rows: Collection[int]) -> Neurons:
        """Return some of them, in their order."""
        wanted = set(map(int, rows))
        return self.replaced([int(id) for row, id in enumerate(self.ids) if row not in wanted], [])

    def near(self, row: int, distance: float) -> Array:
        """Return the rows of the others whose boxes come closer than this to the box of one."""
        low, high = self.boxes
        close = ((low <= high[row] + distance) & (high >= low[row] - distance)).all(axis=1)
        close[row] = False
        found: Array = np.flatnonzero(close)
        return found


def unique_ids(ids: Sequence[int]) -> list[int]:
    """Return ids, each once: 0 and those that come again are replaced by the next free ones."""
    taken, free, out = set(), max(ids, default=0) + 1, []
    for id in ids:
        if id <= 0 or id in taken:
            id, free = free, free + 1
        taken.add(id)
        out.append(id)
    return out
