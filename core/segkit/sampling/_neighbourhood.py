"""A piece of a sample from which several patches are drawn: decoded once, and exactly as likely as its patches are.

All patches whose first voxel lies in one cell of a grid share a neighbourhood. Drawing a single patch and taking its
cell makes a cell as likely as all its patches together; drawing patches anew among those of the cell, each as likely as
it would be by itself, then leaves every patch exactly as likely as if it had been drawn alone.

For one axis, a patch of length p begins in the cell when its drawn voxel v has an offset o in [0, p) for which v - o,
moved into the volume where it lies outside, falls into the cell. The number of such offsets is the weight of v there,
and the product over the three axes, times whether the voxel counts, its weight in all. These are whole numbers, so that
nothing is rounded. A patch that has the voxel in its middle has a single offset, and is never moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segkit.contracts import Patch, Sample
from segkit.geometry import Box, Triple
from segkit.sampling._placing import Place, Placing, changed_error
from segkit.sampling._plan import voxel_bytes

__all__ = ["Neighbourhood", "neighbourhood_around"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Axis:
    """The offsets that lead into the cell, along one axis.

    Parameters
    ----------
    first
        First voxel of the neighbourhood.
    low, high
        For each of its voxels, the range of places (not yet moved into the volume) where its patches may begin.
    least, last
        First and last place where a patch can begin.
    """

    first: int
    low: Array
    high: Array
    least: int
    last: int

    @classmethod
    def of(cls, cell: tuple[int, int], voxels: tuple[int, int], patch: int, extent: int, centred: bool) -> _Axis:
        v = np.arange(*voxels)
        if centred:
            at = v - patch // 2
            return cls(voxels[0], at, at + ((at >= cell[0]) & (at < cell[1])), cell[0], cell[1] - 1)
        last = extent - patch
        low = np.maximum(v - patch + 1, cell[0] if cell[0] > 0 else v[0] - patch)
        high = np.minimum(v + 1, cell[1] if cell[1] <= last else v[-1] + 1)
        return cls(voxels[0], low, np.maximum(high, low), 0, last)

    @property
    def weights(self) -> Array:
        return self.high - self.low

    def start(self, g: np.random.Generator, at: int) -> int:
        """Return where a patch on voxel number `at` begins."""
        return min(max(int(g.integers(self.low[at], self.high[at])), self.least), self.last)


def _pick(g: np.random.Generator, cumulative: Array) -> int:
    return int(np.searchsorted(cumulative, g.integers(cumulative[-1]), side="right"))


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Where patches of one cell lie, and the voxels that they are made of.

    Parameters
    ----------
    place
        The patch that was drawn first, of which only the cell and the aim matter.
    box
        All voxels of all patches.
    axes
        Offsets along z, y and x.
    chosen
        Which voxels count, bool ``(Z, Y, X)``; None for all.
    rows
        Running sum of the weights of the rows ``(Z * Y,)``; None where all voxels count.
    voxels
        The decoded voxels; None before they are read.
    """

    place: Place
    box: Box
    axes: tuple[_Axis, _Axis, _Axis]
    chosen: Array | None = None
    rows: Array | None = None
    voxels: Patch | None = None

    def draw(self, g: np.random.Generator) -> Box:
        """Draw a patch of the cell, each as likely as it would be among all patches."""
        if self.chosen is None or self.rows is None:
            voxel = [_pick(g, np.cumsum(axis.weights)) for axis in self.axes]
        else:
            z, y = divmod(_pick(g, self.rows), self.box.shape[1])
            voxel = [z, y, _pick(g, np.cumsum(self.chosen[z, y] * self.axes[2].weights))]
        start = [axis.start(g, at) for axis, at in zip(self.axes, voxel, strict=True)]
        return Box.of_shape(self.place.box.shape, start)

    def read(self, sample: Sample, placing: Placing) -> Neighbourhood:
        """Return this neighbourhood with its voxels decoded."""
        voxels = sample.read(self.box)
        for array in (voxels.labels, voxels.mask):
            array.flags.writeable = False  # an augmentation that wrote into one patch would change others
        aim = self.place.aim
        if not aim.foreground and placing.index.all_known(self.place.which, self.box):
            return replace(self, voxels=voxels)
        chosen = placing.counting(aim, voxels.labels, voxels.mask)
        z, y, x = (axis.weights for axis in self.axes)
        # Whole numbers below 2**24 are exact in float32, which takes half the memory.
        exact = np.float32 if int(x.sum()) < 1 << 24 else np.float64
        inner = chosen.astype(exact) @ x.astype(exact)
        rows = np.cumsum((inner.astype(np.int64) * y * z[:, None]).ravel())
        if rows[-1] == 0:
            raise changed_error(sample, self.box)
        return replace(self, voxels=voxels, chosen=chosen, rows=rows)

    def patch(self, sample: Sample, box: Box) -> Patch:
        """Return one patch, as a look at the voxels that all patches share."""
        assert self.voxels is not None
        at = box.relative_to(self.box.start).slices
        raw, labels, mask = (array[(..., *at)] for array in (self.voxels.raw, self.voxels.labels, self.voxels.mask))
        return Patch(raw, labels, mask, self.voxels.voxel_size, f"{sample.name} at {box}")

    def bytes_of(self, sample: Sample) -> int:
        """Return the bytes that this takes once it is decoded."""
        return self.box.size * voxel_bytes(sample)


def neighbourhood_around(place: Place, sample: Sample, cell_shape: Triple, centred: bool = False) -> Neighbourhood:
    """Return the neighbourhood of the cell in which a patch begins, without its voxels.

    Parameters
    ----------
    place, sample, cell_shape
        The patch, where it is from, and the extent of the cell.
    centred
        Whether the drawn voxel is in the middle of the patch, which may then reach beyond the sample.
    """
    shape, extent, grid = place.box.shape, sample.raw.spatial_shape, sample.raw.chunk_start
    start, stop, axes = [], [], []
    for s, p, n, c, origin in zip(place.box.start, shape, extent, cell_shape, grid, strict=True):
        first = origin + (s - origin) // c * c
        lowest, highest = (-(p // 2), n - 1 - p // 2) if centred else (0, n - p)
        cell = max(first, lowest), min(first + c, highest + 1)
        voxels = cell[0], cell[1] - 1 + p
        start.append(voxels[0])
        stop.append(voxels[1])
        axes.append(_Axis.of(cell, voxels, p, n, centred))
    return Neighbourhood(
        place, Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])), (axes[0], axes[1], axes[2])
    )
