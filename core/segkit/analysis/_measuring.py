"""One pass over one sample: its values, its objects, a thumbnail, and a hash by which copies are found."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from segkit.addressing import rng
from segkit.analysis._objects import Regions, as_ids, count_regions
from segkit.analysis._reading import Reading
from segkit.analysis._thumbnails import Thumbnail
from segkit.contracts import Sample
from segkit.sampling._index import read_known

__all__ = ["Measured", "measure"]

Array = np.ndarray[Any, Any]

_FULL = (255, 1023, 4095, 16383, 65535)  # the highest value of 8, 10, 12, 14 and 16 bits
_FEWEST_VALUES = 256


@dataclass(eq=False)
class Measured:
    """What one pass over a sample found.

    Parameters
    ----------
    reading
        What was read.
    channels
        Channels of the image.
    """

    reading: Reading
    channels: int
    count: Array = field(init=False)
    mean: Array = field(init=False)
    squares: Array = field(init=False)
    lowest: Array = field(init=False)
    highest: Array = field(init=False)
    at_highest: Array = field(init=False)
    not_finite: Array = field(init=False)
    values: list[Array] = field(default_factory=list)
    digest: str = ""
    thumbnail: Array | None = None
    image: bool = False
    known: int = 0
    looked: int = 0
    ids: Regions = field(default_factory=Regions.none)
    pieces: Regions = field(default_factory=Regions.none)
    class_voxels: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count, self.at_highest, self.not_finite = (np.zeros(self.channels, np.int64) for _ in range(3))
        self.mean, self.squares = np.zeros(self.channels), np.zeros(self.channels)
        self.lowest, self.highest = np.full(self.channels, np.inf), np.full(self.channels, -np.inf)

    @property
    def saturated(self) -> Array:
        """Voxels of each channel at the end of the range of their number of bits."""
        return np.where(np.isin(self.highest, _FULL), self.at_highest, 0)

    @property
    def positive(self) -> int:
        """Labelled voxels that are not background."""
        return int(self.ids.voxels.sum())

    def at(self, reading: Reading) -> Measured:
        """Return the same, of a sample that has another number now."""
        moved = copy(self)
        moved.reading = reading
        return moved

    def add_values(self, block: Array) -> None:
        """Take in some voxels ``(C, N)``."""
        for channel, numbers in enumerate(block):
            finite = numbers
            if numbers.dtype.kind == "f":
                finite = numbers[np.isfinite(numbers)]
                self.not_finite[channel] += numbers.size - finite.size
            if not finite.size:
                continue
            highest = float(finite.max())
            if highest > self.highest[channel]:
                self.highest[channel], self.at_highest[channel] = highest, 0
            if highest == self.highest[channel] and highest in _FULL:
                self.at_highest[channel] += np.count_nonzero(finite == finite.max())
            self.lowest[channel] = min(self.lowest[channel], float(finite.min()))
            # Chan, Golub and LeVeque (1979): means and squares of parts put together without losing digits.
            mean, before = float(finite.mean(dtype=np.float64)), self.count[channel]
            step = mean - self.mean[channel]
            total = before + finite.size
            self.squares[channel] += float(finite.var(dtype=np.float64)) * finite.size
            self.squares[channel] += step * step * before * finite.size / total
            self.mean[channel] += step * finite.size / total
            self.count[channel] = total


def measure(sample: Sample, reading: Reading, *, values: int, seed: int) -> Measured:
    """Read a sample as planned, and measure it.

    Parameters
    ----------
    sample, reading
        The sample, and what to read of it.
    values
        Values of each channel that are kept for percentiles.
    seed
        Decides which values.
    """
    found = Measured(reading, sample.raw.channels)
    digest = blake2b(repr((sample.raw.shape, str(sample.raw.dtype))).encode(), digest_size=12)
    thumbnail = Thumbnail(sample.raw.spatial_shape) if reading.share == 1 else None
    wanted = max(values, _FEWEST_VALUES) / max(1, sum(part.size for part in reading.parts))
    for number, part in enumerate(reading.parts):
        block = sample.raw.read(part).reshape(found.channels, *part.shape)
        digest.update(np.ascontiguousarray(block).data)
        flat = block.reshape(found.channels, -1)
        found.add_values(flat)
        g = rng(seed, number, reading.which, "analysed values")
        found.values.append(flat[:, g.integers(0, part.size, max(1, round(wanted * part.size)))].astype(np.float32))
        if thumbnail is not None:
            thumbnail.add(block, part)
    found.digest = digest.hexdigest()
    found.thumbnail = None if thumbnail is None else thumbnail.finished()
    found.image = sample.labels is not None and sample.labels.channels > 1
    by_id, by_piece = [], []
    for piece in reading.pieces:
        labels, known = read_known(sample, piece)
        found.looked += piece.size
        found.known += int(np.count_nonzero(known))
        numbers = None if found.image else as_ids(labels.reshape(piece.shape))
        regions = None if numbers is None else count_regions(_cleared(numbers, known), piece, sample.raw.box)
        if regions is None:
            found.image = True
            continue
        by_id.append(regions[0])
        by_piece.append(regions[1])
        for number, count in regions[2].items():
            found.class_voxels[number] = found.class_voxels.get(number, 0) + count
    found.ids, found.pieces = Regions.joined(by_id), Regions.joined(by_piece)
    return found


def _cleared(labels: Array, known: Array) -> Array:
    return labels if known.all() else np.where(known, labels, labels.dtype.type(0))
