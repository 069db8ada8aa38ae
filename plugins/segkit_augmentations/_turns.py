"""Flips and turns by right angles, in one copy."""

from __future__ import annotations

from collections.abc import Sequence
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


def _turned(patch: Patch, turn: Turn) -> Patch:
    """Turn everything in a patch alike."""
    order, signs = turn
    shape = patch.mask.shape
    arrays = (patch.raw, patch.labels, patch.mask)
    if all(axis == source and (sign == 1 or n == 1) for axis, (source, sign, n) in enumerate(zip(order, signs, shape))):
        raw, labels, mask = (np.ascontiguousarray(array) for array in arrays)
    elif order[2] == 2:
        raw, labels, mask = _rows_kept(arrays, turn)
    else:
        z, y, x = (slice(None, None, sign) for sign in signs)
        views = (
            array.transpose(*range(array.ndim - 3), *(array.ndim - 3 + axis for axis in order)) for array in arrays
        )
        raw, labels, mask = (np.ascontiguousarray(view[..., z, y, x]) for view in views)
    return replace(patch, raw=raw, labels=labels, mask=mask)


def _rows_kept(arrays: Sequence[Array], turn: Turn) -> list[Array]:
    """Turn image, labels and mask where x remains x, forwards or backwards."""
    from segkit_augmentations._rows import copy_rows

    order, signs = turn
    _, height, width = shape = arrays[0].shape[1:]
    strides = (height * width, width, 1)
    steps = tuple(strides[axis] * sign for axis, sign in zip(order, signs))
    start = sum((shape[axis] - 1) * strides[axis] for axis, sign in zip(order, signs) if sign < 0)
    # Seen as bits, there are four types to compile for; a contiguous array that may be written to is always one type.
    bits = [np.require(array, None, ["C", "W"]).view(f"u{array.dtype.itemsize}") for array in arrays]
    out = [np.empty((*array.shape[:-3], *(shape[axis] for axis in order)), array.dtype) for array in bits]
    new = out[0], out[1].reshape(-1, *out[1].shape[-3:]), out[2]
    copy_rows(bits[0].reshape(len(bits[0]), -1), bits[1].reshape(len(new[1]), -1), bits[2].ravel(), start, steps, *new)
    return [array.view(old.dtype) for array, old in zip(out, arrays)]


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
