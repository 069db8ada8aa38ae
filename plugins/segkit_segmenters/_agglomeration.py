"""Joining fragments across faces that hardly look like a boundary."""

from __future__ import annotations

from collections.abc import Sequence
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
    return _joined(fragments, regions, below - faces[:, 0], faces[:, 1])


def agglomerate_affinities(
    fragments: Array, affinities: Array, offsets: Sequence[Sequence[int]], above: float
) -> Array:
    """Join neighbours, the surest first, while the mean affinity across their face is high.

    Parameters
    ----------
    fragments
        Ids ``(Z, Y, X)`` uint32; 0 is background and is joined with nothing.
    affinities
        ``(A, Z, Y, X)`` float32.
    offsets
        The offset (z, y, x) of each.
    above
        Faces whose mean is below this stay; the mean is over all pairs of voxels on both sides of a face.

    Returns
    -------
    numpy.ndarray
        Ids ``(Z, Y, X)`` uint32.
    """
    import bioimage_cpp.graph as graphs

    if int(fragments.max()) < 2:
        return fragments
    regions = graphs.region_adjacency_graph(fragments, number_of_threads=1)
    faces = graphs.features.affinity_features(regions, fragments, affinities, offsets, number_of_threads=1)
    return _joined(fragments, regions, faces[:, 0] - above, faces[:, 1])


def _joined(fragments: Array, regions: Any, attraction: Array, sizes: Array) -> Array:
    """Join what attracts each other (above 0), by average linkage; the background stays by itself."""
    import bioimage_cpp.graph as graphs

    background = (regions.uv_ids() == 0).any(axis=1)
    policy = graphs.agglomeration.GaspClusterPolicy(linkage="mean")
    joined = policy.optimize(regions, attraction, edge_sizes=sizes, is_mergeable=~background)
    names = np.asarray(joined).astype(np.uint32) + np.uint32(1)
    ids: Array = names[fragments]
    ids[fragments == 0] = 0
    return ids
