"""Which pairs of voxels affinities are about, and how the names of channels tell.

An affinity says whether a voxel and the one at an offset (z, y, x) from it belong to one object. The task that learns
affinities and the segmenters that read them have to agree on the offsets, so a prediction carries them in the names of
its channels: ``affinity_0_-3_0`` is about the voxel and the third one before it along y.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from segkit.errors import UsageError
from segkit.geometry import Triple

__all__ = ["OBJECT", "OFFSETS", "channel_name", "grouped", "is_nearest", "offsets_of"]

OBJECT = "object"
"""Name of the channel that says where objects are."""

_NAME = re.compile(r"affinity_(-?\d+)_(-?\d+)_(-?\d+)")
_NEAREST: tuple[Triple, ...] = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
_IN_PLANE: tuple[Triple, ...] = ((0, -3, 0), (0, 0, -3), (0, -9, 0), (0, 0, -9))

OFFSETS: Mapping[str, tuple[Triple, ...]] = {
    "isotropic": (*_NEAREST, (-3, 0, 0), (-9, 0, 0), *_IN_PLANE),
    "anisotropic": (*_NEAREST, (-2, 0, 0), (-3, 0, 0), *_IN_PLANE, (0, -9, -9), (0, 9, -9)),
    "planar": (*_NEAREST[1:], *_IN_PLANE),
}
"""Sets of offsets by name; the number of offsets tells them apart. In each the nearest neighbours come first."""


def channel_name(offset: Triple) -> str:
    """Return the name of the channel for an offset."""
    return "affinity_" + "_".join(map(str, offset))


def offsets_of(names: Sequence[str]) -> tuple[Triple | None, ...]:
    """Return the offset that each name of a channel tells, None for a channel that is no affinity."""
    found = [_NAME.fullmatch(name) for name in names]
    return tuple((int(m[1]), int(m[2]), int(m[3])) if m else None for m in found)


def grouped(numbers: Sequence[int], option: str) -> tuple[Triple, ...]:
    """Return offsets written in a row, three numbers (z, y, x) each.

    Raises
    ------
    UsageError
        If they are not three each, an offset is (0, 0, 0), one comes twice, or none is a direct neighbour.
    """
    if len(numbers) % 3:
        raise UsageError(
            f"`{option}` has {len(numbers)} numbers, and an offset has three (z, y, x). Write all offsets in a row, such as "
            "-1, 0, 0, 0, -1, 0, 0, 0, -1."
        )
    offsets: list[Triple] = [(numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(0, len(numbers), 3)]
    lines = {max(offset, (-offset[0], -offset[1], -offset[2])) for offset in offsets}
    if (0, 0, 0) in offsets or len(lines) != len(offsets):
        raise UsageError(
            f"`{option}` is {offsets}: it has the offset (0, 0, 0), or the same pair of voxels twice (an offset and its "
            "opposite are the same). Leave it out."
        )
    if offsets and not any(is_nearest(offset) for offset in offsets):
        raise UsageError(
            f"`{option}` is {offsets} (z, y, x): none is a direct neighbour, so nothing could grow. Add such as 0, 0, -1."
        )
    return tuple(offsets)


def is_nearest(offset: Triple) -> bool:
    """Return whether an offset leads to a voxel that shares a face."""
    return sum(map(abs, offset)) == 1
