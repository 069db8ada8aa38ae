"""Which voxels are predicted: the level that fits a model, and the region of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segkit.errors import SegkitError
from segkit.geometry import Box, Triple
from segkit.volume import Spacing, Volume

__all__ = ["Level", "levels_of", "nearest_level", "region_text", "scaled_box", "size_warning", "slab"]

TOLERATED = 1.5


@dataclass(frozen=True)
class Level:
    """A resolution of an image that a command can open.

    Parameters
    ----------
    source
        What `segkit.open_volume` takes.
    voxel_size, shape
        Of this level, ``(z, y, x)``.
    unit
        ``"nm"`` or ``"voxel"``.
    offset
        Position of its first voxel.
    factors
        Voxels of the finest level along each edge of one of this.
    """

    source: str
    voxel_size: Spacing
    shape: Triple
    unit: str
    offset: Spacing
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def text(self) -> str:
        """Voxel size and extent in words."""
        size = " × ".join(f"{length:g}" for length in self.voxel_size)
        return f"{size} {'nm' if self.unit == 'nm' else 'voxels'} ({' × '.join(map(str, self.shape))})"


def levels_of(image: Volume) -> list[Level]:
    """Return the levels of an image that can be opened by themselves, the finest first; reads metadata only."""
    from segkit.opening import open_volume

    found: list[Level] = []
    for level in (image, *image.levels):
        if found:
            try:
                again = open_volume(level.source)
            except SegkitError:
                continue
            if level.source == image.source or again.voxel_size != level.voxel_size:
                continue
        a, b, c = (own / first for own, first in zip(level.voxel_size, image.voxel_size, strict=True))
        found.append(Level(level.source, level.voxel_size, level.spatial_shape, level.unit, level.offset, (a, b, c)))
    return found


def _ratios(level: Level, size: Spacing, unit: str) -> list[float]:
    if level.unit != "nm" or unit != "nm":
        return [1.0, 1.0, 1.0]
    return [max(own / other, other / own) for own, other in zip(level.voxel_size, size, strict=True)]


def nearest_level(levels: Sequence[Level], size: Spacing, unit: str) -> int:
    """Return the index of the level whose voxels are most like those of the training; the finest where that is unknown."""
    worst = [max(_ratios(level, size, unit)) for level in levels]
    return worst.index(min(worst)) if worst else -1


def size_warning(level: Level, size: Spacing, unit: str) -> str:
    """Return a sentence if the voxels are more than 1.5 times off those of the training, or nothing."""
    if max(_ratios(level, size, unit)) <= TOLERATED:
        return ""
    trained, given = (" × ".join(f"{length:g}" for length in lengths) for lengths in (size, level.voxel_size))
    return (
        f"The model was trained on voxels of {trained} nm and this level has {given} nm: expect poor results. Choose "
        "another level, or resample the image."
    )


def scaled_box(box: Box, level: Level) -> Box:
    """Return a box of the finest level in voxels of another level, not empty and inside of it."""
    start, stop = [], []
    for a, b, factor, length in zip(box.start, box.stop, level.factors, level.shape, strict=True):
        first = min(max(0, int(a / factor)), length - 1)
        start.append(first)
        stop.append(max(first + 1, min(length, -int(-b // factor))))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def slab(box: Box, thickness: int, shape: Triple, axis: int = 0) -> Box:
    """Return a box with `thickness` voxels along one axis around its middle, moved inside of the volume."""
    thickness = max(1, min(thickness, shape[axis]))
    middle = (box.start[axis] + box.stop[axis] - 1) // 2
    first = min(max(0, middle - thickness // 2), shape[axis] - thickness)
    start, stop = list(box.start), list(box.stop)
    start[axis], stop[axis] = first, first + thickness
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def region_text(box: Box, shape: Triple) -> str:
    """Return a region as the command takes it; empty for all of the volume."""
    return "" if box == Box.of_shape(shape) else str(box)
