"""The first pass as an array: asking for voxels of it cuts the blocks they belong to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from segkit.contracts import Segmenter
from segkit.errors import PluginError
from segkit.geometry import Box
from segkit.segmentation._layout import Layout
from segkit.volume import Volume

__all__ = ["Provisional", "box_of"]

Array = np.ndarray[Any, Any]
R = TypeVar("R")


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
    threads
        How many blocks are cut at once where many are asked for.
    """

    prediction: Volume
    segmenter: Segmenter
    layout: Layout
    threads: int = 1

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
                cut = self._cut(self.prediction.read(seen), seen)
                out[part.relative_to(box.start).slices] = cut[part.relative_to(place.start).slices]
        return out

    def read_blocks(self, boxes: Iterable[Box]) -> Iterator[Array]:
        """Yield what is in many regions, in order; where they are slots, several are cut at once."""
        chosen = list(boxes)
        touched = [list(self.layout.slots.touching(box)) for box in chosen]
        if any(len(indices) != 1 for indices in touched):
            yield from (self[box.slices] for box in chosen)
            return
        for box, (index,), cut in zip(
            chosen, touched, self.cuts([i for (i,) in touched], lambda _, cut: cut), strict=True
        ):
            place = self.layout.place(index, self.layout.seen(index))
            part = place & box
            if part == box == place:
                yield cut.astype(np.uint32, copy=False)
                continue
            out = np.zeros(box.shape, np.uint32)
            if part is not None:
                out[part.relative_to(box.start).slices] = cut[part.relative_to(place.start).slices]
            yield out

    def cuts(self, indices: Sequence[int], then: Callable[[int, Array], R]) -> Iterator[R]:
        """Yield what `then` makes of a block and the objects in what it sees, in order; several are cut at once."""
        seen = [self.layout.seen(index) for index in indices]
        voxels = self.prediction.read_blocks(seen)

        def work(index: int, box: Box, prediction: Array) -> R:
            return then(index, self._cut(prediction, box))

        waiting: deque[Future[R]] = deque()
        broken: Exception | None = None
        with ThreadPoolExecutor(self.threads, "segkit-cut") as pool:
            for index, box in zip(indices, seen, strict=True):
                try:
                    waiting.append(pool.submit(work, index, box, next(voxels)))
                except Exception as error:  # what was read before it is still cut, and yielded
                    broken = error
                    break
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        if broken is not None:
            raise broken

    def _cut(self, prediction: Array, box: Box) -> Array:
        """Return the objects of one region, counted from 1: unsigned, of at most 32 bits."""
        voxels = prediction.reshape(-1, *box.shape)
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
        return ids if ids.dtype in (np.uint16, np.uint32) else ids.astype(np.uint32)
