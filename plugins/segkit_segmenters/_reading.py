"""Which channels of a prediction a segmenter reads, and what it says about all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.affinities import OBJECT, OFFSETS, is_nearest, offsets_of
from segkit.errors import DataError
from segkit.geometry import Triple

__all__ = ["Affinities", "absorbed", "refusal"]

Array = np.ndarray[Any, Any]

_READS = "channels of the task 'affinities'"
_DECODERS = {
    "affinity_": "mutex_watershed",
    "to_centre_": "centres",
    "distance": "distance_watershed",
    "boundary": "watershed",
}


def refusal(segmenter: str, reads: str, found: Sequence[str] | int) -> DataError:
    """Return the error that names what a segmenter reads instead of these channels, or of so many without names."""
    if isinstance(found, int):
        return DataError(
            f"The prediction has {found} channel{'s' * (found != 1)}, and the segmenter '{segmenter}' reads {reads}. Train "
            "with that task, or choose a segmenter for this one: `segkit list segmenters`."
        )
    fitting = [name for begin, name in _DECODERS.items() if any(channel.startswith(begin) for channel in found)]
    return DataError(
        f"The prediction has the channels {', '.join(found[:6])}{' …' * (len(found) > 6)}, and the segmenter '{segmenter}' reads "
        f"{reads}. Choose the segmenter '{fitting[0] if fitting else 'components'}', or train with that task."
    )


@dataclass(frozen=True)
class Affinities:
    """Where in a prediction the affinities are.

    Parameters
    ----------
    offsets
        The offset (z, y, x) of each, direct neighbours first.
    channels
        The channel of each.
    objects
        The channel that says where objects are; None for everywhere.
    """

    offsets: tuple[Triple, ...]
    channels: tuple[int, ...]
    objects: int | None

    @property
    def near(self) -> int:
        """Number of direct neighbours."""
        return sum(map(is_nearest, self.offsets))

    @classmethod
    def named(cls, names: Sequence[str], segmenter: str) -> Affinities:
        """Read the names of channels.

        Raises
        ------
        DataError
            If there are no affinities among them.
        """
        offsets = offsets_of(names)
        if not any(offset and is_nearest(offset) for offset in offsets):
            raise refusal(segmenter, _READS, names)
        return cls._sorted(offsets, names.index(OBJECT) if OBJECT in names else None)

    @classmethod
    def counted(cls, channels: int, offsets: Sequence[Triple], segmenter: str) -> Affinities:
        """Take given offsets, or those of the task's sets that has as many after a channel for objects.

        Raises
        ------
        DataError
            If the number of channels does not fit.
        """
        for chosen in [offsets] if offsets else OFFSETS.values():
            lead = channels - len(chosen)
            if lead == 1 or (lead == 0 and offsets):
                return cls._sorted((None,) * lead + tuple(chosen), 0 if lead else None)
        reads = f"{len(offsets)} offsets as it was told, perhaps after a channel for objects" if offsets else _READS
        raise refusal(segmenter, reads, channels)

    @classmethod
    def _sorted(cls, offsets: Sequence[Triple | None], objects: int | None) -> Affinities:
        found = [(not is_nearest(offset), channel, offset) for channel, offset in enumerate(offsets) if offset]
        found.sort(key=lambda entry: entry[:2])
        return cls(tuple(offset for _, _, offset in found), tuple(channel for _, channel, _ in found), objects)

    def mask(self, prediction: Array, threshold: float) -> Array:
        """Return where objects are, bool ``(Z, Y, X)``."""
        if self.objects is None:
            return np.ones(prediction.shape[1:], bool)
        return np.asarray(prediction[self.objects] > threshold)

    def read(self, prediction: Array) -> Array:
        """Return the affinities ``(len(offsets), Z, Y, X)``, float32, a copy."""
        return prediction[list(self.channels)].astype(np.float32, copy=False)

    def edges(self, prediction: Array) -> Array:
        """Return the affinity of each voxel and the one before it along z, y and x, float32 ``(3, Z, Y, X)``.

        0 along an axis that the prediction says nothing about.
        """
        found = np.zeros((3, *prediction.shape[1:]), np.float32)
        for channel, offset in zip(self.channels[: self.near], self.offsets, strict=False):
            axis = next(axis for axis in range(3) if offset[axis])
            to, source = np.moveaxis(found[axis], axis, 0), np.moveaxis(prediction[channel], axis, 0)
            if offset[axis] < 0:
                to[1:] = source[1:]
            else:
                to[1:] = source[:-1]
        return found

    def boundary(self, prediction: Array) -> Array:
        """Return how likely each voxel is apart from its neighbours, float32 ``(Z, Y, X)``."""
        near = self.channels[: self.near]
        total = np.zeros(prediction.shape[1:], np.float32)
        for channel in near:
            total -= prediction[channel]
        total /= len(near)
        total += 1
        return total


def absorbed(ids: Array, below: int, height: Array, mask: Array) -> Array:
    """Give objects of fewer than `below` voxels to their neighbours, across the lowest height first.

    Those without a neighbour vanish.

    Returns
    -------
    numpy.ndarray
        Ids ``(Z, Y, X)`` uint32, from 1 without gaps.
    """
    import bioimage_cpp.segmentation as bio

    sizes = np.bincount(ids.ravel().astype(np.intp, copy=False))
    kept = sizes >= below
    kept[0] = False
    kept &= sizes > 0
    names = np.zeros(len(sizes), np.uint32)
    names[kept] = np.arange(1, np.count_nonzero(kept) + 1)
    seeds = names[ids]
    if np.array_equal(seeds != 0, ids != 0):
        return seeds
    found: Array = bio.watershed(height, seeds, mask=mask)
    return found
