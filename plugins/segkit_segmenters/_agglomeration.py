"""Joining fragments across faces that hardly look like a boundary."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def agglomerate(fragments: Array, boundary: Array, below: float) -> Array:
    """Join neighbours, those with the faintest face first, while the mean boundary on a face is low.

    Parameters
    ----------
    fragments
        Ids ``(Z, Y, X)`` uint32; 0 is background and is joined with nothing.
    boundary
        Probability of a boundary ``(Z, Y, X)`` float32.
    below
        Faces whose mean is above this stay; the mean of joined faces is that of all their voxels (average linkage).

    Returns
    -------
    numpy.ndarray
        Ids ``(Z, Y, X)`` uint32.

    Notes
    -----
    Bailoni et al. (2022, https://doi.org/10.1109/CVPR52688.2022.01135), linkage "mean", through bioimage_cpp.
    """
    import bioimage_cpp.graph as graphs

    if int(fragments.max()) < 2:
        return fragments
    regions = graphs.region_adjacency_graph(fragments, number_of_threads=1)
    faces = graphs.features.edge_map_features(regions, fragments, boundary, number_of_threads=1)
    attraction = below - faces[:, 0]
    background = (regions.uv_ids() == 0).any(axis=1)
    policy = graphs.agglomeration.GaspClusterPolicy(linkage="mean")
    joined = policy.optimize(regions, attraction, edge_sizes=faces[:, 1], is_mergeable=~background)
    names = np.asarray(joined).astype(np.uint32) + np.uint32(1)
    ids: Array = names[fragments]
    ids[fragments == 0] = 0
    return ids
