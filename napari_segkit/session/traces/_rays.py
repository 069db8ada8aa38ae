"""Which trace a click means: the one whose line passes closest to the ray from the eye. Knows neither Qt nor napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_segkit.session.traces._neurons import Neurons

__all__ = ["Hit", "hit"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Hit:
    """What was clicked on.

    Parameters
    ----------
    row
        Row of the neuron.
    node
        Row of its nearest node, counted from its first.
    distance
        How far the line is from the ray, in the unit of the traces.
    """

    row: int
    node: int
    distance: float


def hit(
    neurons: Neurons, position: Any, direction: Any, reach: float, depth: float = np.inf, only: Array | None = None
) -> Hit | None:
    """Return the trace that passes closest to a ray; None if none is within reach.

    Parameters
    ----------
    neurons
        The traces.
    position, direction
        A point ``(z, y, x)`` on the ray, in the unit of the traces, and where it goes.
    reach
        How far a line may be from the ray.
    depth
        How far it may be in front of or behind `position`.
    only
        Rows ``(N,)`` bool that can be hit; None for all.
    """
    if not len(neurons.nodes):
        return None
    along = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    # Two axes across the ray: in their plane the ray is the origin and every edge a segment.
    helper = np.eye(3)[int(np.abs(along).argmin())]
    across = np.cross(along, helper)
    across /= np.linalg.norm(across)
    relative = neurons.nodes - np.asarray(position, np.float64)
    flat = relative @ np.stack([across, np.cross(along, across)], axis=1)
    ahead = relative @ along
    alone = np.diff(neurons.node_starts) == 1
    lone = neurons.node_starts[:-1][alone]
    edges = np.concatenate([neurons.edges, np.stack([lone, lone], axis=1)])
    a, b = flat[edges[:, 0]], flat[edges[:, 1]]
    # What lies to one side with both its ends cannot be near.
    near = np.flatnonzero((np.minimum(a, b) <= reach).all(axis=1) & (np.maximum(a, b) >= -reach).all(axis=1))
    if only is not None:
        near = near[only[neurons.node_owners[edges[near, 0]]]]
    a, b, edges = a[near], b[near], edges[near]
    side = b - a
    part = np.clip(-(a * side).sum(axis=1) / np.maximum((side**2).sum(axis=1), 1e-300), 0, 1)
    distance = np.linalg.norm(a + part[:, None] * side, axis=1)
    deep = np.abs(ahead[edges[:, 0]] * (1 - part) + ahead[edges[:, 1]] * part)
    distance[(deep > depth) | (distance > reach)] = np.inf
    if not len(distance) or not np.isfinite(distance.min()):
        return None
    best = int(distance.argmin())
    node = int(edges[best, int(part[best] > 0.5)])
    row = int(neurons.node_owners[node])
    return Hit(row, node - int(neurons.node_starts[row]), float(distance[best]))
