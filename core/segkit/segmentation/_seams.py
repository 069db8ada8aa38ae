"""The second pass: what a block holds, and which of its objects go on in its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Protocol

import numpy as np

from segkit.contracts import Segmenter
from segkit.geometry import Box, Triple
from segkit.metrics.contingency import Contingency
from segkit.segmentation._layout import Layout
from segkit.volume import Volume

__all__ = ["SHARED", "Held", "Look", "Opinions", "Stored", "contents"]

Array = np.ndarray[Any, Any]

SHARED = 0.5
"""Two objects are one if the voxels that a piece of each shares with one of the other are more than this part of the voxels
that either piece has. A piece is a connected part of an object where both blocks see it. Above one half, a piece has at
most one partner in each neighbouring block."""


class Opinions(Protocol):
    """What each block says about the voxels it sees."""

    def read(self, index: int, box: Box) -> Array:
        """Return the ids that block `index` gives to the voxels of the volume in `box`, all of which it sees."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Opinions in the slots of a store."""

    layout: Layout
    store: Volume

    def read(self, index: int, box: Box) -> Array:
        """See `Opinions`."""
        return self.store.read(self.layout.place(index, box))


@dataclass(frozen=True, eq=False)
class Held:
    """Opinions in memory, an array for each block."""

    layout: Layout
    cuts: dict[int, Array]

    def read(self, index: int, box: Box) -> Array:
        """See `Opinions`."""
        found: Array = self.cuts[index][box.relative_to(self.layout.seen(index).start).slices]
        return found


@dataclass(frozen=True, eq=False)
class Look:
    """Looks at one block, in any process: ``look(index)`` returns keys, voxels, first voxels, and pairs of keys.

    A key is an id that is distinct in the whole volume: the block in its upper half, the id in the block below it.

    Parameters
    ----------
    layout
        The blocks.
    opinions
        Their provisional objects.
    stitching
        See `segkit.contracts.Segmenter`.
    connectivity
        Likewise.
    """

    layout: Layout
    opinions: Opinions
    stitching: Literal["touching", "overlap"]
    connectivity: int

    @classmethod
    def of(cls, layout: Layout, opinions: Opinions, segmenter: Segmenter) -> Look:
        """Return what looks at the objects that `segmenter` cut."""
        return cls(layout, opinions, segmenter.stitching, getattr(segmenter, "connectivity", 6))

    def __call__(self, index: int) -> tuple[Array, Array, Array, Array]:
        cut = self.opinions.read(index, self.layout.seen(index))
        return (*contents(self.layout, index, self.layout.inner(index, cut)), self._pairs(index, cut))

    def pairs(self, index: int) -> Array:
        """Return pairs of keys ``(P, 2)`` of what is one object, in this block and in later neighbours."""
        return self._pairs(index, self.opinions.read(index, self.layout.seen(index)))

    def _pairs(self, index: int, cut: Array) -> Array:
        if self.stitching == "touching":
            return self._touching(index, self.layout.inner(index, cut))
        return self._overlapping(index, cut)

    def _touching(self, index: int, ids: Array) -> Array:
        """Return pairs of keys ``(P, 2)`` of objects that touch, one in this block and one in a later neighbour.

        Every two blocks that share a face, an edge or a corner are looked at once, from the earlier of them.
        """
        from segkit.segmentation._passes import meet

        lattice, found = self.layout.lattice, [np.zeros((0, 2), np.uint64)]
        reach = {4: 1, 6: 1, 18: 2, 26: 3}[self.connectivity]
        steps = [(z, y, x) for z, y, x in product((-1, 0, 1), repeat=3) if (z, y, x) > (0, 0, 0)]
        for step in steps:
            away = sum(map(abs, step))
            position = [p + s for p, s in zip(lattice.position(index), step, strict=True)]
            inside = all(0 <= p < n for p, n in zip(position, lattice.counts, strict=True))
            if away > reach or not inside or (step[0] and self.connectivity == 4):
                continue
            other = lattice.index(position)
            mine: Array = ids[_side(Box.of_shape(ids.shape), step).slices]
            theirs = self.opinions.read(other, _side(lattice[other], (-step[0], -step[1], -step[2])))
            pairs = np.unique(meet(mine, theirs, reach - away))
            found.append(np.stack([_keys(index, pairs >> np.uint64(32)), _keys(other, pairs & _LOWER)], 1))
        return np.concatenate(found)

    def _overlapping(self, index: int, cut: Array) -> Array:
        """Return pairs of keys ``(P, 2)`` of objects that a block and its later neighbours mostly agree on, piece by piece.

        What is one object in one block may be two where the other cannot see the connection, so objects are not compared as
        a whole. Neither is half of a piece enough: a block that holds two objects for one has no say against the other.
        """
        found = [np.zeros((0, 2), np.uint64)]
        seen = self.layout.seen(index)
        for other in self.layout.later_neighbours(index):
            shared = seen & self.layout.seen(other)
            if shared is None:
                continue
            mine, own = _pieces(cut[shared.relative_to(seen.start).slices])
            theirs, their_own = _pieces(self.opinions.read(other, shared))
            table = Contingency()
            table.update(mine, theirs)
            both = table.overlaps()
            union = both.segment_sizes + both.label_sizes - both.counts
            one = (both.segments != 0) & (both.labels != 0) & (both.counts > SHARED * union)
            pieces = both.segments[one].astype(np.intp), both.labels[one].astype(np.intp)
            pairs = np.stack([_keys(index, own[pieces[0]]), _keys(other, their_own[pieces[1]])], 1)
            found.append(np.unique(pairs, axis=0))
        return np.concatenate(found)


def _pieces(ids: Array) -> tuple[Array, Array]:
    """Return the connected parts of objects, across faces, and which object each part is of."""
    import cc3d

    parts = cc3d.connected_components(np.ascontiguousarray(ids), connectivity=6, out_dtype=np.uint32)
    own = np.zeros(int(parts.max(initial=0)) + 1, ids.dtype)
    own[parts.reshape(-1)] = ids.reshape(-1)
    return parts, own


def contents(layout: Layout, index: int, ids: Array) -> tuple[Array, Array, Array]:
    """Return the key of each object in a block, its number of voxels, and where in the volume its first voxel lies."""
    from segkit.segmentation._passes import tally

    block = layout.lattice[index]
    voxels, first = np.zeros((2, int(ids.max()) + 1), np.int64)
    tally(ids.reshape(-1), voxels, first)
    local = np.flatnonzero(voxels)
    z, y, x = (
        part.astype(np.uint64) + np.uint64(start)
        for part, start in zip(np.unravel_index(first[local], ids.shape), block.start, strict=True)
    )
    _, height, width = (np.uint64(n) for n in layout.lattice.extent.shape)
    return _keys(index, local), voxels[local].astype(np.uint64), (z * height + y) * width + x


_LOWER = np.uint64(2**32 - 1)


def _keys(index: int, local: Array) -> Array:
    return (np.uint64(index) << np.uint64(32)) | local.astype(np.uint64)


def _side(box: Box, step: Triple) -> Box:
    """Return the last layer of a box along the axes where `step` is 1, the first where it is -1."""
    start = [b - 1 if s > 0 else a for a, b, s in zip(box.start, box.stop, step, strict=True)]
    stop = [a + 1 if s < 0 else b for a, b, s in zip(box.start, box.stop, step, strict=True)]
    return Box.of_shape([b - a for a, b in zip(start, stop, strict=True)], start)
