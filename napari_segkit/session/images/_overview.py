"""Large volumes without coarser copies: whether one is needed, how a command makes it, and what can be looked at before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import cast

from segkit.geometry import Box, Triple
from segkit.volume import Spacing, Volume

__all__ = [
    "CUT_OUT",
    "convert_arguments",
    "cut_out",
    "needs_overview",
    "overview_path",
    "with_overview",
    "with_voxel_size",
]

MOST_BARE = 2**28
"""Most voxels of a volume that may be shown without coarser copies."""
CUT_OUT: Triple = (256, 1024, 1024)
_FINEST = 2**26
_MOST_HALVINGS = 30


def needs_overview(volume: Volume) -> bool:
    """Return whether even the coarsest copy of a stored volume is too large to be looked at as a whole."""
    from numpy import memmap, ndarray

    coarsest = volume.levels[-1] if volume.levels else volume
    in_memory = isinstance(coarsest.array, ndarray) and not isinstance(coarsest.array, memmap)
    return not in_memory and math.prod(coarsest.spatial_shape) > MOST_BARE


def halvings(volume: Volume) -> int:
    """Return how often to halve a volume so that its overview has at most 2**26 voxels."""
    from segkit.store import level_factors

    factors = level_factors(volume.spatial_shape, volume.voxel_size, _MOST_HALVINGS + 1)
    voxels = math.prod(volume.spatial_shape)
    enough = (times for times, factor in enumerate(factors) if times and voxels / math.prod(factor) <= _FINEST)
    return next(enough, len(factors) - 1)


def overview_path(volume: Volume, folder: Path) -> Path:
    """Return where the overview of a volume belongs, the same each time."""
    stem = Path(volume.source.rstrip("/")).stem or "image"
    what = blake2b(repr((volume.source, volume.shape)).encode(), digest_size=4).hexdigest()
    return folder / f"overview-{stem}-{what}.zarr"


def convert_arguments(volume: Volume, target: Path) -> list[str]:
    """Return the arguments of ``segkit`` that make the overview."""
    arguments = ["convert", volume.source, str(target), "--coarser", str(halvings(volume)), "--block", "64", "64", "64"]
    if volume.unit == "nm":
        arguments += ["--voxel-size", *(f"{size:.12g}" for size in volume.voxel_size)]
    return arguments


def with_overview(volume: Volume, overview: Volume) -> Volume:
    """Return a volume that has another one, and its levels, for coarser copies."""
    levels = (overview, *overview.levels)
    return replace(volume, levels=tuple(replace(level, levels=(), unit=volume.unit) for level in levels))


def cut_out(volume: Volume, centre: Sequence[float] | None = None, shape: Triple = CUT_OUT) -> Volume:
    """Return a part of a volume that is small enough to be looked at, around its middle or another voxel."""
    middle = [n / 2 for n in volume.spatial_shape] if centre is None else centre
    sides = [min(side, n) for side, n in zip(shape, volume.spatial_shape, strict=True)]
    start = [
        min(max(0, round(c - side / 2)), n - side)
        for c, side, n in zip(middle, sides, volume.spatial_shape, strict=True)
    ]
    return volume.crop(Box.of_shape(sides, start))


def with_voxel_size(volume: Volume, voxel_size: Spacing) -> Volume:
    """Return a volume with voxels of another size in nm; its first voxel stays where it is."""
    ratio = [new / old for new, old in zip(voxel_size, volume.voxel_size, strict=True)]

    def scaled(level: Volume) -> Volume:
        sizes = tuple(v * r for v, r in zip(level.voxel_size, ratio, strict=True))
        starts = tuple(o + (at - o) * r for o, at, r in zip(volume.offset, level.offset, ratio, strict=True))
        return replace(level, voxel_size=cast("Spacing", sizes), offset=cast("Spacing", starts), unit="nm", levels=())

    return replace(scaled(volume), levels=tuple(scaled(level) for level in volume.levels))
