"""The patches that validation scores: a fixed grid, the same at every validation and in every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.contracts import Sample
from segkit.geometry import Box, Lattice, Triple
from segkit.sampling._index import LabelIndex, read_known

__all__ = ["validation_boxes"]


def validation_boxes(
    samples: Sequence[Sample], index: LabelIndex, patch_shape: Triple, limit: int | None, *, centred: bool = False
) -> list[tuple[int, Box]]:
    """Return the patches of a gapless grid that hold labels, as pairs of sample and region.

    Parameters
    ----------
    samples
        What is validated on; every voxel of it lies in exactly one patch of the grid, unless patches are centred.
    index
        Where labels are.
    patch_shape
        Shape of a patch, ``(z, y, x)``; the last along an axis may reach beyond the sample.
    limit
        Largest number of patches, taken evenly from the grid; None for all.
    centred
        Whether patches are about their middle voxels: the last along an axis is then moved inwards, or lies around the
        middle of a sample that is smaller than it.
    """
    found = []
    for which, sample in enumerate(samples):
        lattice, first = index.lattices[which], int(index.first_block[which])
        for box in Lattice(sample.raw.box, patch_shape):
            if _holds_labels(sample, box, index, first + np.array([*lattice.touching(box)])):
                start = [
                    min(s, n - p) if n >= p else (n - p) // 2
                    for s, n, p in zip(box.start, sample.raw.spatial_shape, patch_shape, strict=True)
                ]
                found.append((which, Box.of_shape(patch_shape, start if centred else box.start)))
    if limit is not None and len(found) > limit:
        found = [found[number] for number in np.linspace(0, len(found) - 1, limit).round().astype(int)]
    return found


def _holds_labels(sample: Sample, box: Box, index: LabelIndex, blocks: np.ndarray) -> bool:
    """Return whether a patch holds labels; where blocks that reach beyond it hold only some, it is looked at itself."""
    labelled = [index.box(int(block))[1] for block in blocks[index.known[blocks] > 0]]
    whole = index.known[blocks] == [index.box(int(block))[1].size for block in blocks]
    if not labelled or whole.any() or any(block & box == block for block in labelled):
        return bool(labelled)
    inside = box & sample.raw.box
    return inside is not None and bool(read_known(sample, inside)[1].any())
