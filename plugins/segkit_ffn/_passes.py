"""From seeds to objects: filling, and what is done with the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.geometry import Triple
from segkit.volume import Spacing
from segkit_ffn._agglomeration import agglomerated, contacts
from segkit_ffn._consensus import split_consensus
from segkit_ffn._engine import Engine
from segkit_ffn._fill import growing_halo, grown, membranes, with_leftovers

__all__ = ["PIECE", "Passes", "second_opinion"]

Array = np.ndarray[Any, Any]

PIECE = 5
"""How many times larger than an object a piece of one has to be at least to be kept apart: what is smaller is mostly noise."""

_REACH = 6  # voxels; how far objects grow towards each other to see which touch, if they are not to grow


@dataclass(frozen=True)
class Passes:
    """What is done beside filling; see `segkit_ffn.flood_fill`. Growing comes last, when cells are stitched."""

    consensus: bool = False
    agglomerate: int = 0
    grow: int = 0
    bright: bool = False
    leftovers: int = 0

    def __call__(self, engine: Engine, image: Array, seeds: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` uint32 of an image ``(C, Z, Y, X)``, normalised."""
        ids = engine.fill(image, seeds).ids
        if self.consensus:
            ids = split_consensus(ids, second_opinion(engine, image, seeds), PIECE * engine.policy.min_size)
        if self.agglomerate:
            height = membranes(image, voxel_size, self.bright)
            candidates = contacts(grown(ids, height, voxel_size, self.grow or _REACH), height)[: self.agglomerate]
            ids = agglomerated(engine, image, ids, candidates, engine.movement.radius)[ids]
        if self.leftovers:
            ids = with_leftovers(ids, self.finish(ids, image, voxel_size) != 0, self.leftovers)
        return ids

    @property
    def finish_halo(self) -> Triple | None:
        """See `segkit.contracts.Segmenter`."""
        return growing_halo(self.grow) if self.grow else None

    def finish(self, ids: Array, image: Array, voxel_size: Spacing) -> Array:
        """Return what becomes of ids ``(Z, Y, X)`` that are stitched; the image as above."""
        return grown(ids, membranes(image, voxel_size, self.bright), voxel_size, self.grow) if self.grow else ids


def second_opinion(engine: Engine, image: Array, seeds: Array) -> Array:
    """Return what is found in the mirror image from the seeds in reverse order: a second opinion of the same network.

    The order alone leaves most of its mistakes where they are.
    """
    mirror = (slice(None, None, -1),) * 3
    turned = np.ascontiguousarray(image[(slice(None), *mirror)])
    ids: Array = engine.fill(turned, np.subtract(image.shape[1:], 1) - seeds[::-1]).ids
    return np.ascontiguousarray(ids[mirror])
