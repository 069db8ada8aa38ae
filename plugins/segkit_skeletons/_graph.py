"""Trees of nodes: pruning spurs, smoothing, and thinning out the nodes along a branch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from segkit.tracing import Trace

Array = np.ndarray[Any, Any]


def _chains(trace: Trace) -> tuple[Array, Array]:
    """Return for each node ``(V,)`` the chain between forks that it is on, and whether it is a fork (then: no chain)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    fork = trace.degrees > 2
    inner = trace.edges[~fork[trace.edges].any(axis=1)]
    shape = (len(trace.nodes), len(trace.nodes))
    graph = coo_array((np.ones(len(inner), bool), (inner[:, 0], inner[:, 1])), shape)
    return connected_components(graph, directed=False)[1], fork


def pruned(trace: Trace, scale: float, constant: float) -> Trace:
    """Remove side branches shorter than `scale` times the radius at their fork and `constant` more, shortest first.

    At a fork only one branch goes at a time, and none where two are left: what was a fork is then a point on a branch
    that goes on, so that the last stub at the end of a thick branch is kept.
    """
    while True:
        degrees = trace.degrees
        chain, fork = _chains(trace)
        count = int(chain.max()) + 1 if len(chain) else 0
        tips = np.zeros(count, bool)
        tips[chain[degrees == 1]] = True
        length = np.zeros(count)
        at = np.full(count, -1, np.int64)  # the fork at which a chain begins
        a, b = trace.edges.T
        lengths = trace.lengths
        within = ~fork[a] & ~fork[b]
        np.add.at(length, chain[a[within]], lengths[within])
        for one, other in ((a, b), (b, a)):
            leaving = fork[one] & ~fork[other]
            np.add.at(length, chain[other[leaving]], lengths[leaving])
            at[chain[other[leaving]]] = one[leaving]
        spurs = np.flatnonzero(tips & (at >= 0))
        spurs = spurs[length[spurs] < scale * trace.radii[at[spurs]] + constant]
        if not len(spurs):
            return trace
        order = spurs[np.lexsort((spurs, length[spurs], at[spurs]))]
        shortest = order[np.unique(at[order], return_index=True)[1]]
        trace = trace.kept(~(np.isin(chain, shortest) & ~fork))


def smoothed(trace: Trace, rounds: int) -> Trace:
    """Move each node with two neighbours to the weighted middle (1, 2, 1) of them and itself, some rounds."""
    nodes = trace.nodes
    moving = trace.degrees == 2
    a, b = trace.edges.T
    for _ in range(rounds):
        total = np.zeros_like(nodes)
        np.add.at(total, a, nodes[b])
        np.add.at(total, b, nodes[a])
        nodes = np.where(moving[:, None], nodes / 2 + total / 4, nodes)
    return replace(trace, nodes=nodes)


def spaced(trace: Trace, spacing: float) -> Trace:
    """Keep tips, forks, and nodes about `spacing` apart between them."""
    if spacing <= 0 or not len(trace.edges):
        return trace
    order, parents = trace.rooted()
    degrees = trace.degrees
    since = np.zeros(len(trace.nodes))  # way from the last node kept
    anchor = np.arange(len(trace.nodes))  # the last node kept, itself if kept
    edges = []
    for node in order.tolist():
        above = int(parents[node])
        if above < 0:
            continue
        since[node] = since[above] + float(np.linalg.norm(trace.nodes[node] - trace.nodes[above]))
        if degrees[node] != 2 or since[node] >= spacing:
            edges.append((anchor[above], node))
            since[node] = 0
        else:
            anchor[node] = anchor[above]
    keep = anchor == np.arange(len(trace.nodes))
    number = np.cumsum(keep) - 1
    return replace(trace.kept(keep), edges=number[np.array(edges)])
