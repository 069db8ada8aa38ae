"""Objects too large to be held at once: one pass over the blocks that they are in, and what each block gave, on the disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np

from segkit.durable import make_dirs, replace_file
from segkit.execution import Cluster, Failure, run
from segkit.geometry import Box, Lattice, Triple
from segkit.progress import Progress
from segkit.tracing._part import Part, draw_part
from segkit.tracing._survey import Survey
from segkit.volume import Spacing, Volume

__all__ = ["draw_parts", "lattice_for", "load_parts"]

Array = np.ndarray[Any, Any]

_HALO = 4  # a halo is this part of the block
_LEAST = 8  # voxels along an axis of a block
_SHARE = 4  # ids, mask and tracer of a block of this part of the budget take about as much memory as one object of half of it
_WORKERS = 2


def lattice_for(extent: Box, voxel_size: Spacing, budget: int) -> tuple[Lattice, Triple]:
    """Cut a volume in blocks as near to cubes as it allows, and say how much to read around each.

    Parameters
    ----------
    extent
        The volume.
    voxel_size
        Of the volume, ``(z, y, x)``.
    budget
        Voxels of an object that are traced at once; a block with its halo has a quarter of that.
    """
    shape: dict[int, int] = {}
    grown = 1 + 2 / _HALO
    while len(shape) < 3:
        open_axes = [axis for axis in range(3) if axis not in shape]
        room = budget / _SHARE / math.prod(grown * n if n < extent.shape[a] else n for a, n in shape.items())
        edge = (room * math.prod(voxel_size[a] for a in open_axes)) ** (1 / len(open_axes)) / grown
        sizes = {axis: max(_LEAST, int(edge / voxel_size[axis])) for axis in open_axes}
        whole = {axis: extent.shape[axis] for axis, n in sizes.items() if n * grown >= extent.shape[axis]}
        shape |= whole or sizes
    block = cast("Triple", tuple(min(shape[axis], extent.shape[axis]) for axis in range(3)))
    return Lattice(extent, block), cast("Triple", tuple(-(-n // _HALO) for n in block))


def draw_parts(
    volume: Volume,
    found: Survey,
    places: Sequence[int],
    tracer: Any,
    budget: int,
    cell: Triple | None,
    folder: Path,
    progress: Progress,
    *,
    cluster: Cluster | None,
    workers: int | None,
) -> tuple[dict[int, Failure], dict[int, list[int]]]:
    """Draw the parts of some objects in every block, into a folder; what is there stays.

    Parameters
    ----------
    volume, found
        The segmentation, and where its objects are.
    places
        The objects, by their places in `found`.
    tracer, budget
        See `segkit.tracing.trace`.
    cell
        See `segkit.tracing._part.draw_part`.
    folder
        Where to: one file a block.
    progress
        Called with the blocks done and the blocks in all.
    cluster, workers
        See `segkit.execution.run`.

    Returns
    -------
    tuple
        The objects, by place, that have a part which could not be drawn, with the reason; and the blocks in which an object
        has a part, by id.
    """
    make_dirs(folder)
    lattice, halo = lattice_for(volume.box, volume.voxel_size, budget)
    chosen = list(places)
    work = _Blocks(volume, lattice, halo, found.ids[chosen], found.boxes[chosen], tracer, cell)
    wanted = sorted({index for place in chosen for index in lattice.touching(found.box(place))})
    held: dict[int, list[int]] = {}
    todo = []
    for index in wanted:
        ids = _has(_file(folder, index), work.ids[work.near(index)])
        if ids is None:
            todo.append(index)
        for id in ids or ():
            held.setdefault(id, []).append(index)
    failed: dict[int, Failure] = {}
    threads = workers if cluster else min(workers or _WORKERS, _WORKERS)
    done = run(work, todo, cluster=cluster, workers=threads, fatal=())
    for count, (index, parts) in enumerate(done, len(wanted) - len(todo) + 1):
        near = work.near(index)
        if isinstance(parts, Failure):
            failed |= {chosen[at]: parts for at in near.tolist()}
        else:
            _save(_file(folder, index), work.ids[near], parts)
            for id in parts:
                held.setdefault(id, []).append(index)
        progress(count, len(wanted))
    return failed, {id: sorted(blocks) for id, blocks in held.items()}


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Called with the index of a block: the parts of the objects that are in it, by their ids."""

    volume: Volume
    lattice: Lattice
    halo: Triple
    ids: Array
    boxes: Array
    tracer: Any
    cell: Triple | None

    def near(self, index: int) -> Array:
        """Return which of the objects may be in a block."""
        core = self.lattice[index]
        inside = (self.boxes[:, 0] < core.stop).all(axis=1) & (self.boxes[:, 1] > core.start).all(axis=1)
        return np.flatnonzero(inside)

    def __call__(self, index: int) -> dict[int, Part]:
        core = self.lattice[index]
        grown = core.grow(self.halo) & self.volume.box
        seen = Box(core.start, core.grow((1, 1, 1)).stop) & self.volume.box
        assert grown is not None
        assert seen is not None
        ids = self.volume.read(grown).reshape(grown.shape)
        present = set(np.unique(ids[seen.relative_to(grown.start).slices]).tolist())
        parts = {}
        for at in self.near(index):
            id, (start, stop) = int(self.ids[at]), self.boxes[at].tolist()
            if id in present:
                crop = Box(tuple(start), tuple(stop)) & grown
                assert crop is not None
                mask, first = _tight(ids[crop.relative_to(grown.start).slices] == id, crop.start)
                parts[id] = draw_part(self.volume, core, mask, first, self.tracer, self.cell)
        return parts


def _tight(mask: Array, start: Triple) -> tuple[Array, Triple]:
    """Cut away what is empty around a mask, put one voxel of background on every side, and say where it begins then."""
    first, last = [], []
    for axis in range(3):
        filled = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        first.append(int(filled[0]))
        last.append(int(filled[-1]) + 1)
    inner = mask[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    return np.pad(inner, 1), cast("Triple", tuple(s + f - 1 for s, f in zip(start, first, strict=True)))


def _file(folder: Path, index: int) -> Path:
    return folder / f"{index}.npz"


def _has(path: Path, ids: Array) -> list[int] | None:
    """Return the objects with a part in a file, or None if it is not there or knows nothing of some of `ids`."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as kept:
        return kept["held"].tolist() if np.isin(ids, kept["tried"]).all() else None


def _save(path: Path, ids: Array, parts: dict[int, Part]) -> None:
    arrays = {f"{id}.{field.name}": getattr(part, field.name) for id, part in parts.items() for field in fields(Part)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, tried=ids, held=np.array(list(parts), np.uint64), **arrays)

    replace_file(path, write)


def load_parts(folder: Path, blocks: Sequence[int], id: int) -> list[Part]:
    """Load the parts of an object, from the blocks that `draw_parts` says have some."""
    parts = []
    for index in blocks:
        with np.load(_file(folder, index), allow_pickle=False) as kept:
            parts.append(Part(**{field.name: kept[f"{id}.{field.name}"] for field in fields(Part)}))
    return parts
