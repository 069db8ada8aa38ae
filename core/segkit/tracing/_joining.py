"""From the parts of an object, one for each block, to one trace of as many pieces as the object has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from segkit.tracing._forest import spanning_forest
from segkit.tracing._part import Part
from segkit.tracing._trace import Trace
from segkit.volume import Spacing

__all__ = ["join_parts"]

Array = np.ndarray[Any, Any]

_NEIGHBOURS = 8  # of an end that are looked at
_SLACK = 4.0  # voxels by which the same way, drawn in two blocks, may differ beside its thickness


def join_parts(parts: Sequence[Part], voxel_size: Spacing, unit: Literal["nm", "voxel"]) -> Trace:
    """Join the parts of an object.

    Where two parts leave their blocks at the same place, an edge joins them, the nearest first. Loops that this closes are
    opened. What the voxels say is one piece and is still apart is joined where it is nearest; a piece without any node
    gets one at its innermost voxel.

    Parameters
    ----------
    parts
        All parts of an object.
    voxel_size
        Of the segmentation, ``(z, y, x)``.
    unit
        Of the parts.

    Returns
    -------
    Trace
        With id 0, neither pruned nor smoothed.
    """
    names, first = _components(parts)
    before = np.cumsum([0, *(len(part.nodes) for part in parts)])
    pairs = list(zip(parts, first, before, strict=False))
    nodes = np.concatenate([part.nodes for part in parts])
    radii = np.concatenate([part.radii for part in parts])
    edges = np.concatenate([part.edges + begin for part, _, begin in pairs])
    component = np.concatenate([np.where(p.component < 0, -1, names[p.component + f]) for p, f, _ in pairs])

    ends = np.concatenate([part.ends + begin for part, _, begin in pairs]).astype(np.int64)
    exits = np.concatenate([part.exits for part in parts])
    part_of = np.repeat(np.arange(len(parts)), [len(part.ends) for part in parts])
    close = _close(exits, part_of, component[ends], radii[ends], voxel_size)
    matched, left = _matched(close)
    edges = spanning_forest(nodes, np.concatenate([edges, ends[matched]]), radii)
    edges = _linked(edges, ends[left], len(nodes))
    edges = _completed(nodes, edges, component)

    deepest = np.concatenate([part.deepest for part in parts])
    depth = np.concatenate([part.depth for part in parts])
    empty = np.flatnonzero((depth >= 0) & ~np.isin(names, component))
    order = empty[np.lexsort((empty, -depth[empty], names[empty]))]
    chosen = order[np.unique(names[order], return_index=True)[1]]
    return Trace(np.concatenate([nodes, deepest[chosen]]), edges, np.concatenate([radii, depth[chosen]]), unit=unit)


def _components(parts: Sequence[Part]) -> tuple[Array, Array]:
    """Return the piece of the whole object that each piece in a block is in, and the number of the first of each part."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = np.cumsum([0, *(len(part.depth) for part in parts)])
    voxel = np.concatenate([part.rim for part in parts])
    piece = np.concatenate([part.rim_component + begin for part, begin in zip(parts, first, strict=False)])
    order = np.argsort(voxel, kind="stable")
    voxel, piece = voxel[order], piece[order]
    same = np.flatnonzero(voxel[1:] == voxel[:-1])
    count = int(first[-1])
    graph = coo_array((np.ones(len(same), bool), (piece[same], piece[same + 1])), (count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64), first[:-1]


def _close(exits: Array, part_of: Array, component: Array, radii: Array, voxel_size: Spacing) -> Array:
    """Return the pairs ``(P, 2)`` of ends of different parts that may be one way, the nearest first."""
    from scipy.spatial import cKDTree

    if len(exits) < 2:
        return np.zeros((0, 2), np.int64)
    count = min(_NEIGHBOURS + 1, len(exits))
    far, other = cKDTree(exits).query(exits, k=count)
    one = np.repeat(np.arange(len(exits)), count)
    far, other = far.ravel(), other.ravel()
    reach = 2 * np.maximum(radii[one], radii[other]) + _SLACK * max(voxel_size)
    good = (part_of[one] != part_of[other]) & (component[one] == component[other]) & (far <= reach)
    pairs = np.sort(np.stack([one, other], 1)[good], axis=1)
    pairs, at = np.unique(pairs, axis=0, return_index=True)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], far[good][at]))]


def _matched(pairs: Array) -> tuple[Array, Array]:
    """Split pairs into those where each end is in one only, taken in their order, and the others."""
    used: set[int] = set()
    good = np.zeros(len(pairs), bool)
    for place, (one, other) in enumerate(pairs.tolist()):
        if one not in used and other not in used:
            used |= {one, other}
            good[place] = True
    return pairs[good], pairs[~good]


def _linked(edges: Array, more: Array, count: int) -> Array:
    """Add those of some more edges that join what is apart, in their order."""
    if not len(more):
        return edges
    joined = _Sets(_pieces_of(edges, count))
    extra = [pair for pair in more.tolist() if joined.join(*pair)]
    return np.concatenate([edges, np.array(extra, np.int64).reshape(-1, 2)])


def _completed(nodes: Array, edges: Array, component: Array) -> Array:
    """Join what is apart within one piece of the object, where it is nearest."""
    from scipy.spatial import cKDTree

    while True:
        piece = _pieces_of(edges, len(nodes))
        known = component >= 0
        pairs = np.unique(np.stack([component[known], piece[known]], 1), axis=0)
        apart = np.flatnonzero(np.bincount(pairs[:, 0], minlength=1) > 1)
        if not len(apart):
            return edges
        sets = _Sets(piece)
        extra: list[list[int]] = []
        for name in apart.tolist():
            own = np.flatnonzero(component == name)
            sizes = np.bincount(piece[own])
            stray = own[piece[own] != sizes.argmax()]
            # The nearest nodes are mostly of the same piece: more of them where those of another are not among them.
            count = min(len(own), 1 + _NEIGHBOURS)
            far, other = cKDTree(nodes[own]).query(nodes[stray], k=count)
            one, other, far = np.repeat(stray, count), own[other.ravel()], far.ravel()
            good = piece[one] != piece[other]
            one, other, far = one[good], other[good], far[good]
            unseen = stray[~np.isin(piece[stray], piece[one])]
            if len(unseen):
                rest = own[~np.isin(piece[own], piece[unseen])]
                away, near = cKDTree(nodes[rest]).query(nodes[unseen])
                one, other = np.append(one, unseen), np.append(other, rest[near])
                far = np.append(far, away)
            order = np.argsort(far, kind="stable")
            candidates = np.stack([one, other], 1)[order]
            extra += [pair for pair in candidates.tolist() if sets.join(*pair)]
        edges = np.concatenate([edges, np.array(extra, np.int64)])


def _pieces_of(edges: Array, count: int) -> Array:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (count, count))
    piece: Array = connected_components(graph, directed=False)[1].astype(np.int64)
    return piece


class _Sets:
    """Which nodes are connected, as more of them are joined."""

    def __init__(self, piece: Array) -> None:
        self._piece = piece
        self._parent = np.arange(int(piece.max(initial=-1)) + 1)

    def join(self, one: int, other: int) -> bool:
        """Join two nodes; return whether they were apart."""
        a, b = self._find(int(self._piece[one])), self._find(int(self._piece[other]))
        self._parent[a] = b
        return a != b

    def _find(self, piece: int) -> int:
        while self._parent[piece] != piece:
            self._parent[piece] = self._parent[self._parent[piece]]
            piece = int(self._parent[piece])
        return piece
