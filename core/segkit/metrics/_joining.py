"""Where things made of points come closest to each other: what joins them into one at the least distance."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["joining_nodes"]

Array = np.ndarray[Any, Any]

_EVERY = 16  # of so many nodes in a row one is searched for first


def joining_nodes(nodes: Array, units: Array, groups: Array) -> Array:
    """Return the pairs of nodes at which the units of each group are joined over the least distance in all.

    These are minimum spanning trees over units, by the rounds of Boruvka: each tree reaches for the nearest node outside
    of it, and of what was found so the shortest come first.

    Parameters
    ----------
    nodes
        Positions ``(N, 3)``.
    units
        What each node ``(N,)`` belongs to, counted from 0 without gaps; a unit is in one group.
    groups
        The group of each node ``(N,)``; units of different groups are never joined.

    Returns
    -------
    numpy.ndarray
        ``(P, 2)``, for each group one pair fewer than it has units.
    """
    groups = np.unique(groups, return_inverse=True)[1].ravel()
    group_of = np.zeros(int(units.max(initial=-1)) + 1, np.int64)
    group_of[units] = groups
    reach = 2 * float(np.ptp(nodes, axis=0).sum()) + 1 if len(nodes) else 1.0
    points = np.concatenate([nodes, 2 * reach * groups[:, None]], axis=1)  # so that no group is in reach of another
    tree = np.arange(len(group_of))
    pairs: list[tuple[int, int]] = []
    while True:
        trees = np.unique(tree)
        many = np.bincount(group_of[trees])[group_of] > 1 if len(trees) else np.zeros(0, bool)
        active = np.flatnonzero(many[units])
        if not len(active):
            return np.array(pairs, np.int64).reshape(-1, 2)
        own = tree[units[active]]
        ranks = _ranks(own, groups[active])
        nearest, distance = _nearest_outside(points[active], own, ranks, reach)
        order = np.lexsort((distance, own))
        first = order[np.unique(own[order], return_index=True)[1]]
        for place in first[np.argsort(distance[first], kind="stable")].tolist():
            one, other = int(active[place]), int(active[nearest[place]])
            here, there = int(tree[units[one]]), int(tree[units[other]])
            if here != there:
                pairs.append((one, other))
                tree[tree == max(here, there)] = min(here, there)


def _ranks(trees: Array, groups: Array) -> Array:
    """Number the trees of each group from 0, for each node."""
    distinct, which = np.unique(trees, return_inverse=True)
    group = np.zeros(len(distinct), np.int64)
    group[which.ravel()] = groups
    order = np.argsort(group, kind="stable")
    rank = np.zeros(len(distinct), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    return rank[which.ravel()]


def _nearest_outside(points: Array, trees: Array, ranks: Array, reach: float) -> tuple[Array, Array]:
    """Return for points, among them the one of each tree that is closest to another tree, the nearest there and how far.

    Most are not searched for, and said to be infinitely far: a point is hardly farther from other trees than its
    neighbour along the skeleton, one of the few that are searched for first.
    """
    nearest, distance = np.full(len(points), -1, np.int64), np.full(len(points), np.inf)
    every = np.arange(len(points))
    guide = every // _EVERY * _EVERY
    guide = np.where(trees[guide] == trees, guide, every)
    _search(points, ranks, np.unique(guide), reach, nearest, distance)
    which = np.unique(trees, return_inverse=True)[1].ravel()
    closest = np.full(int(which.max()) + 1, np.inf)
    np.minimum.at(closest, which, distance)
    bound = distance[guide] - np.linalg.norm(points - points[guide], axis=1)
    _search(points, ranks, np.flatnonzero((bound <= closest[which]) & (guide != every)), reach, nearest, distance)
    return nearest, distance


def _search(points: Array, ranks: Array, chosen: Array, reach: float, nearest: Array, distance: Array) -> None:
    """Look up the nearest point of another rank for the chosen points.

    A k-d tree knows no ranks. But any two of them differ in some bit: so those with a 0 there are looked up among those
    with a 1, and the other way round, for each bit.
    """
    from scipy.spatial import cKDTree

    for bit in range(int(ranks.max()).bit_length()):
        one = (ranks >> bit & 1).astype(bool)
        for asking in (one, ~one):
            wanted, among = chosen[asking[chosen]], np.flatnonzero(~asking)
            found, at = cKDTree(points[among]).query(points[wanted], distance_upper_bound=reach)
            better = found < distance[wanted]
            distance[wanted[better]] = found[better]
            nearest[wanted[better]] = among[at[better]]
