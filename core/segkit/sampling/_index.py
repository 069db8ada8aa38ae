"""Where labels and foreground are, counted block by block in one pass over the labels.

The counts let the sampler draw a labelled or foreground voxel exactly uniformly while it reads a single block, in a
volume of any size and with labels however sparse.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.contracts import Sample
from segkit.errors import DataError
from segkit.geometry import Box, Lattice, Triple

__all__ = ["LabelIndex", "read_known"]

Array = np.ndarray[Any, Any]

_BLOCK_VOXELS = 1 << 18


def _block_shape(sample: Sample) -> Triple:
    """Return blocks like the store's own chunks, or about cubic ones of `_BLOCK_VOXELS`."""
    labels = sample.labels or sample.raw
    z, y, x = (min(n, c) for n, c in zip(sample.raw.spatial_shape, (labels.chunks or (64, 64, 64))[-3:], strict=True))
    while z * y * x > 8 * _BLOCK_VOXELS:  # huge chunks would make drawing one voxel slow
        z, y, x = (max(1, -(-z // 2)), -(-y // 2), -(-x // 2))
    while z * y * x < _BLOCK_VOXELS // 8 and (z, y, x) != sample.raw.spatial_shape:
        z, y, x = (min(2 * a, n) for a, n in zip((z, y, x), sample.raw.spatial_shape, strict=True))
    return z, y, x


def read_known(sample: Sample, box: Box) -> tuple[Array, Array]:
    """Return the labels of a region inside the sample, and where they are known (bool ``(Z, Y, X)``)."""
    if sample.labels is None:
        return np.zeros(box.shape, np.uint8), np.zeros(box.shape, bool)
    labels = sample.labels.read(box)
    known = np.ones(box.shape, bool)
    if sample.mask is not None:
        known &= sample.mask.read(box).reshape(-1, *box.shape)[0] != 0
    if sample.unlabelled is not None:
        known &= labels.reshape(-1, *box.shape)[0] != sample.unlabelled
    return labels, known


@dataclass(frozen=True, eq=False)
class LabelIndex:
    """How many labelled and how many foreground voxels each block of each sample has.

    Parameters
    ----------
    lattices
        The blocks of each sample.
    known, foreground
        Voxels in each block, int64, all samples' blocks one after the other.
    sample_of, first_block
        Sample of each block, and the number of each sample's first block.
    """

    lattices: tuple[Lattice, ...]
    known: Array
    foreground: Array
    sample_of: Array
    first_block: Array

    @classmethod
    def building(
        cls, samples: Sequence[Sample], foreground: Callable[[Array], Array], *, workers: int = 2
    ) -> Generator[tuple[int, int], None, LabelIndex]:
        """Read the labels of all samples once and count, yielding the blocks counted and the blocks in all.

        Parameters
        ----------
        samples
            What is trained on.
        foreground
            The task's `segkit.contracts.Task.foreground`.
        workers
            Threads that read.

        Returns
        -------
        LabelIndex
            As the value of the generator (``index = yield from LabelIndex.building(...)``).

        Raises
        ------
        DataError
            If no voxel of any sample is labelled.
        """
        lattices = tuple(Lattice(sample.raw.box, _block_shape(sample)) for sample in samples)
        first_block = np.cumsum([0, *map(len, lattices)])
        sample_of = np.repeat(np.arange(len(samples)), [len(lattice) for lattice in lattices])

        def count(block: int) -> tuple[int, int]:
            which = int(sample_of[block])
            labels, known = read_known(samples[which], lattices[which][block - int(first_block[which])])
            return int(known.sum()), int((foreground(labels) & known).sum())

        counts = np.zeros((len(sample_of), 2), np.int64)
        with ThreadPoolExecutor(workers) as pool:
            for block, pair in enumerate(pool.map(count, range(len(counts)))):
                counts[block] = pair
                yield block + 1, len(counts)
        if not counts[:, 0].any():
            names = ", ".join(f"'{sample.name}'" for sample in samples) or "none"
            raise DataError(
                f"There is no labelled voxel to learn from (samples: {names}). Give labels, check the mask, or check that "
                "`unlabelled` is not the id of what you labelled."
            )
        return cls(lattices, counts[:, 0], counts[:, 1], sample_of, first_block)

    @classmethod
    def build(cls, samples: Sequence[Sample], foreground: Callable[[Array], Array], *, workers: int = 2) -> LabelIndex:
        """Read the labels of all samples once and count; see `building`."""
        steps = cls.building(samples, foreground, workers=workers)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                index: LabelIndex = end.value
                return index

    def box(self, block: int) -> tuple[int, Box]:
        """Return the sample that a block belongs to, and the block's region in it."""
        which = int(self.sample_of[block])
        return which, self.lattices[which][block - int(self.first_block[which])]
