"""From a graph of nodes to a forest: loops are opened, because a trace has none."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["spanning_forest"]

Array = np.ndarray[Any, Any]


def spanning_forest(nodes: Array, edges: Array, radii: Array) -> Array:
    """Return the edges without those that close a loop; a loop is opened where it is long and thin.

    Parameters
    ----------
    nodes
        Positions ``(V, 3)``.
    edges
        Pairs of node numbers ``(E, 2)``, in any order, with repetitions and loops.
    radii
        Radius ``(V,)`` at each node.

    Returns
    -------
    numpy.ndarray
        Pairs ``(F, 2)``, int64, each in ascending order, and all of them sorted.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    edges = np.asarray(edges).astype(np.int64).reshape(-1, 2)
    edges = edges[edges[:, 0] != edges[:, 1]]
    if not len(edges):
        return edges
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    length = np.linalg.norm(nodes[edges[:, 0]] - nodes[edges[:, 1]], axis=1)
    thickness = np.minimum(radii[edges[:, 0]], radii[edges[:, 1]])
    weight = np.maximum(length, 1e-12) / np.maximum(thickness, 1e-12)
    tree = minimum_spanning_tree(coo_array((weight, (edges[:, 0], edges[:, 1])), (len(nodes), len(nodes)))).tocoo()
    kept = np.stack([tree.row, tree.col], 1).astype(np.int64)
    return kept[np.lexsort((kept[:, 1], kept[:, 0]))]
