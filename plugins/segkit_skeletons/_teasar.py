"""Centrelines by TEASAR, through either library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.tracing import Trace, spanning_forest
from segkit.volume import Spacing
from segkit_skeletons._graph import pruned, smoothed, spaced
from segkit_skeletons._solid import distances, filled, margin, missed

Array = np.ndarray[Any, Any]
Drawn = tuple[Array, Array, Array]

# What kimimaro's README uses; its functions fall back to other values where some parameters are given.
_KIMIMARO = {
    "pdrf_scale": 100_000,
    "pdrf_exponent": 4,
    "soma_detection_threshold": 750,
    "soma_acceptance_threshold": 3500,
    "soma_invalidation_scale": 2,
    "soma_invalidation_const": 300,
}


@dataclass(frozen=True)
class Claim:
    """How a path claims what is around it: within `scale` times its radius and `constant` more."""

    scale: float
    constant: float | None
    fix_branching: bool


@dataclass(frozen=True)
class Teasar:
    """See `segkit_skeletons.teasar`.

    Parameters
    ----------
    draw
        From a mask without cavities, a voxel size and a claim to nodes ``(V, 3)``, edges ``(E, 2)`` and radii ``(V,)``,
        all physical.
    claim, smoothing, spacing
        As the user chose.
    """

    draw: Callable[[Array, Spacing, Claim], Drawn]
    claim: Claim
    smoothing: int
    spacing: float

    def __call__(self, mask: Array, voxel_size: Spacing) -> Trace:
        """Return the trace of the object ``(Z, Y, X)``."""
        return spaced(smoothed(self.draw_part(mask, voxel_size), self.smoothing), self.spacing)

    def draw_part(self, mask: Array, voxel_size: Spacing) -> Trace:
        """Return the centreline of an object or of a part of one, one node for each voxel on it."""
        solid = filled(mask)
        nodes, edges, radii = self.draw(solid, voxel_size, self.claim)
        size = np.asarray(voxel_size, np.float64)
        distance = distances(solid, voxel_size)
        alone = missed(solid, distance, np.rint(nodes / size).astype(np.int64))
        nodes = np.concatenate([nodes, alone * size])
        radii = np.concatenate([radii, distance[tuple(alone.T)]]).astype(np.float64)
        return Trace(nodes, spanning_forest(nodes, edges, radii), radii)

    def finish(self, trace: Trace, voxel_size: Spacing) -> Trace:
        """Take away what is shorter than a path that would have been drawn, then smooth and thin out as the call does."""
        trace = pruned(trace, self.claim.scale, margin(self.claim.constant, voxel_size))
        return spaced(smoothed(trace, self.smoothing), self.spacing)


def by_bioimage_cpp(teasar: Callable[..., Any], mask: Array, voxel_size: Spacing, claim: Claim) -> Drawn:
    """Draw with ``bioimage_cpp.skeleton.teasar``."""
    nodes, edges, radii = teasar(
        mask,
        spacing=tuple(float(v) for v in voxel_size),
        scale=claim.scale,
        constant=margin(claim.constant, voxel_size),
        fix_branching=claim.fix_branching,
    )
    return np.asarray(nodes, np.float64), edges.astype(np.int64), radii


def by_kimimaro(skeletonize: Callable[..., Any], mask: Array, voxel_size: Spacing, claim: Claim) -> Drawn:
    """Draw with ``kimimaro.skeletonize``."""
    found = skeletonize(
        mask.astype(np.uint8),
        teasar_params={**_KIMIMARO, "scale": claim.scale, "const": margin(claim.constant, voxel_size)},
        anisotropy=tuple(float(v) for v in voxel_size),
        dust_threshold=0,
        fix_branching=claim.fix_branching,
        fix_borders=False,
        progress=False,
        parallel=1,
    )
    if 1 not in found:
        return np.zeros((0, 3)), np.zeros((0, 2), np.int64), np.zeros(0)
    return found[1].vertices.astype(np.float64), found[1].edges.astype(np.int64), found[1].radius
