"""`trace`: the skeletons of all objects of a segmentation, a few objects in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from segkit._choice import choose, written_at
from segkit.errors import DataError, IncompleteError, SegkitError
from segkit.execution import Cluster, Failure, connected, run
from segkit.geometry import Triple
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.tracing._folder import TraceFolder, Traces
from segkit.tracing._object import BUDGET, Tracer, trace_object, warn_if_reduced
from segkit.tracing._survey import Survey, check_segmentation, survey
from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["Traces", "trace"]

_SURVEYED = 192  # voxels along each axis of a block read for the survey
_AT_ONCE = 8  # an object of more than this part of the budget has the memory for itself


def trace(
    segmentation: Any,
    tracer: Tracer | str = "skeleton",
    *,
    options: Mapping[str, Any] | None = None,
    out_dir: str | Path | None = None,
    min_size: int = 0,
    ids: Iterable[int] | None = None,
    budget: int = BUDGET,
    overwrite: bool = False,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Sequence[Trace]:
    """Draw the skeletons of the objects of a segmentation.

    The segmentation is read once, block by block, to see where its objects lie; then each object is cut out and traced
    by itself, several at once. Memory grows with the number of objects and the largest one, not with the volume.

    Parameters
    ----------
    segmentation
        Integer ids ``(z, y, x)``, or anything that `segkit.open_volume` takes; 0 is background.
    tracer
        Name of a tracer, or one: ``tracer(mask, voxel_size) -> Trace``, see `segkit.hookspecs.segkit_tracers`.
    options
        Options of a tracer that is named; None for its defaults.
    out_dir
        Folder for one SWC file an object (``<id>.swc``) and ``table.csv``; None keeps all traces in memory. Run again,
        it continues after what is there.
    min_size
        Objects of fewer voxels are left out.
    ids
        The objects to trace; None for all.
    budget
        Voxels of a crop that is traced at full resolution; a larger object is traced at reduced resolution, with a
        warning.
    overwrite
        Whether other traces in `out_dir` are replaced.
    cluster
        Where to trace: text such as ``"local:4"`` or ``"slurm:workers=8,cores=4"``, see
        `segkit.execution.ClusterSpec.parse`. Its workers see the segmentation under the same name. None stays in this
        process.
    workers
        Without a cluster, how many threads call the tracer; None takes up to 4, and large objects are traced one at a
        time. Else the number of processes or jobs.
    progress
        Called with the steps done and the steps in all; a step is a block read, then an object traced.

    Returns
    -------
    sequence of Trace
        In ascending order of ids; read from `out_dir` when asked for, where there is one.

    Raises
    ------
    DataError
        If the segmentation is broken, or has none of the `ids`.
    OutputExistsError
        If there are other traces in `out_dir`.
    IncompleteError
        If some objects could not be traced; all others are, and in the table.

    Examples
    --------
    >>> import numpy as np, segkit
    >>> labels = np.zeros((9, 9, 40), np.uint64)
    >>> labels[3:6, 3:6, 2:38] = 7
    >>> len(segkit.trace(labels, "skeleton"))
    1
    """
    volume = open_volume(segmentation)
    check_segmentation(volume)
    chosen: Tracer
    chosen, identity = choose("tracers", tracer, options)
    with ExitStack() as stack:
        folder = None
        if out_dir is not None:
            plan = _plan(volume, identity, budget)
            folder = stack.enter_context(TraceFolder.opened(Path(out_dir), volume, plan, overwrite=overwrite))
        connection = stack.enter_context(connected(cluster, workers))
        kept = folder.state / "survey.npz" if folder else None
        found = survey(volume, _block_shape(volume), kept, progress, cluster=connection, workers=workers)
        places = _select(found, volume, min_size, ids)
        todo = [place for place in places if folder is None or not folder.has(int(found.ids[place]))]
        work = _Objects(volume, found, chosen, budget)
        traces: dict[int, Trace] = {}
        failures: dict[int, Failure] = {}
        progress(len(places) - len(todo), len(places))
        for done, (place, drawn) in enumerate(_traced(work, todo, connection, workers), len(places) - len(todo) + 1):
            id, box = int(found.ids[place]), found.box(place)
            if isinstance(drawn, Failure):
                if isinstance(drawn.error, SegkitError) and folder is None and len(places) == 1:
                    raise drawn.error
                failures[id] = drawn
                if folder is not None:
                    folder.fail(id, drawn.reason)
            elif folder is None:
                traces[id] = drawn
            else:
                folder.add(drawn, voxels=int(found.voxels[place]), box=[*box.start, *box.stop])
            progress(done, len(places))
        if folder is not None:
            folder.write_table()
    if failures:
        first = min(failures)
        some = ", ".join(map(str, sorted(failures)[:10])) + (", …" if len(failures) > 10 else "")
        raise IncompleteError(
            f"{len(failures)} of {len(places)} objects could not be traced: {some}. The first failed with: "
            f"{failures[first].reason} All others are done. Run it again, with another tracer or without these ids."
        )
    if folder is not None:
        return folder.traces(tuple(int(i) for i in found.ids[places]))
    return [traces[id] for id in sorted(traces)]


@dataclass(frozen=True)
class _Objects:
    """Called with the place of an object in the survey: its trace."""

    volume: Volume
    found: Survey
    tracer: Tracer
    budget: int

    def __call__(self, place: int) -> Trace:
        return trace_object(self.volume, int(self.found.ids[place]), self.found.box(place), self.tracer, self.budget)

    def warn(self, place: int) -> None:
        warn_if_reduced(self.volume, int(self.found.ids[place]), self.found.box(place), self.budget)


def _traced(
    work: _Objects, todo: list[int], cluster: Cluster | None, workers: int | None
) -> Iterator[tuple[int, Trace | Failure]]:
    """Yield the traces of objects as they are drawn; the large ones last, and on this machine one at a time."""
    for place in todo:
        work.warn(place)
    each = work.found.boxes[todo]
    sizes = (each[:, 1] - each[:, 0]).prod(1)
    if cluster is not None:
        yield from run(work, todo, cluster=cluster, fatal=())
        return
    small = [place for place, size in zip(todo, sizes.tolist(), strict=True) if size <= work.budget // _AT_ONCE]
    large = sorted(set(todo) - set(small))
    # What a tracer cannot do it cannot do the second time either.
    yield from run(work, small, workers=workers, tries=1, fatal=())
    yield from run(work, large, workers=1, tries=1, fatal=())


def _plan(volume: Volume, identity: str, budget: int) -> dict[str, Any]:
    return {
        "segmentation": volume.source,
        "written": written_at(volume),
        "shape": list(volume.shape),
        "voxel_size": list(volume.voxel_size),
        "offset": list(volume.offset),
        "tracer": identity,
        "budget": budget,
    }


def _block_shape(volume: Volume) -> Triple:
    """Return blocks of whole chunks, about as large as is good for reading."""
    chunk = (volume.chunks or (64, 64, 64))[-3:]
    shape = [min(n, max(c, _SURVEYED // c * c)) for n, c in zip(volume.spatial_shape, chunk, strict=True)]
    return cast("Triple", tuple(shape))


def _select(found: Survey, volume: Volume, min_size: int, ids: Iterable[int] | None) -> list[int]:
    """Return the places of the objects to trace."""
    large = found.voxels >= min_size
    if ids is None:
        return [int(place) for place in np.flatnonzero(large)]
    wanted = np.unique(np.array(sorted({int(id) for id in ids}), np.uint64))
    missing = np.setdiff1d(wanted, found.ids)
    if len(missing):
        raise DataError(
            f"{volume.source} has no object {', '.join(map(str, missing[:10].tolist()))}; it has {len(found.ids)}, from "
            f"{found.ids.min() if len(found.ids) else 0} to {found.ids.max() if len(found.ids) else 0}. Leave them out of the ids."
        )
    return [int(place) for place in np.flatnonzero(large & np.isin(found.ids, wanted))]
