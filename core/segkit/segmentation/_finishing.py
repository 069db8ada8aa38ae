"""The last look at what was stitched, by segmenters that ask for one: in any blocks, each with a halo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from segkit.contracts import Segmenter
from segkit.errors import PluginError
from segkit.geometry import Box, Lattice, Triple
from segkit.segmentation._cutting import box_of
from segkit.segmentation._merging import Relabelled
from segkit.volume import Volume

__all__ = ["Finished", "finished"]

Array = np.ndarray[Any, Any]

_SIDE = 128  # voxels of a block in memory


def finished(stitched: Relabelled, prediction: Volume, segmenter: Segmenter) -> Finished | Relabelled:
    """Return what a segmenter makes of what was stitched, if it finishes at all."""
    halo: Triple | None = getattr(segmenter, "finish_halo", None)
    return stitched if halo is None else Finished(stitched, prediction, segmenter, halo)


@dataclass(frozen=True, eq=False)
class Finished:
    """The segmentation, ``(Z, Y, X)`` uint64, as its segmenter finishes it: asking for voxels computes them.

    Parameters
    ----------
    stitched
        Objects under their final ids.
    prediction
        What they were cut from.
    segmenter
        What finishes them.
    halo
        Its `finish_halo`.
    """

    stitched: Relabelled
    prediction: Volume
    segmenter: Segmenter
    halo: Triple

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of the volume."""
        return self.stitched.shape

    @property
    def dtype(self) -> Any:
        """Type of an id."""
        return self.stitched.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        box = box_of(key, self.shape)
        seen = box.grow(self.halo) & Box.of_shape(self.shape)
        if seen is None:
            return np.zeros(box.shape, np.uint64)
        voxels = self.prediction.read(seen).reshape(-1, *seen.shape)
        finish: Any = self.segmenter
        ids = np.asarray(finish.finish(self.stitched[seen.slices], voxels, self.prediction.voxel_size))
        if ids.shape != seen.shape or ids.dtype != self.dtype:
            raise PluginError(
                f"The segmenter {self.segmenter!r} finished {self.dtype} ids of shape {seen.shape} as {ids.dtype} of shape "
                f"{ids.shape}, where the same type and shape are due. Report this to its authors."
            )
        part: Array = ids[box.relative_to(seen.start).slices]
        return part

    def computed(self, threads: int) -> Array:
        """Return all of it as an array, computed block by block, several at once."""
        whole = np.zeros(self.shape, np.uint64)
        blocks = Lattice(Box.of_shape(self.shape), cast("Triple", tuple(max(1, min(_SIDE, n)) for n in self.shape)))

        def fill(box: Box) -> None:
            whole[box.slices] = self[box.slices]

        with ThreadPoolExecutor(threads, "segkit-finish") as pool:
            for _ in pool.map(fill, blocks):
                pass
        return whole
