"""Growing neurites: random walks that keep their direction, branch, taper, swell, and step aside for each other.

Works in nanometres and knows no voxels; what it returns are balls along the walks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_CANDIDATES = 6  # directions looked at for each step
_LONGEST = 2000  # steps of one walk
_MARGIN, _CELL = (
    2.0,
    0.9,
)  # how far outside the box walks go on, and the mesh in which they see each other; in typical radii
_BRANCHING, _ENDING, _NECK = 0.035, 0.006, 0.05  # chances a step


@dataclass(slots=True)
class _Tip:
    position: Array
    direction: Array
    radius: float
    owner: int
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Neurites:
    """Balls along all neurites of a volume.

    Parameters
    ----------
    centres
        ``(V, 3)`` z, y, x in nm from the corner of the volume.
    radii
        ``(V,)`` in nm.
    owners
        ``(V,)`` index of the neurite, from 0.
    directions
        ``(V, 3)`` unit vectors along the neurite.
    scale
        Typical radius in nm.
    """

    centres: Array
    radii: Array
    owners: Array
    directions: Array
    scale: float


def grow(extent: Array, count: int, rng: np.random.Generator) -> Neurites:
    """Grow `count` neurites through a box.

    Parameters
    ----------
    extent
        ``(3,)`` size of the box (z, y, x) in nm.
    count
        Number of neurites.
    rng
        Source of all choices.
    """
    # The radius at which tubes through the whole box would fill it.
    length = min(1.3 * float(extent.mean()), 3.0 * float(extent.min()))
    scale = float(np.sqrt(extent.prod() / (count * pi * length)))
    margin, cell = _MARGIN * scale, _CELL * scale
    taken = np.full(np.ceil((extent + 2 * margin) / cell).astype(int) + 1, -1, np.int32)
    found: list[tuple[Array, float, int, Array]] = []
    seeds: list[Array] = []
    tips: list[_Tip] = []
    for owner in range(count):
        candidates = rng.uniform(0, extent, (8, 3))
        if seeds:
            nearest = np.linalg.norm(candidates[:, None] - np.array(seeds[-2000:])[None], axis=2).min(1)
            candidates = candidates[[int(nearest.argmax())]]
        position = candidates[0]
        seeds.append(position)
        direction = _unit(rng.normal(size=3))
        radius = scale * float(np.clip(rng.lognormal(-0.1, 0.4), 0.45, 1.9))
        tips += [_Tip(position, direction, radius, owner), _Tip(position, -direction, radius, owner)]
    rng.shuffle(tips)
    while tips:
        tip = tips.pop()
        _walk(tip, extent, scale, taken, found, tips, rng)
    centres, radii, owners, directions = zip(*found, strict=True)
    return Neurites(np.array(centres), np.array(radii), np.array(owners, np.int64), np.array(directions), scale)


def _walk(
    tip: _Tip,
    extent: Array,
    scale: float,
    taken: Array,
    found: list[tuple[Array, float, int, Array]],
    tips: list[_Tip],
    rng: np.random.Generator,
) -> None:
    """Follow one tip until it leaves the box or ends, and push the branches it makes."""
    position, direction, radius = tip.position, tip.direction, tip.radius
    swelling, neck, taper = 0.0, 0, 0.995 if tip.depth == 0 else 0.985
    margin, cell, last = _MARGIN * scale, _CELL * scale, np.array(taken.shape) - 1
    for _ in range(_LONGEST):
        swelling = 0.8 * swelling + 0.2 * float(rng.normal())
        neck = neck - 1 if neck else int(rng.random() < _NECK) * int(rng.integers(3, 7))
        local = radius * float(np.clip(1 + 0.9 * swelling, 0.6, 1.7)) * (0.45 if neck else 1.0)
        found.append((position, local, tip.owner, direction))
        at = np.clip(((position + margin) / cell).astype(int), 0, last)
        taken[tuple(at)] = tip.owner
        directions = direction + 0.3 * rng.normal(size=(_CANDIDATES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        step = max(0.5 * local, 0.3 * scale)
        ahead = np.clip(((position + margin + directions * (step + cell)) / cell).astype(int), 0, last)
        ids = taken[ahead[:, 0], ahead[:, 1], ahead[:, 2]]
        blocked = (ids >= 0) & (ids != tip.owner)
        direction = directions[int((blocked * 10.0 - directions @ direction).argmin())]
        position = position + step * direction
        radius *= taper
        outside = bool(((position < -margin) | (position > extent + margin)).any())
        if outside or radius < 0.25 * scale or rng.random() < _ENDING:
            return
        if tip.depth < 3 and rng.random() < _BRANCHING:
            side = _unit(np.cross(direction, rng.normal(size=3)))
            tips.append(_Tip(position, _unit(direction + 1.4 * side), 0.75 * radius, tip.owner, tip.depth + 1))


def _unit(vector: Array) -> Array:
    result: Array = vector / (np.linalg.norm(vector) + 1e-12)
    return result
