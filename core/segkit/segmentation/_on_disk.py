"""Segmenting into a store, which continues where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from segkit import durable
from segkit.execution import Cluster, connected
from segkit.geometry import Triple
from segkit.progress import Progress
from segkit.segmentation._cutting import Provisional
from segkit.segmentation._finishing import finished
from segkit.segmentation._merging import Found, Names, Relabelled
from segkit.segmentation._seams import Look, Stored
from segkit.segmentation._stitching import in_order
from segkit.volume import Volume
from segkit.writing import write_volume

__all__ = ["COUNT", "Output", "segment_on_disk"]

COUNT = Path(".segkit", "objects.json")
_KEPT_EVERY = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Output:
    """Where a segmentation is written, how, and who works on it.

    Parameters
    ----------
    path
        The store.
    block_shape, chunk_shape
        See `segkit.write_volume`.
    plan
        What makes the provisional objects what they are.
    overwrite, cluster, workers
        See `segkit.segment`.
    """

    path: Path
    block_shape: Triple
    chunk_shape: Triple
    plan: Mapping[str, Any]
    overwrite: bool
    cluster: Cluster | str | None
    workers: int | None

    @property
    def work(self) -> Path:
        """The folder of the provisional objects."""
        name = blake2b(repr(sorted(self.plan.items())).encode(), digest_size=8).hexdigest()
        return self.path / ".segkit" / f"objects-{name}"


class _Probed(Exception):
    """The output is begun and not complete."""


def segment_on_disk(provisional: Provisional, output: Output, min_size: int, progress: Progress) -> Volume:
    """Cut, stitch and rename through a store of provisional objects inside the output, which goes at the end."""
    layout, volume, work = provisional.layout, provisional.prediction, output.work
    write = partial(
        write_volume,
        path=output.path,
        block_shape=output.block_shape,
        chunk_shape=output.chunk_shape,
        labels=True,
        plan={**output.plan, "min_size": min_size, "halo": [int(h) for h in layout.halo]},
    )
    final = 0

    def stop(done: int, total: int) -> None:
        nonlocal final
        final = total
        raise _Probed

    none = Names(np.zeros(0, np.uint64), np.zeros(0, np.uint64), 0)
    empty = volume.with_array(Relabelled(layout, Stored(layout, Volume(provisional)), none), "zyx")
    try:
        # Nothing is cut before it is sure that the output may be written, and is not there already.
        return write(empty, overwrite=output.overwrite, progress=stop)
    except _Probed:
        pass
    with (
        durable.lock(output.path / ".segkit" / "objects.lock", str(output.path)),
        connected(output.cluster, output.workers) as cluster,
    ):
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
            plan=dict(output.plan),
            cluster=cluster,
            workers=output.workers,
            progress=lambda done, _: progress(done, total),
        )
        stored = Stored(layout, store)
        found = Found.load(work / "found.npz")
        saved, pause = monotonic(), _KEPT_EVERY

        look = Look.of(layout, stored, provisional.segmenter)
        left = range(found.blocks, count)
        for seen in in_order(look, left, layout, cluster=cluster, workers=output.workers):
            found.add(*seen)
            progress(count + found.blocks, total)
            if monotonic() - saved > pause:
                began = monotonic()
                found.save(work / "found.npz")
                saved = monotonic()
                pause = max(_KEPT_EVERY, 20 * (saved - began))  # it grows with the objects found
        found.save(work / "found.npz")
        names = Names.of(found, min_size).kept(work)
        durable.replace_file(output.path / COUNT, json.dumps({"objects": names.count}).encode())
        named = finished(Relabelled(layout, stored, names), volume, provisional.segmenter)
        written = write(
            volume.with_array(named, "zyx"),
            cluster=cluster,
            workers=output.workers,
            progress=lambda done, _: progress(2 * count + done, total),
        )
        durable.remove(work)
    return written
