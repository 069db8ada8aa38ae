"""Flips and turns by right angles: views, of which one copy is made at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations, product

import numpy as np

from segkit.contracts import Array, Patch

__all__ = ["Flips", "Turns"]

Turn = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Which axis (z, y, x) comes to lie along each axis, and whether it is read forwards (1) or backwards (-1)."""


@cache
def turns_of(kinds: tuple[object, object, object], upright: bool) -> tuple[Turn, ...]:
    """Return the turns of a box onto itself, without mirroring it; the first is no turn at all.

    Parameters
    ----------
    kinds
        Something for each axis; axes are exchanged only where it is equal.
    upright
        Whether z stays as it is.
    """
    found = []
    for order in permutations(range(3)):
        swaps = sum(order[i] > order[j] for i in range(3) for j in range(i + 1, 3))
        for signs in product((1, -1), repeat=3):
            proper = (-1) ** swaps * signs[0] * signs[1] * signs[2] == 1
            fits = all(kinds[source] == kinds[axis] for axis, source in enumerate(order))
            if proper and fits and not (upright and (order[0] != 0 or signs[0] != 1)):
                found.append((order, signs))
    return tuple(found)  # type: ignore[arg-type]


def _applied(array: Array, turn: Turn) -> Array:
    """Turn the last three axes of an array."""
    order, signs = turn
    lead = array.ndim - 3
    view = array.transpose(*range(lead), *(lead + axis for axis in order))
    z, y, x = (slice(None, None, sign) for sign in signs)
    return np.ascontiguousarray(view[..., z, y, x])


def _turned(patch: Patch, turn: Turn) -> Patch:
    """Turn everything in a patch alike."""
    raw, labels, mask = (_applied(array, turn) for array in (patch.raw, patch.labels, patch.mask))
    return replace(patch, raw=raw, labels=labels, mask=mask)


@dataclass(frozen=True)
class Flips:
    """See `segkit_augmentations.flips`."""

    axes: tuple[bool, bool, bool]

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch of which each axis was mirrored or not."""
        z, y, x = (-1 if flip and may else 1 for flip, may in zip(rng.random(3) < 0.5, self.axes))
        return _turned(patch, ((0, 1, 2), (z, y, x)))


@dataclass(frozen=True)
class Turns:
    """See `segkit_augmentations.quarter_turns`."""

    upright: bool

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch that was turned by right angles."""
        z, y, x = zip(patch.mask.shape, patch.voxel_size)
        turns = turns_of((z, y, x), self.upright)
        return _turned(patch, turns[rng.integers(len(turns))])
