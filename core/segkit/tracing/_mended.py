"""From a log of edits to a segmentation in which they hold: ids are looked up in a table, objects that were cut are divided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import UsageError
from segkit.execution import Cluster
from segkit.geometry import Box
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.tracing._edits import EDITS, EditLog, replay
from segkit.tracing._survey import check_segmentation
from segkit.tracing._swc import read_swc
from segkit.tracing._trace import Trace
from segkit.volume import Volume
from segkit.writing import write_volume

__all__ = ["apply_edits"]

Array = np.ndarray[Any, Any]


def apply_edits(
    segmentation: Any,
    traces: str | Path,
    path: str | Path,
    *,
    overwrite: bool = False,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Volume:
    """Write a segmentation again, with the merges and splits that were made in its traces.

    It goes block by block, so memory does not depend on the size of the volume; run again to continue what was interrupted.
    Merged objects get one id, exactly. An object whose trace was cut is divided among the parts of the trace: a voxel goes to
    the part whose node is nearest. That is right where the parts are as long as they are thick, and only near the truth where
    two thick objects touch; look at the cut. Objects that nobody edited stay as they are, voxel by voxel.

    Parameters
    ----------
    segmentation
        Integer ids ``(z, y, x)``, or anything that `segkit.open_volume` takes: what the traces were drawn of.
    traces
        The folder of traces, with ``edits.jsonl`` in it.
    path
        The folder of the output, by custom with a name in ``.zarr``.
    overwrite, cluster, workers, progress
        See `segkit.write_volume`.

    Returns
    -------
    Volume
        The output, uint64.

    Raises
    ------
    UsageError
        If there are no edits.
    DataError
        If a trace that was edited is not there, or is in another unit than the segmentation.
    OutputExistsError
        If there is something at `path` already.
    """
    volume, folder = open_volume(segmentation), Path(traces)
    check_segmentation(volume)
    edits = EditLog(folder).edits
    if not edits:
        raise UsageError(f"There are no edits in {folder / EDITS}. Merge or split traces first.")

    def trace_of(id: int) -> Trace | None:
        file = folder / f"{id}.swc"
        return read_swc(file)[0] if file.exists() else None

    pieces = [piece for piece in replay(edits, trace_of).values() if piece is not None]
    for piece in pieces:
        if piece.trace.unit != volume.unit:
            raise UsageError(
                f"The traces in {folder} are in {piece.trace.unit}, and {volume.source} is in {volume.unit}. Open it with its "
                "'voxel_size', in nm, as when it was traced."
            )
    nodes = np.concatenate([piece.trace.nodes for piece in pieces])
    origin = np.concatenate([piece.origin for piece in pieces])
    owner = np.repeat(
        np.array([piece.trace.id for piece in pieces], np.uint64), [len(piece.origin) for piece in pieces]
    )
    mended = Mended(volume, *_divided(nodes, origin, owner))
    text = json.dumps([[edit.kind, edit.ids, edit.at, edit.beyond] for edit in edits])
    plan = {"edits": blake2b(text.encode(), digest_size=16).hexdigest(), "source": volume.source}
    return write_volume(
        volume.with_array(mended, "zyx", chunks=volume.chunks and volume.chunks[-3:]),
        path,
        labels=True,
        plan=plan,
        overwrite=overwrite,
        cluster=cluster,
        workers=workers,
        progress=progress,
    )


def _divided(nodes: Array, origin: Array, owner: Array) -> tuple[Array, Array, dict[int, tuple[Array, Array]]]:
    """Return old ids, sorted, the new id of each that has one, and of the others the nodes and the new id of each."""
    olds, firsts = np.unique(origin, return_index=True)
    news, parts = owner[firsts].copy(), {}
    for place, old in enumerate(olds.tolist()):
        here = origin == old
        if (owner[here] != news[place]).any():
            parts[old] = (nodes[here], owner[here])
    return olds, news, parts


@dataclass(frozen=True, eq=False)
class Mended:
    """A segmentation ``(Z, Y, X)``, uint64, under other ids; asking for voxels computes them.

    Parameters
    ----------
    volume
        The segmentation as it is.
    olds, news
        Ids that change, sorted, and what becomes of them.
    parts
        Of each object that is divided, the nodes ``(V, 3)`` in the unit of the volume and the new id of each.
    """

    volume: Volume
    olds: Array
    news: Array
    parts: Mapping[int, tuple[Array, Array]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of the volume."""
        return self.volume.spatial_shape

    @property
    def dtype(self) -> Any:
        """Type of an id."""
        return np.dtype(np.uint64)

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        from scipy.spatial import cKDTree

        ends = [part.indices(length) for part, length in zip(key, self.shape, strict=True)]
        box = Box.of_shape([max(0, stop - start) for start, stop, _ in ends], [start for start, _, _ in ends])
        ids = self.volume.read(box).reshape(box.shape).astype(np.uint64)
        at = np.minimum(np.searchsorted(self.olds, ids), len(self.olds) - 1)
        named: Array = np.where(self.olds[at] == ids, self.news[at], ids)
        for old, (nodes, owner) in self.parts.items():
            here = np.argwhere(ids == np.uint64(old))
            if len(here):
                places = (here + box.start) * np.array(self.volume.voxel_size) + np.array(self.volume.offset)
                named[tuple(here.T)] = owner[cKDTree(nodes).query(places)[1]]
        return named
