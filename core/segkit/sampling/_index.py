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
from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Lattice, Triple

__all__ = ["LabelIndex", "read_known"]

Array = np.ndarray[Any, Any]

_BLOCK_VOXELS = 1 << 18
_WINDOW = 256  # blocks handed to the threads at once, so that a queue does not grow with the volume


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
    """Return the labels of a region inside the sample, and where they are known (bool ``(Z, Y, X)``).

    Where a mask says that nothing is known, labels are not read and returned as zeros.
    """
    if sample.labels is None:
        return np.zeros(box.shape, np.uint8), np.zeros(box.shape, bool)
    known = np.ones(box.shape, bool)
    if sample.mask is not None:
        known = sample.mask.read(box).reshape(-1, *box.shape)[0] != 0
        if not known.any():
            lead = (sample.labels.channels,) if sample.labels.axes == "czyx" else ()
            return np.zeros((*lead, *box.shape), sample.labels.dtype), known
    labels = sample.labels.read(box)
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
    pairs
        One row for each id in each block: the id, the block, and how many foreground voxels it has there, int64
        ``(P, 3)``, 24 bytes for each; None where ids were not counted.
    """

    lattices: tuple[Lattice, ...]
    known: Array
    foreground: Array
    sample_of: Array
    first_block: Array
    pairs: Array | None = None

    @classmethod
    def over(cls, samples: Sequence[Sample], known: Array, foreground: Array, pairs: Array | None) -> LabelIndex:
        """Make an index of counts that are there already, block by block."""
        lattices, sample_of, first_block = _layout(samples)
        return cls(lattices, known, foreground, sample_of, first_block, pairs)

    @classmethod
    def building(
        cls,
        samples: Sequence[Sample],
        foreground: Callable[[Array], Array],
        *,
        ids: bool = False,
        workers: int = 2,
    ) -> Generator[tuple[int, int], None, LabelIndex]:
        """Read the labels of all samples once and count, yielding the blocks counted and the blocks in all.

        Parameters
        ----------
        samples
            What is trained on.
        foreground
            The task's `segkit.contracts.Task.foreground`.
        ids
            Whether the voxels of each class or object id are counted too, which balanced sampling needs.
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
        UsageError
            If ids are to be counted in labels that are an image.
        """
        for sample in samples if ids else ():
            if sample.labels is not None and (sample.labels.dtype.kind not in "biu" or sample.labels.channels > 1):
                raise UsageError(
                    f"`sampling.balance` needs ids, but the labels of sample '{sample.name}' are an image ({sample.labels.dtype}, "
                    f'{sample.labels.channels} channels). Set it to "none".'
                )
        lattices, sample_of, first_block = _layout(samples)

        def count(block: int) -> tuple[int, int, Array | None]:
            which = int(sample_of[block])
            labels, known = read_known(samples[which], lattices[which][block - int(first_block[which])])
            total = int(np.count_nonzero(known))
            if total == 0:
                return 0, 0, None
            wanted = foreground(labels) & known
            if not ids:
                return total, int(np.count_nonzero(wanted)), None
            values, numbers = np.unique(labels.reshape(wanted.shape)[wanted], return_counts=True)
            found = np.stack([values.astype(np.int64), np.full(len(values), block), numbers], 1)
            return total, int(numbers.sum()), found

        counts = np.zeros((len(sample_of), 2), np.int64)
        pairs: list[Array] = []
        with ThreadPoolExecutor(workers, thread_name_prefix="segkit-counting") as pool:
            for first in range(0, len(counts), _WINDOW):
                window = range(first, min(first + _WINDOW, len(counts)))
                for block, (known, wanted, found) in zip(window, pool.map(count, window), strict=True):
                    counts[block] = known, wanted
                    if found is not None and len(found):
                        pairs.append(found)
                    yield block + 1, len(counts)
        if not counts[:, 0].any():
            names = ", ".join(f"'{sample.name}'" for sample in samples) or "none"
            raise DataError(
                f"There is no labelled voxel to learn from (samples: {names}). Give labels, check the mask, or check that "
                "`unlabelled` is not the id of what you labelled."
            )
        rows = (np.concatenate(pairs) if pairs else np.zeros((0, 3), np.int64)) if ids else None
        return cls(lattices, counts[:, 0], counts[:, 1], sample_of, first_block, rows)

    @classmethod
    def build(
        cls,
        samples: Sequence[Sample],
        foreground: Callable[[Array], Array],
        *,
        ids: bool = False,
        workers: int = 2,
    ) -> LabelIndex:
        """Read the labels of all samples once and count; see `building`."""
        steps = cls.building(samples, foreground, ids=ids, workers=workers)
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

    def all_known(self, which: int, box: Box) -> bool:
        """Return whether every voxel of a region of a sample is labelled, as far as whole blocks tell."""
        lattice, first = self.lattices[which], int(self.first_block[which])
        return all(self.known[first + block] == lattice[block].size for block in lattice.touching(box))


def _layout(samples: Sequence[Sample]) -> tuple[tuple[Lattice, ...], Array, Array]:
    """Return the blocks of each sample, the sample of each block, and the number of each sample's first block."""
    lattices = tuple(Lattice(sample.raw.box, _block_shape(sample)) for sample in samples)
    sample_of = np.repeat(np.arange(len(samples)), [len(lattice) for lattice in lattices])
    return lattices, sample_of, np.cumsum([0, *map(len, lattices)])
