"""Samples made in code: each is made when its voxels are first read, and the recent ones are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, Protocol, overload

import numpy as np

from segkit import Sample, Volume
from segkit.geometry import Triple
from segkit.volume import Spacing

Array = np.ndarray[Any, Any]
KEPT_BYTES = 512 * 2**20


class Generator(Protocol):
    """Makes the image and the labels of sample `index`, always the same ones."""

    @property
    def name(self) -> str:
        """What to call its samples."""

    @property
    def shape(self) -> Triple:
        """Extent of a sample in voxels, ``(z, y, x)``."""

    @property
    def voxel_size(self) -> Spacing:
        """Size of a voxel (z, y, x) in nm."""

    @property
    def dtypes(self) -> tuple[str, str]:
        """Types of the image and of the labels."""

    def make(self, index: int) -> tuple[Array, Array]:
        """Return raw and labels, both ``(Z, Y, X)``."""


class Generated(Sequence[Sample]):
    """A sequence of `count` samples of one generator.

    Parameters
    ----------
    generator
        What makes them.
    count
        How many there are.
    """

    def __init__(self, generator: Generator, count: int) -> None:
        self.generator = generator
        self._length = count
        self._kept: OrderedDict[int, tuple[Array, Array]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Generated], tuple[Generator, int]]:
        # Other processes make the samples again rather than receive the voxels.
        return Generated, (self.generator, self._length)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(self._length)[index]
        # What is computed from a sample is told apart by its source, so the source tells all options apart.
        digest = blake2b(repr(self.generator).encode(), digest_size=3).hexdigest()
        raw, labels = (f"{self.generator.name} {at} ({what}, options {digest})" for what in ("raw", "labels"))
        return Sample(f"{self.generator.name} {at}", self._volume(at, 0, raw), self._volume(at, 1, labels))

    def _volume(self, index: int, part: Literal[0, 1], source: str) -> Volume:
        return Volume.from_array(_Part(self, index, part), voxel_size=self.generator.voxel_size, source=source)

    def arrays(self, index: int) -> tuple[Array, Array]:
        """Return raw and labels of a sample, from memory where they were made lately."""
        with self._lock:
            if index not in self._kept:
                made = self.generator.make(index)
                size = sum(array.nbytes for array in made)
                while self._kept and (len(self._kept) + 1) * size > KEPT_BYTES:
                    self._kept.popitem(last=False)
                self._kept[index] = made
            self._kept.move_to_end(index)
            return self._kept[index]


@dataclass(frozen=True, slots=True)
class _Part:
    """The image (0) or the labels (1) of one sample, as an array that is not made yet."""

    samples: Generated
    index: int
    part: Literal[0, 1]

    @property
    def shape(self) -> Triple:
        return self.samples.generator.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.samples.generator.dtypes[self.part])

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        # A copy, so that nobody can write into what is kept.
        return self.samples.arrays(self.index)[self.part][key].copy()
