"""Flips and turns by right angles, in one copy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np

from segkit.contracts import Array, Patch
from segkit_augmentations._rows import copy_rows

__all__ = ["Flips", "Turns"]

Extent = tuple[int, int, int]
Turn = tuple[Extent, Extent]
"""Which axis (z, y, x) comes to lie along each axis, and whether it is read forwards (1) or backwards (-1)."""

AS_IT_IS: Turn = ((0, 1, 2), (1, 1, 1))
BITS = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


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
    raw, labels, mask = patch.raw, patch.labels, patch.mask
    if turn == AS_IT_IS:
        raw, labels, mask = np.ascontiguousarray(raw), np.ascontiguousarray(labels), np.ascontiguousarray(mask)
    elif order[2] == 2:
        raw, labels, mask = _rows_kept(raw, labels, mask, turn)
    else:
        z, y, x = (slice(None, None, sign) for sign in signs)
        views = (
            array.transpose(*range(array.ndim - 3), *(array.ndim - 3 + axis for axis in order))
            for array in (raw, labels, mask)
        )
        raw, labels, mask = (np.ascontiguousarray(view[..., z, y, x]) for view in views)
    return Patch(raw, labels, mask, patch.voxel_size, patch.origin)


def _rows_kept(raw: Array, labels: Array, mask: Array, turn: Turn) -> tuple[Array, Array, Array]:
    """Turn image, labels and mask where x remains x, forwards or backwards."""
    # Written out, because this takes about as long as a small patch does.
    extent, start, steps = _walk(mask.shape, turn)
    images, ids, known = _bits(raw), _bits(labels), _bits(mask)
    raw_out = np.empty(images.shape[:-3] + extent, images.dtype)
    labels_out = np.empty(ids.shape[:-3] + extent, ids.dtype)
    mask_out = np.empty(extent, known.dtype)
    copy_rows(images, ids, known, start, steps, raw_out, labels_out, mask_out)
    return raw_out.view(raw.dtype), labels_out.view(labels.dtype), mask_out.view(mask.dtype)


@cache
def _walk(shape: Extent, turn: Turn) -> tuple[Extent, int, Extent]:
    """Return the extent of what is turned, its first element in a contiguous array, and the steps from there."""
    (first, second, _), (sign_z, sign_y, sign_x) = turn
    strides = shape[1] * shape[2], shape[2]
    extent = shape[first], shape[second], shape[2]
    steps = sign_z * strides[first], sign_y * strides[second], sign_x
    return extent, -sum(min(step, 0) * (n - 1) for step, n in zip(steps, extent, strict=True)), steps


def _bits(array: Array) -> Array:
    """Return an array as the compiled loop takes it.

    As bits, there are four types to compile for; and an array that is contiguous and may be written to is always one type.
    """
    if not array.flags.carray:
        array = array.copy("C")
    return array.view(BITS[array.itemsize])


@dataclass(frozen=True)
class Flips:
    """See `segkit_augmentations.flips`."""

    axes: tuple[bool, bool, bool]

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch of which each axis was mirrored or not."""
        # An axis of a single voxel is left alone, so that such a patch need not be copied.
        extent, chances = patch.mask.shape, rng.random(3).tolist()
        z, y, x = [-1 if may and n > 1 and chance < 0.5 else 1 for may, n, chance in zip(self.axes, extent, chances)]
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
