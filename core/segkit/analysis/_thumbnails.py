"""Small pictures of samples, and pairs of samples that look the same in them, also turned or mirrored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.geometry import Box, Triple

__all__ = ["Thumbnail", "Twin", "find_twins", "nearest_twins"]

Array = np.ndarray[Any, Any]

_PLANE = (1, 32, 32)
_SOLID = (8, 16, 16)
_ALIKE = 0.9
_ROWS = 512
_TURNED = 4000  # with more samples than this, only pictures the same way up are compared


class Thumbnail:
    """The image of a sample at 32 x 32 cells (8 x 16 x 16 for a solid), put together part by part.

    Parameters
    ----------
    shape
        Extent of the sample in voxels (z, y, x).
    """

    def __init__(self, shape: Triple) -> None:
        cells = [min(n, c) for n, c in zip(shape, _PLANE if shape[0] == 1 else _SOLID, strict=True)]
        self._cell = [np.arange(n) * c // n for n, c in zip(shape, cells, strict=True)]
        self._sum, self._count = np.zeros(cells), np.zeros(cells)

    def add(self, block: Array, part: Box) -> None:
        """Take in a part, ``(C, Z, Y, X)``; voxels that are not finite are left out."""
        values = block.sum(axis=0, dtype=np.float64)
        finite = np.isfinite(values)
        weight = finite.astype(np.float64)
        values = np.where(finite, values, 0.0)
        cells = [cell[a:b] for cell, a, b in zip(self._cell, part.start, part.stop, strict=True)]
        for axis, cell in enumerate(cells):
            starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
            values = np.add.reduceat(values, starts, axis=axis)
            weight = np.add.reduceat(weight, starts, axis=axis)
        place = tuple(slice(int(cell[0]), int(cell[-1]) + 1) for cell in cells)
        self._sum[place] += values
        self._count[place] += weight

    def finished(self) -> Array | None:
        """Return it with mean 0 and length 1, float32; None where the image is the same everywhere."""
        known = self._count > 0
        if not known.any():
            return None
        picture = np.where(known, self._sum / np.maximum(self._count, 1), 0)
        picture = np.where(known, picture - picture[known].mean(), 0)
        length = float(np.linalg.norm(picture))
        return (
            None if length <= 1e-9 * float(np.abs(self._sum).max() + 1e-300) else (picture / length).astype(np.float32)
        )


@dataclass(frozen=True, slots=True)
class Twin:
    """Two samples that look the same.

    Parameters
    ----------
    first, second
        Their numbers.
    correlation
        Pearson correlation of their thumbnails, -1..1.
    turned
        How the second is turned against the first: ``""``, ``"mirrored"`` or ``"turned"``.
    """

    first: int
    second: int
    correlation: float
    turned: str


def find_twins(pictures: Sequence[Array | None]) -> list[Twin]:
    """Return the pairs of samples that look the same, best first, each pair once."""
    best: dict[tuple[int, int], Twin] = {}
    for i, j, r, turned in _alike(pictures, pictures):
        if i < j and r > (best[i, j].correlation if (i, j) in best else -1):
            best[i, j] = Twin(i, j, r, turned)
    return sorted(best.values(), key=lambda twin: -twin.correlation)


def nearest_twins(pictures: Sequence[Array | None], others: Sequence[Array | None]) -> list[Twin]:
    """Return the best twin among `others` (`second`) of each of `pictures` that has one."""
    best: dict[int, Twin] = {}
    for i, j, r, turned in _alike(pictures, others):
        if r > (best[i].correlation if i in best else -1):
            best[i] = Twin(i, j, r, turned)
    return [best[i] for i in sorted(best)]


def _alike(pictures: Sequence[Array | None], others: Sequence[Array | None]) -> Iterator[tuple[int, int, float, str]]:
    for shape in sorted({picture.shape for picture in pictures if picture is not None}):
        rows = [n for n, picture in enumerate(pictures) if picture is not None and picture.shape == shape]
        columns = [n for n, picture in enumerate(others) if picture is not None and picture.shape == shape]
        if not columns:
            continue
        mine, theirs = np.stack([pictures[n] for n in rows]), np.stack([others[n] for n in columns])  # type: ignore[misc]
        flat = theirs.reshape(len(columns), -1).T
        limit = _limit(mine, theirs)
        for turned, moved in _turned(mine, len(rows) <= _TURNED and len(columns) <= _TURNED):
            for first in range(0, len(rows), _ROWS):
                found = moved[first : first + _ROWS].reshape(-1, flat.shape[0]) @ flat
                for i, j in np.argwhere(found >= limit):
                    yield rows[first + int(i)], columns[int(j)], min(1.0, float(found[i, j])), turned


def _limit(mine: Array, theirs: Array) -> float:
    """Return the correlation from which two are alike: 0.9, or far above what is usual where all share an illumination."""
    a, b = mine[:: max(1, len(mine) // 200)], theirs[:: max(1, len(theirs) // 200)]
    usual = (a.reshape(len(a), -1) @ b.reshape(len(b), -1).T).ravel()
    usual = np.arctanh(usual[usual < 0.999].astype(np.float64))  # Fisher's z, which spreads evenly
    if len(usual) < 10:
        return _ALIKE
    middle = float(np.median(usual))
    spread = 1.4826 * float(np.median(np.abs(usual - middle)))
    return float(np.clip(np.tanh(middle + 5 * spread), _ALIKE, 0.995))


def _turned(pictures: Array, all_ways: bool) -> Iterator[tuple[str, Array]]:
    yield "", pictures
    if not all_ways:
        return
    for name, flip in (("mirrored", np.flip(pictures, 3)), ("mirrored", np.flip(pictures, 2))):
        yield name, np.ascontiguousarray(flip)
    yield "turned", np.ascontiguousarray(np.rot90(pictures, 2, (2, 3)))
    if pictures.shape[2] == pictures.shape[3]:
        for name, picture in (("turned", pictures), ("mirrored", np.flip(pictures, 3))):
            for times in (1, 3):
                yield name, np.ascontiguousarray(np.rot90(picture, times, (2, 3)))
