"""`segment`: a prediction cut into objects, in three passes over blocks that can each be interrupted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from segkit._choice import choose, written_at
from segkit.contracts import Segmenter
from segkit.errors import DataError, UsageError
from segkit.execution import Cluster
from segkit.geometry import Triple
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.segmentation._cutting import Provisional
from segkit.segmentation._in_memory import segment_in_memory
from segkit.segmentation._layout import Layout, cell_shape, whole_chunks
from segkit.segmentation._on_disk import COUNT, Output, segment_on_disk
from segkit.store import choose_blocks
from segkit.volume import Volume

__all__ = ["object_count", "segment"]

_IN_MEMORY = 2**28  # voxels
_QUICK = 2**21  # voxels that are cut at once in memory, where it changes nothing: the processor's cache holds them


def segment(
    prediction: Any,
    segmenter: Segmenter | str = "components",
    path: str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    block_shape: Triple | None = None,
    min_size: int = 0,
    overwrite: bool = False,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Volume:
    """Cut a prediction into objects.

    Blocks are cut one by one, then the objects of neighbouring blocks that are one are found, then all get their final
    ids, and the segmenter finishes what they then are if it does so. The result does not depend on the shape or order of the blocks, on the number of workers, or on where it is
    kept. A segmenter that stitches what touches gives that of the whole volume at once. Any other cuts cells of about
    192^3 voxels with a halo around each, which are a matter of the volume alone and not of how it is stored, and joins
    objects that both sides of a seam agree on; a volume of one cell is cut at once. Memory grows with the size of a
    block or cell and the number of objects, not with the volume.

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
        What is written, and cut where that changes nothing, at once, ``(z, y, x)``, rounded up to whole chunks; None
        takes about 128^3.
    min_size
        Objects of fewer voxels become background, after stitching.
    overwrite
        Whether another segmentation at `path` is replaced.
    cluster
        Where the blocks are worked on: the address of a dask scheduler, ``"local:4"``, a queue (see
        `segkit.execution.ClusterSpec.parse`); None for threads of this process. Only for what is written.
    workers
        Number of threads, or of processes or jobs of a cluster that is started; None takes what the cluster says, and
        up to 4 threads. It changes no voxel.
    progress
        Called with the blocks done and the blocks in all, over all passes.

    Returns
    -------
    Volume
        ``(Z, Y, X)`` uint64: objects are numbered from 1 in the order of their first voxels (z, then y, then x), as
        stitched. Without a `path`, what is kept is the objects of each block, in 2 bytes a voxel where those suffice, and
        a table of final ids, which each reading looks up; ``read()`` gives an array that needs no more looking up, as a
        segmenter that finishes does.

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
    fitted = getattr(cutter, "for_channels", None)
    if fitted is not None:
        cutter = fitted(volume.channel_names)
    if reads := getattr(cutter, "fingerprint", ""):
        identity = f"{identity} {reads}"
    if min_size < 0:
        raise UsageError(f"`min_size` is {min_size}; it takes a number of voxels, 0 to keep all objects.")
    cell = _cell(volume, cutter)
    threads = 1 if cluster is not None else workers or max(1, min(4, os.cpu_count() or 1))
    if path is None:
        if volume.box.size > _IN_MEMORY:
            raise UsageError(
                f"{volume.source} has {volume.spatial_shape} voxels (z, y, x), too many to segment in memory. Give a path "
                "for the segmentation."
            )
        layout = Layout.of(volume.box, cell or block_shape or _whole_rows(volume.spatial_shape), cutter.halo)
        return segment_in_memory(Provisional(volume, cutter, layout, threads), min_size, progress)
    block, chunk = _blocks(volume, block_shape)
    layout = Layout.of(volume.box, cell or block, cutter.halo)
    lead = {"segmenter": identity, "prediction": volume.source, "written": written_at(volume)}
    plan = {**lead, "prediction_shape": list(volume.shape), "cut": list(layout.lattice.block_shape)}
    output = Output(Path(path), block, chunk, plan, overwrite, cluster, workers)
    return segment_on_disk(Provisional(volume, cutter, layout, threads), output, min_size, progress)


def object_count(path: str | Path) -> int:
    """Return how many objects `segment` found in what it wrote at `path`, without reading a voxel.

    Raises
    ------
    DataError
        If it was not written by `segment`.
    """
    try:
        return int(json.loads((Path(path) / COUNT).read_bytes())["objects"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} was not written by 'segkit segment', so the number of its objects is not known."
        ) from error


def _cell(volume: Volume, segmenter: Segmenter) -> Triple | None:
    """Return what must be cut at once for a result that does not depend on blocks; None where it cannot."""
    if segmenter.stitching == "touching" and not any(segmenter.halo):
        return None
    return cell_shape(volume.spatial_shape, volume.voxel_size, getattr(segmenter, "cell_voxels", None))


def _whole_rows(shape: Triple) -> Triple:
    """Return blocks that are quickly cut in memory: of whole rows, which are copied much faster than parts of them."""
    x = min(shape[2], _QUICK)
    z = min(shape[0], max(1, math.isqrt(_QUICK // x)))
    return z, min(shape[1], max(1, _QUICK // (z * x))), x


def _blocks(volume: Volume, block_shape: Triple | None) -> tuple[Triple, Triple]:
    """Return the shapes of a block and of a chunk of a segmentation on disk."""
    if block_shape is None:
        spatial = volume.with_array(
            np.broadcast_to(np.uint64(0), volume.spatial_shape), "zyx", chunks=volume.chunks and volume.chunks[-3:]
        )
        block_shape, _ = choose_blocks(spatial, None, None)
    return whole_chunks(
        cast("Triple", tuple(min(b, n) for b, n in zip(block_shape, volume.spatial_shape, strict=True)))
    )
