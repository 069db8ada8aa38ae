"""Boxes of voxels, and the lattice of blocks that work over large volumes is cut into.

Everything here is integer arithmetic on ``(z, y, x)``; nothing knows about files, physical units or channels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from segkit.errors import UsageError

__all__ = ["Box", "Lattice", "Triple"]

Triple = tuple[int, int, int]

_RANGE = re.compile(r"\s*([zyx])\s*(-?\d*)\s*:\s*(-?\d*)\s*")


def _triple(values: Sequence[int]) -> Triple:
    z, y, x = (int(value) for value in values)
    return z, y, x


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open region of voxels: `start` belongs to it, `stop` does not.

    Parameters
    ----------
    start
        First voxel, ``(z, y, x)``. Negative for a region that begins before a volume does.
    stop
        One past the last voxel, ``(z, y, x)``; nowhere below `start`.
    """

    start: Triple
    stop: Triple

    def __post_init__(self) -> None:
        if any(stop < start for start, stop in zip(self.start, self.stop, strict=True)):
            raise UsageError(f"The box {self.start} to {self.stop} ends before it begins; swap the two corners.")

    @classmethod
    def of_shape(cls, shape: Sequence[int], start: Sequence[int] = (0, 0, 0)) -> Box:
        """Return the box of `shape` voxels that begins at `start`."""
        first = _triple(start)
        return cls(first, _triple([a + n for a, n in zip(first, shape, strict=True)]))

    @classmethod
    def parse(cls, text: str, within: Box) -> Box:
        """Read a region as people type it, such as ``"z0:100, x:50"``.

        Parameters
        ----------
        text
            Ranges for any of z, y and x, separated by commas. An axis or an end that is left out is the whole of
            `within`; a negative number counts from its end. Empty text means all of `within`.
        within
            The region that the numbers refer to.

        Raises
        ------
        UsageError
            If the text cannot be read, or names voxels outside `within`.
        """
        start, stop = list(within.start), list(within.stop)
        for part in filter(str.strip, text.split(",")):
            match = _RANGE.fullmatch(part)
            if match is None:
                raise UsageError(
                    f"The region {text!r} cannot be read at {part.strip()!r}. Write ranges of voxels such as "
                    "'z0:100, y:256, x-64:' (an axis left out is taken whole)."
                )
            axis = "zyx".index(match[1])
            first, last = within.start[axis], within.stop[axis]
            ends = [first, last]
            for end, digits in enumerate(match.groups()[1:]):
                if digits:
                    ends[end] = int(digits) + (last if digits.startswith("-") else first)
            if not first <= ends[0] < ends[1] <= last:
                raise UsageError(
                    f"The region {text!r} asks for {match[1]} {ends[0]}:{ends[1]}, but there are voxels from {first} "
                    f"to {last}. Choose a range inside."
                )
            start[axis], stop[axis] = ends
        return cls(_triple(start), _triple(stop))

    @property
    def shape(self) -> Triple:
        """Extent in voxels, ``(z, y, x)``."""
        return _triple([b - a for a, b in zip(self.start, self.stop, strict=True)])

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The three slices that cut this box out of an array whose first voxel is the origin."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def grow(self, margin: Sequence[int]) -> Box:
        """Return this box with `margin` voxels (z, y, x) more on every side."""
        return Box(
            _triple([a - m for a, m in zip(self.start, margin, strict=True)]),
            _triple([b + m for b, m in zip(self.stop, margin, strict=True)]),
        )

    def shift(self, by: Sequence[int]) -> Box:
        """Return this box moved by `by` voxels (z, y, x)."""
        return Box(
            _triple([a + s for a, s in zip(self.start, by, strict=True)]),
            _triple([b + s for b, s in zip(self.stop, by, strict=True)]),
        )

    def relative_to(self, origin: Sequence[int]) -> Box:
        """Return this box in coordinates that call the voxel `origin` (0, 0, 0)."""
        return self.shift([-o for o in origin])

    def __and__(self, other: Box) -> Box | None:
        """Return the voxels that both boxes hold, or None where they share none."""
        start = _triple([max(a, b) for a, b in zip(self.start, other.start, strict=True)])
        stop = _triple([min(a, b) for a, b in zip(self.stop, other.stop, strict=True)])
        return Box(start, stop) if all(a < b for a, b in zip(start, stop, strict=True)) else None

    def contains(self, other: Box) -> bool:
        """Return whether every voxel of `other` is in this box."""
        return all(a <= b for a, b in zip(self.start, other.start, strict=True)) and all(
            a >= b for a, b in zip(self.stop, other.stop, strict=True)
        )

    def __str__(self) -> str:
        return ", ".join(f"{axis}{a}:{b}" for axis, a, b in zip("zyx", self.start, self.stop, strict=True))


@dataclass(frozen=True, slots=True)
class Lattice:
    """A box cut into blocks of one shape; the last block along an axis may be smaller.

    Parameters
    ----------
    extent
        What is cut.
    block_shape
        Shape of a block in voxels, ``(z, y, x)``, at least 1 each.

    Attributes
    ----------
    counts
        Number of blocks along ``(z, y, x)``.
    """

    extent: Box
    block_shape: Triple
    counts: Triple = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if min(self.block_shape) < 1:
            raise UsageError(
                f"A block of shape {self.block_shape} holds nothing; use at least 1 voxel along each axis."
            )
        counts = _triple([-(-n // b) for n, b in zip(self.extent.shape, self.block_shape, strict=True)])
        object.__setattr__(self, "counts", counts)

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __iter__(self) -> Iterator[Box]:
        return (self[index] for index in range(len(self)))

    def position(self, index: int) -> Triple:
        """Return the place (z, y, x) of block `index` in the grid of blocks; x varies fastest."""
        _, ny, nx = self.counts
        return index // (ny * nx), index // nx % ny, index % nx

    def index(self, position: Sequence[int]) -> int:
        """Return the index of the block at `position` (z, y, x) of the grid."""
        _, ny, nx = self.counts
        z, y, x = position
        return (z * ny + y) * nx + x

    def __getitem__(self, index: int) -> Box:
        if not 0 <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        offset = [p * b for p, b in zip(self.position(index), self.block_shape, strict=True)]
        start = _triple([a + o for a, o in zip(self.extent.start, offset, strict=True)])
        stop = [min(a + b, end) for a, b, end in zip(start, self.block_shape, self.extent.stop, strict=True)]
        return Box(start, _triple(stop))

    def touching(self, box: Box) -> Iterator[int]:
        """Yield the indices of the blocks that share voxels with `box`, in order."""
        inside = box & self.extent
        if inside is None:
            return
        local = inside.relative_to(self.extent.start)
        ranges = [range(a // b, -(-e // b)) for a, e, b in zip(local.start, local.stop, self.block_shape, strict=True)]
        for z in ranges[0]:
            for y in ranges[1]:
                for x in ranges[2]:
                    yield self.index((z, y, x))
