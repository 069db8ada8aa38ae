"""The patches that validation scores: a fixed grid, the same at every validation and in every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.contracts import Sample
from segkit.geometry import Box, Lattice, Triple
from segkit.sampling._index import LabelIndex

__all__ = ["validation_boxes"]


def validation_boxes(
    samples: Sequence[Sample], index: LabelIndex, patch_shape: Triple, limit: int | None
) -> list[tuple[int, Box]]:
    """Return the patches of a gapless grid that hold labels, as pairs of sample and region.

    Parameters
    ----------
    samples
        What is validated on; every voxel of it lies in exactly one patch of the grid.
    index
        Where labels are.
    patch_shape
        Shape of a patch, ``(z, y, x)``; the last along an axis may reach beyond the sample.
    limit
        Largest number of patches, taken evenly from the grid; None for all.
    """
    found = []
    for which, sample in enumerate(samples):
        lattice, first = index.lattices[which], int(index.first_block[which])
        for box in Lattice(sample.raw.box, patch_shape):
            if any(index.known[first + block] for block in lattice.touching(box)):
                found.append((which, Box.of_shape(patch_shape, box.start)))
    if limit is not None and len(found) > limit:
        found = [found[number] for number in np.linspace(0, len(found) - 1, limit).round().astype(int)]
    return found
