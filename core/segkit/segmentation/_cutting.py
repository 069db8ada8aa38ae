"""The first pass as an array: asking for voxels of it cuts the blocks they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.contracts import Segmenter
from segkit.errors import PluginError
from segkit.geometry import Box
from segkit.segmentation._layout import Layout
from segkit.volume import Volume

__all__ = ["Provisional", "box_of"]

Array = np.ndarray[Any, Any]


def box_of(key: tuple[slice, ...], shape: tuple[int, ...]) -> Box:
    """Return the region that three slices of step 1 cut out of an array of `shape`."""
    ends = [part.indices(length) for part, length in zip(key, shape, strict=True)]
    return Box.of_shape([max(0, stop - start) for start, stop, _ in ends], [start for start, _, _ in ends])


@dataclass(frozen=True, eq=False)
class Provisional:
    """Objects of each block by themselves, ``(Z, Y, X)`` uint32, in the slots of a `Layout`.

    Parameters
    ----------
    prediction
        What is cut.
    segmenter
        What cuts it.
    layout
        The blocks.
    """

    prediction: Volume
    segmenter: Segmenter
    layout: Layout

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of all slots."""
        return self.layout.slots.extent.shape

    @property
    def dtype(self) -> Any:
        """Ids are distinct within a block, which never holds 2**32 objects."""
        return np.dtype(np.uint32)

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        box = box_of(key, self.shape)
        out = np.zeros(box.shape, np.uint32)
        for index in self.layout.slots.touching(box):
            seen = self.layout.seen(index)
            place = self.layout.place(index, seen)
            part = place & box
            if part is not None:
                cut = self.cut(seen)
                out[part.relative_to(box.start).slices] = cut[part.relative_to(place.start).slices]
        return out

    def cut(self, box: Box) -> Array:
        """Return the objects of one region, counted from 1."""
        voxels = self.prediction.read(box).reshape(-1, *box.shape)
        ids = np.asarray(self.segmenter(voxels, self.prediction.voxel_size))
        if ids.shape != box.shape or ids.dtype.kind not in "ui":
            raise PluginError(
                f"The segmenter {self.segmenter!r} made {ids.dtype} of shape {ids.shape} of a prediction of shape "
                f"{voxels.shape}, where integer ids of shape {box.shape} are due. Report this to its authors."
            )
        if ids.dtype.itemsize > 4 or ids.dtype.kind == "i":
            import fastremap

            if ids.size and (int(ids.max()) > box.size or int(ids.min()) < 0):
                ids, _ = fastremap.renumber(ids, preserve_zero=True)
        return ids.astype(np.uint32, copy=False)
