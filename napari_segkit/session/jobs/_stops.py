"""Places to step through on a trace: where it forks and where it ends, in the order of a walk along it."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.tracing import Trace

__all__ = ["stops"]

Array = np.ndarray[Any, Any]


def stops(trace: Trace) -> tuple[Array, Array]:
    """Return the branch points and the tips of a trace, as they come on a walk from its root into branch after branch."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import depth_first_order

    count, degrees = len(trace.nodes), trace.degrees
    if not len(trace.edges):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    _, parents = trace.rooted()
    roots = np.flatnonzero(parents < 0)
    rows = np.concatenate([trace.edges[:, 0], np.full(len(roots), count)])
    columns = np.concatenate([trace.edges[:, 1], roots])
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (count + 1, count + 1)).tocsr()
    order = depth_first_order(graph, count, directed=False, return_predecessors=False)[1:]
    return order[degrees[order] > 2].astype(np.int64), order[degrees[order] == 1].astype(np.int64)
