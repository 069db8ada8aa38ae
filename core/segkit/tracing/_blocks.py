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
) -> dict[int, Failure]:
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
    dict
        The objects that have a part which could not be drawn, with the reason.
    """
    make_dirs(folder)
    lattice, halo = lattice_for(volume.box, volume.voxel_size, budget)
    wanted: dict[int, list[int]] = {}
    for place in places:
        for index in lattice.touching(found.box(place)):
            wanted.setdefault(index, []).append(place)
    todo = {i: some for i, some in wanted.items() if not set(found.ids[some].tolist()) <= _tried(_file(folder, i))}
    # The neighbours of a block that is read are best read next.
    work = _Blocks(
        volume, lattice, halo, {i: [(int(found.ids[p]), found.box(p)) for p in todo[i]] for i in todo}, tracer, cell
    )
    failed: dict[int, Failure] = {}
    done = run(
        work,
        sorted(todo),
        cluster=cluster,
        workers=workers if cluster else min(workers or _WORKERS, _WORKERS),
        fatal=(),
    )
    for count, (index, parts) in enumerate(done, len(wanted) - len(todo) + 1):
        if isinstance(parts, Failure):
            failed |= dict.fromkeys(todo[index], parts)
        else:
            _save(_file(folder, index), found.ids[todo[index]], parts)
        progress(count, len(wanted))
    return failed


@dataclass(frozen=True)
class _Blocks:
    """Called with the index of a block: the parts of the objects that are in it, by their ids."""

    volume: Volume
    lattice: Lattice
    halo: Triple
    objects: dict[int, list[tuple[int, Box]]]
    tracer: Any
    cell: Triple | None

    def __call__(self, index: int) -> dict[int, Part]:
        core = self.lattice[index]
        grown = core.grow(self.halo) & self.volume.box
        seen = Box(core.start, core.grow((1, 1, 1)).stop) & self.volume.box
        assert grown is not None
        assert seen is not None
        ids = self.volume.read(grown).reshape(grown.shape)
        present = set(np.unique(ids[seen.relative_to(grown.start).slices]).tolist())
        parts = {}
        for id, box in self.objects[index]:
            if id in present:
                # A box may end before the layer that it shares with the next block, which is empty then.
                crop = box & grown
                assert crop is not None
                mask, start = _tight(ids[crop.relative_to(grown.start).slices] == id, crop.start)
                parts[id] = draw_part(self.volume, core, mask, start, self.tracer, self.cell)
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


def _tried(path: Path) -> set[int]:
    if not path.exists():
        return set()
    with np.load(path, allow_pickle=False) as kept:
        return set(kept["tried"].tolist())


def _save(path: Path, ids: Array, parts: dict[int, Part]) -> None:
    arrays = {f"{id}.{field.name}": getattr(part, field.name) for id, part in parts.items() for field in fields(Part)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, tried=ids, **arrays)

    replace_file(path, write)


def load_parts(folder: Path, volume: Volume, id: int, box: Box, budget: int) -> list[Part]:
    """Load the parts of an object from where `draw_parts` put them.

    Parameters
    ----------
    folder, volume, budget
        As for `draw_parts`.
    id, box
        The object, and its bounding box.
    """
    parts = []
    for index in lattice_for(volume.box, volume.voxel_size, budget)[0].touching(box):
        with np.load(_file(folder, index), allow_pickle=False) as kept:
            if f"{id}.nodes" in kept:
                parts.append(Part(**{field.name: kept[f"{id}.{field.name}"] for field in fields(Part)}))
    return parts
