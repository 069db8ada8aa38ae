"""Where the provisional objects of each block are kept: every block with its halo, side by side in one array.

What two blocks say about the same voxels differs until they are stitched, so each block keeps an opinion of its own
about its halo. A slot of the array belongs to one block, which is why ids need to be distinct within a block only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from segkit.geometry import Box, Lattice, Triple

__all__ = ["Layout", "cell_shape", "whole_chunks"]

Array = np.ndarray[Any, Any]

_CHUNK, _FLAT_CHUNK = 64, 512
_CELL_VOXELS = 192**3


def cell_shape(shape: Triple, voxel_size: Sequence[float], voxels: int | None = None) -> Triple:
    """Return what is cut at once where the result depends on it: a matter of the volume alone, never of its storage.

    About 192^3 voxels, or so many as are given, as near to a physical cube as the volume allows, and as equal along each axis as can be.
    """
    lengths: dict[int, int] = {}  # by axis, where the volume ends before a cell would
    while len(lengths) < 3:
        free = [axis for axis in range(3) if axis not in lengths]
        room = (voxels or _CELL_VOXELS) / math.prod(lengths.values()) * math.prod(voxel_size[axis] for axis in free)
        side = room ** (1 / len(free))
        short = {axis: shape[axis] for axis in free if shape[axis] * voxel_size[axis] <= side}
        if not short:
            most = {axis: max(1, round(side / voxel_size[axis])) for axis in free}
            lengths |= {axis: -(-shape[axis] // -(-shape[axis] // most[axis])) for axis in free}
        lengths |= short
    return lengths[0], lengths[1], lengths[2]


def whole_chunks(block: Triple) -> tuple[Triple, Triple]:
    """Return a block rounded up to whole chunks, and the chunks: as equal as can be, and of at most 64 voxels."""
    most = _CHUNK if block[0] > 1 else _FLAT_CHUNK
    counts = [-(-b // most) for b in block]
    chunk = [-(-b // n) for b, n in zip(block, counts, strict=True)]
    return cast("Triple", tuple(c * n for c, n in zip(chunk, counts, strict=True))), cast("Triple", tuple(chunk))


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of a volume, and the slots of the array that holds their provisional objects.

    Parameters
    ----------
    lattice
        The blocks, of a volume that begins at (0, 0, 0).
    wanted_halo
        Voxels (z, y, x) that a block wants to see around itself.
    """

    lattice: Lattice
    wanted_halo: Triple

    @classmethod
    def of(cls, extent: Box, block_shape: Triple, halo: Triple) -> Layout:
        """Return the layout for blocks of at most `block_shape`."""
        block = tuple(max(1, min(b, n)) for b, n in zip(block_shape, extent.shape, strict=True))
        return cls(Lattice(extent, cast("Triple", block)), halo)

    @property
    def halo(self) -> Triple:
        """Voxels (z, y, x) kept around each block; 0 along an axis with a single block."""
        counts = self.lattice.counts
        return cast("Triple", tuple(h if n > 1 else 0 for h, n in zip(self.wanted_halo, counts, strict=True)))

    @property
    def slot_shape(self) -> Triple:
        """Shape of a block with its halo, rounded up to whole chunks."""
        return self._slot[0]

    @property
    def slot_chunk(self) -> Triple:
        """Shape of a chunk of a slot."""
        return self._slot[1]

    @property
    def _slot(self) -> tuple[Triple, Triple]:
        needed = tuple(b + 2 * h for b, h in zip(self.lattice.block_shape, self.halo, strict=True))
        return whole_chunks(cast("Triple", needed))

    @property
    def slots(self) -> Lattice:
        """The slots; their indices are those of the blocks."""
        counts = self.lattice.counts
        return Lattice(Box.of_shape([n * s for n, s in zip(counts, self.slot_shape, strict=True)]), self.slot_shape)

    def seen(self, index: int) -> Box:
        """Return the voxels of the volume that block `index` sees: itself and its halo, inside the volume."""
        box = self.lattice[index].grow(self.halo) & self.lattice.extent
        assert box is not None
        return box

    def inner(self, index: int, seen: Array) -> Array:
        """Return the part that is block `index` of voxels of all that it sees."""
        part: Array = seen[self.lattice[index].relative_to(self.seen(index).start).slices]
        return part

    def place(self, index: int, box: Box) -> Box:
        """Return where slot `index` keeps what its block says about `box`."""
        slot, block = self.slots[index], self.lattice[index]
        origin = [b - h for b, h in zip(block.start, self.halo, strict=True)]
        return box.relative_to(origin).shift(slot.start)

    def later_neighbours(self, index: int) -> Iterator[int]:
        """Yield the blocks that share the upper faces (z, y, x) of block `index`."""
        position = self.lattice.position(index)
        for axis, count in enumerate(self.lattice.counts):
            if position[axis] + 1 < count:
                yield self.lattice.index([p + (axis == a) for a, p in enumerate(position)])
