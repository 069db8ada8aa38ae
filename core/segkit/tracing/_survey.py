"""Where each object lies and how many voxels it has: one pass over a segmentation, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from segkit.durable import replace_file
from segkit.errors import DataError, IncompleteError, SegkitError
from segkit.execution import Cluster, Failure, run
from segkit.geometry import Box, Lattice, Triple
from segkit.progress import Progress, silent
from segkit.volume import Volume

__all__ = ["Survey", "check_segmentation", "survey"]

Array = np.ndarray[Any, Any]

_KEPT_EVERY = 30.0  # seconds


@dataclass(frozen=True, eq=False)
class Survey:
    """The objects of a segmentation; its size grows with their number, not with that of the voxels.

    Parameters
    ----------
    ids
        Ids ``(N,)`` in ascending order, uint64, without the background.
    voxels
        Number of voxels ``(N,)`` of each.
    boxes
        First and one past the last voxel of each, ``(N, 2, 3)``, ``(z, y, x)``.
    """

    ids: Array
    voxels: Array
    boxes: Array

    @classmethod
    def empty(cls) -> Survey:
        """Return a survey of nothing."""
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros((0, 2, 3), np.int64))

    def box(self, place: int) -> Box:
        """Return the bounding box of the object at `place`."""
        start, stop = self.boxes[place].tolist()
        return Box(tuple(start), tuple(stop))

    @classmethod
    def joined(cls, parts: list[Survey]) -> Survey:
        """Return one survey of several, which may hold parts of the same objects."""
        ids = np.concatenate([part.ids for part in parts])
        if not len(ids):
            return cls.empty()
        order = np.argsort(ids, kind="stable")
        unique, begin = np.unique(ids[order], return_index=True)
        boxes = np.concatenate([part.boxes for part in parts])[order]
        voxels = np.concatenate([part.voxels for part in parts])[order]
        ends = [np.minimum.reduceat(boxes[:, 0], begin), np.maximum.reduceat(boxes[:, 1], begin)]
        return cls(unique, np.add.reduceat(voxels, begin), np.stack(ends, 1))


def _of_block(labels: Array, start: Triple) -> Survey:
    import cc3d
    import fastremap

    local, names = fastremap.renumber(np.ascontiguousarray(labels), preserve_zero=True)
    found = cc3d.statistics(local, no_slice_conversion=True)
    ids = np.zeros(len(found["voxel_counts"]), np.uint64)
    for name, number in names.items():
        ids[number] = name
    kept = np.flatnonzero((found["voxel_counts"] > 0) & (ids != 0))
    # cc3d gives z0, z1, y0, y1, x0, x1 with the last voxel included.
    boxes = found["bounding_boxes"][kept].astype(np.int64).reshape(-1, 3, 2).transpose(0, 2, 1)
    boxes += np.asarray(start)
    boxes[:, 1] += 1
    order = np.argsort(ids[kept])
    return Survey(ids[kept][order], found["voxel_counts"][kept].astype(np.int64)[order], boxes[order])


def check_segmentation(segmentation: Volume) -> None:
    """Refuse what is no segmentation, from its metadata alone.

    Raises
    ------
    DataError
        If it has channels, or voxels that are not integers.
    """
    if segmentation.dtype.kind not in "uib" or segmentation.channels != 1:
        raise DataError(
            f"{segmentation.source} holds {segmentation.dtype} with {segmentation.channels} channels, which is no segmentation: "
            "that has one channel of integer ids. Cut a prediction with 'segkit segment' first."
        )


@dataclass(frozen=True)
class _Blocks:
    """Called with the index of a block: the objects in it."""

    segmentation: Volume
    lattice: Lattice

    def __call__(self, index: int) -> Survey:
        box = self.lattice[index]
        labels = self.segmentation.read(box).reshape(box.shape)
        if labels.dtype.kind == "i" and labels.min() < 0:
            raise DataError(
                f"{self.segmentation.source} has negative ids in {box}. Ids are 0 for background and above 0 for objects."
            )
        return _of_block(labels.astype(np.uint8) if labels.dtype == bool else labels, box.start)


def survey(
    segmentation: Volume,
    block_shape: Triple,
    kept: Path | None = None,
    progress: Progress = silent,
    *,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
) -> Survey:
    """Find every object of a segmentation.

    Parameters
    ----------
    segmentation
        Integer ids ``(z, y, x)``.
    block_shape
        Voxels (z, y, x) read at once.
    kept
        Where to keep the state now and then, so that an interrupted survey goes on; None for nowhere.
    progress
        Called with the blocks done and the blocks in all, before each block.
    cluster, workers
        See `segkit.execution.run`.

    Raises
    ------
    DataError
        If the volume is damaged, or has negative ids.
    IncompleteError
        If a block cannot be surveyed at all.
    """
    lattice = Lattice(segmentation.box, block_shape)
    done, total = _load(kept)
    parts, saved, pause = [total], monotonic(), _KEPT_EVERY
    work = run(
        _Blocks(segmentation, lattice),
        range(done, len(lattice)),
        cluster=cluster,
        workers=workers,
        ordered=True,  # so that one number says what is done
        fatal=(SegkitError, MemoryError),
    )
    if done < len(lattice):
        progress(done, len(lattice))
    for index, found in work:
        if isinstance(found, Failure):
            raise IncompleteError(
                f"The objects of {segmentation.source} in {lattice[index]} could not be listed: {found.reason}. What was listed "
                "is kept where there is a folder for traces; run the same again."
            )
        parts.append(found)
        last = index + 1 == len(lattice)
        if not last:
            progress(index + 1, len(lattice))
        if len(parts) > 64 or last:
            parts = [Survey.joined(parts)]
        if kept is not None and (last or monotonic() - saved > pause):
            began = monotonic()
            parts = [Survey.joined(parts)]
            _save(kept, index + 1, parts[0])
            saved = monotonic()
            pause = max(_KEPT_EVERY, 20 * (saved - began))
    return parts[0]


def _save(path: Path, done: int, total: Survey) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, done=np.int64(done), ids=total.ids, voxels=total.voxels, boxes=total.boxes)

    replace_file(path, write)


def _load(path: Path | None) -> tuple[int, Survey]:
    if path is None or not path.exists():
        return 0, Survey.empty()
    with np.load(path, allow_pickle=False) as kept:
        return int(kept["done"]), Survey(kept["ids"], kept["voxels"], kept["boxes"])
