"""Fragments along the affinities of neighbours, joined by the mean affinity across their common faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from segkit.geometry import Triple
from segkit.volume import Spacing
from segkit_segmenters._agglomeration import agglomerate_affinities
from segkit_segmenters._basins import basins, smoothed
from segkit_segmenters._reading import Affinities, absorbed

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Agglomeration:
    """See `segkit_segmenters.agglomeration`."""

    offsets: tuple[Triple, ...]
    threshold: float
    affinity: float
    smoothing: float
    absorb_below: int
    halo: Triple
    stitching: Literal["touching", "overlap"] = "overlap"
    affinities: Affinities | None = None
    cell_voxels: int = 128**3  # it needs about 200 bytes for each, and for those of the halo

    def for_channels(self, names: Sequence[str]) -> Agglomeration:
        """Return this segmenter for the offsets that the names of channels tell."""
        return replace(self, affinities=Affinities.named(names, "agglomeration")) if names else self

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(K, Z, Y, X)``."""
        import bioimage_cpp.segmentation as bio

        given = self.affinities or Affinities.counted(len(prediction), self.offsets, "agglomeration")
        mask = given.mask(prediction, self.threshold)
        if not mask.any():
            return np.zeros(mask.shape, np.uint32)
        edges = given.edges(prediction)
        seeds = self._seeds(edges, mask, voxel_size)
        fragments = bio.watershed_from_affinities(edges, [(-1, 0, 0), (0, -1, 0), (0, 0, -1)], seeds, mask=mask)
        ids = agglomerate_affinities(fragments, given.read(prediction), given.offsets, self.affinity)
        return absorbed(ids, self.absorb_below, given.boundary(prediction), mask)

    def _seeds(self, edges: Array, mask: Array, voxel_size: Spacing) -> Array:
        """Return more seeds (Z, Y, X) uint32 than there are objects.

        They are the basins of the distance to the nearest faint edge, and what hangs together without any such basin.
        """
        import edt

        inside = mask.copy()
        for axis, edge in enumerate(edges):
            if edge.any():
                strong, free = np.moveaxis(edge > 0.5, axis, 0)[1:], np.moveaxis(inside, axis, 0)
                free[1:] &= strong
                free[:-1] &= strong
        distance = edt.edt(inside, anisotropy=voxel_size, black_border=False, parallel=1)
        distance = np.minimum(distance, np.float32(np.linalg.norm(inside.shape) * max(voxel_size)))
        height = np.where(inside, smoothed(distance, self.smoothing, voxel_size), 0)
        seeds = basins(height, inside)
        parts = linked(edges > 0.5, mask)
        without = np.ones(int(parts.max()) + 1, bool)
        without[parts[seeds != 0]] = without[0] = False
        names = np.where(without, np.cumsum(without) + seeds.max(), 0).astype(np.uint32)
        return np.asarray(np.where(seeds, seeds, names[parts]))


def linked(edges: Array, mask: Array) -> Array:
    """Return the parts (Z, Y, X) of `mask` that strong edges hold together, bool ``(3, Z, Y, X)``; 0 outside of it."""
    import cc3d

    graph = np.zeros(mask.shape, np.uint8)  # one bit for each of six neighbours: after and before it along every axis
    for axis, edge in enumerate(edges):
        strong, known, bits = (np.moveaxis(array, axis, 0) for array in (edge, mask, graph))
        both = (strong[1:] & known[1:] & known[:-1]).astype(np.uint8)
        bits[:-1] |= both << np.uint8(2 * axis)
        bits[1:] |= both << np.uint8(2 * axis + 1)
    return np.asarray(cc3d.color_connectivity_graph(graph, connectivity=6) * mask)
