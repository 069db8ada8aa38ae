"""`segment`: a prediction cut into objects, in three passes over blocks that can each be interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import Any, cast

import numpy as np

from segkit import durable
from segkit._choice import choose, written_at
from segkit.contracts import Segmenter
from segkit.errors import DataError, UsageError
from segkit.geometry import Triple
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.segmentation._cutting import Provisional
from segkit.segmentation._layout import Layout, whole_chunks
from segkit.segmentation._merging import Found, Names, Relabelled
from segkit.segmentation._seams import contents, overlapping, touching
from segkit.store import choose_blocks
from segkit.volume import Volume
from segkit.writing import write_volume

__all__ = ["object_count", "segment"]

_IN_MEMORY = 2**28  # voxels
_KEPT_EVERY = 30.0  # seconds
_COUNT = Path(".segkit", "objects.json")


def segment(
    prediction: Any,
    segmenter: Segmenter | str = "components",
    path: str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    block_shape: Triple | None = None,
    min_size: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Volume:
    """Cut a prediction into objects.

    Blocks are cut one by one, then the objects of neighbouring blocks that are one are found, then all get their final
    ids. With a segmenter that stitches what touches, the result is that of the whole volume at once, whatever the
    blocks; one that compares overlaps may differ near the faces between blocks. Memory grows with the size of a block
    and the number of objects, not with the volume.

    Parameters
    ----------
    prediction
        ``(K, Z, Y, X)`` or ``(Z, Y, X)``, or anything that `segkit.open_volume` takes.
    segmenter
        Name of a segmenter, or one.
    path
        Where to write the segmentation as OME-Zarr; run again, it continues what was interrupted. None keeps it in
        memory, which is refused above 2**28 voxels.
    options
        Options of a segmenter that is named; None for its defaults.
    block_shape
        What is cut at once, ``(z, y, x)``, without the halo, rounded up to whole chunks; None takes about 128^3, and in
        memory the whole volume.
    min_size
        Objects of fewer voxels become background, after stitching.
    overwrite
        Whether another segmentation at `path` is replaced.
    progress
        Called with the blocks done and the blocks in all, over all passes.

    Returns
    -------
    Volume
        ``(Z, Y, X)`` uint64: objects are numbered from 1 in the order of their first voxels (z, then y, then x).

    Raises
    ------
    DataError
        If the prediction is broken, or is not what the segmenter reads.
    OutputExistsError
        If there is something else at `path`.
    IncompleteError
        If some blocks failed three times; the others are written.
    UsageError
        If the volume is too large for memory and there is no `path`.

    Examples
    --------
    >>> import numpy as np, segkit
    >>> foreground = np.zeros((4, 8, 8), np.float32)
    >>> foreground[:, 1:3, 1:3] = foreground[:, 5:7, 5:7] = 1
    >>> int(segkit.segment(foreground, "components").read().max())
    2
    """
    volume = open_volume(prediction)
    cutter, identity = choose("segmenters", segmenter, options)
    if min_size < 0:
        raise UsageError(f"`min_size` is {min_size}; it takes a number of voxels, 0 to keep all objects.")
    if path is None:
        if volume.box.size > _IN_MEMORY:
            raise UsageError(
                f"{volume.source} has {volume.spatial_shape} voxels (z, y, x), too many to segment in memory. Give a path "
                "for the segmentation."
            )
        layout = Layout.of(volume.box, block_shape or volume.spatial_shape, cutter.halo)
        return _in_memory(Provisional(volume, cutter, layout), min_size, progress)
    layout, chunk = _blocks(volume, cutter, block_shape)
    lead = {"segmenter": identity, "prediction": volume.source, "written": written_at(volume)}
    plan = {**lead, "prediction_shape": list(volume.shape), "block": list(layout.lattice.block_shape)}
    return _written(Provisional(volume, cutter, layout), Path(path), plan, chunk, min_size, overwrite, progress)


def object_count(path: str | Path) -> int:
    """Return how many objects `segment` found in what it wrote at `path`, without reading a voxel.

    Raises
    ------
    DataError
        If it was not written by `segment`.
    """
    try:
        return int(json.loads((Path(path) / _COUNT).read_bytes())["objects"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} was not written by 'segkit segment', so the number of its objects is not known."
        ) from error


def _blocks(volume: Volume, segmenter: Segmenter, block_shape: Triple | None) -> tuple[Layout, Triple]:
    """Return the layout for a segmentation on disk, and the shape of its chunks."""
    if block_shape is None:
        spatial = volume.with_array(
            np.broadcast_to(np.uint64(0), volume.spatial_shape), "zyx", chunks=volume.chunks and volume.chunks[-3:]
        )
        block_shape, _ = choose_blocks(spatial, None, None)
    block, chunk = whole_chunks(
        cast("Triple", tuple(min(b, n) for b, n in zip(block_shape, volume.spatial_shape, strict=True)))
    )
    return Layout.of(volume.box, block, segmenter.halo), chunk


def _in_memory(provisional: Provisional, min_size: int, progress: Progress) -> Volume:
    """Cut, stitch and rename in arrays."""
    layout, volume = provisional.layout, provisional.prediction
    count = len(layout.lattice)
    progress(0, 3 * count)
    if count == 1:
        kept = provisional.cut(volume.box)
    else:
        kept = np.zeros(provisional.shape, np.uint32)
        for index in range(count):
            progress(index, 3 * count)
            seen = layout.seen(index)
            kept[layout.place(index, seen).slices] = provisional.cut(seen)
    store, found = Volume(kept), Found()
    _stitch(provisional, store, found, lambda: progress(count + found.blocks, 3 * count))
    relabelled = Relabelled(layout, store, Names.of(found, min_size))
    ids = np.empty(volume.spatial_shape, np.uint64)
    for index, box in enumerate(layout.lattice):
        progress(2 * count + index, 3 * count)
        ids[box.slices] = relabelled[box.slices]
    progress(3 * count, 3 * count)
    return volume.with_array(ids, "zyx")


def _stitch(provisional: Provisional, store: Volume, found: Found, tell: Any) -> None:
    """Look at all blocks that have not been looked at yet."""
    layout, segmenter = provisional.layout, provisional.segmenter
    for index in range(found.blocks, len(layout.lattice)):
        tell()
        cut = store.read(layout.place(index, layout.seen(index)))
        if segmenter.stitching == "touching":
            pairs = touching(layout, index, store, getattr(segmenter, "connectivity", 6))
        else:
            pairs = overlapping(layout, index, cut, store)
        found.add(*contents(layout, index, cut), pairs)


class _Probed(Exception):
    """The output is begun and not complete."""


def _written(
    provisional: Provisional,
    path: Path,
    plan: Mapping[str, Any],
    chunk: Triple,
    min_size: int,
    overwrite: bool,
    progress: Progress,
) -> Volume:
    """Cut, stitch and rename through a store of provisional objects inside the output, which goes at the end."""
    layout, volume = provisional.layout, provisional.prediction
    halo = [int(h) for h in layout.halo]
    names = Names(np.zeros(0, np.uint64), np.zeros(0, np.uint64), 0)
    write = partial(
        write_volume,
        path=path,
        block_shape=layout.lattice.block_shape,
        chunk_shape=chunk,
        labels=True,
        plan={**plan, "min_size": min_size, "halo": halo},
    )
    final = 0

    def stop(done: int, total: int) -> None:
        nonlocal final
        final = total
        raise _Probed

    empty = volume.with_array(Relabelled(layout, Volume(provisional), names), "zyx")
    try:
        # Nothing is cut before it is sure that the output may be written, and is not there already.
        return write(empty, overwrite=overwrite, progress=stop)
    except _Probed:
        pass
    work = path / ".segkit" / f"objects-{blake2b(repr(sorted(plan.items())).encode(), digest_size=8).hexdigest()}"
    with durable.lock(path / ".segkit" / "objects.lock", str(path)):
        for stale in work.parent.glob("objects-*"):
            if stale != work:
                durable.remove(stale)
        durable.make_dirs(work)
        count = len(layout.lattice)
        total = 2 * count + final
        store = write_volume(
            Volume(provisional, source=volume.source),
            work / "provisional.zarr",
            block_shape=layout.slot_shape,
            chunk_shape=layout.slot_chunk,
            pyramid=1,
            labels=True,
            plan=dict(plan),
            progress=lambda done, _: progress(done, total),
        )
        found = Found.load(work / "found.npz")
        saved, pause = monotonic(), _KEPT_EVERY

        def tell() -> None:
            nonlocal saved, pause
            progress(count + found.blocks, total)
            if monotonic() - saved > pause:
                began = monotonic()
                found.save(work / "found.npz")
                saved = monotonic()
                pause = max(_KEPT_EVERY, 20 * (saved - began))  # it grows with the objects found

        _stitch(provisional, store, found, tell)
        found.save(work / "found.npz")
        names = Names.of(found, min_size)
        durable.replace_file(path / _COUNT, json.dumps({"objects": names.count}).encode())
        relabelled = volume.with_array(Relabelled(layout, store, names), "zyx")
        written = write(relabelled, progress=lambda done, _: progress(2 * count + done, total))
        durable.remove(work)
    return written
