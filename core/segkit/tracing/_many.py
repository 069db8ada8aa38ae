"""`trace`: the skeletons of all objects of a segmentation, a few objects in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np

from segkit._choice import choose, written_at
from segkit.durable import remove
from segkit.errors import DataError, IncompleteError, SegkitError, UsageError
from segkit.execution import Cluster, Failure, connected, run
from segkit.geometry import Triple
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.tracing._also import check_also, write_also
from segkit.tracing._blocks import draw_parts, load_parts
from segkit.tracing._folder import TraceFolder, Traces
from segkit.tracing._object import BUDGET, Tracer, cell_for, trace_object, trace_parts
from segkit.tracing._survey import Survey, check_segmentation, survey
from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["Traces", "trace"]

_SURVEYED = 192  # voxels along each axis of a block read for the survey
_MEASURES = 2  # what is kept of each trace for the table
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
    soma: float | None = None,
    also: Sequence[Literal["precomputed", "meshes"]] = (),
    overwrite: bool = False,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Sequence[Trace]:
    """Draw the skeletons of the objects of a segmentation.

    The segmentation is read once, block by block, to see where its objects lie; then each object is cut out and traced
    by itself, several at once. Objects larger than `budget` are traced block by block, all of them in one pass over the
    blocks that they are in, and joined. Memory grows with the number of objects and the longest trace, not with the volume.

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
        Voxels (z, y, x multiplied) of the box of an object that is traced at once, for which about 20 bytes each are
        needed. What is larger is traced in overlapping blocks, at the same resolution.
    soma
        Radius, in nm or else in voxels, from which a ball inside of an object is a soma, if it is at least twice as
        thick as half of the nodes outside. All in it becomes one root node of type 1. None looks for none.
    also
        What is written to `out_dir` besides: ``"precomputed"`` for skeletons that neuroglancer reads, in ``skeletons/``;
        ``"meshes"`` for the surface of each object, in ``meshes/<id>.ply``. With both, the meshes are in ``mesh/`` too,
        as neuroglancer reads them.
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
    check_also(also, volume, out_dir is not None)
    if soma is not None and not soma > 0:
        raise UsageError(f"`soma` is {soma}; it takes a radius above 0, or None to look for no somata.")
    chosen: Tracer
    chosen, identity = choose("tracers", tracer, options)
    with ExitStack() as stack:
        folder = None
        if out_dir is not None:
            plan = _plan(volume, identity, budget, soma)
            folder = stack.enter_context(TraceFolder.opened(Path(out_dir), volume, plan, overwrite=overwrite))
        connection = stack.enter_context(connected(cluster, workers))
        state = folder.state if folder else Path(stack.enter_context(TemporaryDirectory(prefix="segkit-")))
        found = survey(
            volume,
            _block_shape(volume),
            state / "survey.npz" if folder else None,
            progress,
            cluster=connection,
            workers=workers,
        )
        places = _select(found, volume, min_size, ids)
        todo = [place for place in places if folder is None or not folder.has(int(found.ids[place]))]
        work = _Objects(volume, found, chosen, budget, soma, state / "parts")
        traces: dict[int, Trace] = {}
        failures: dict[int, Failure] = {}
        progress(len(places) - len(todo), len(places))
        steps = _traced(work, todo, connection, workers, progress)
        for done, (place, drawn) in enumerate(steps, len(places) - len(todo) + 1):
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
            if not failures:
                remove(state / "parts")
            drawn_ids = [int(i) for i in found.ids[places] if folder.has(int(i))]
            boxes = {id: found.box(place) for place, id in zip(places, found.ids[places].tolist(), strict=True)}
            write_also(also, folder, volume, {id: boxes[id] for id in drawn_ids}, progress, connection, workers)
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
    soma: float | None
    parts: Path

    def __call__(self, place: int) -> Trace:
        id, box = int(self.found.ids[place]), self.found.box(place)
        return trace_object(self.volume, id, box, self.tracer, self.soma)

    def joined(self, blocks: Mapping[int, Sequence[int]], place: int) -> Trace:
        """Return the trace of an object whose parts lie in some blocks."""
        id, box = int(self.found.ids[place]), self.found.box(place)
        parts = load_parts(self.parts, blocks[id], id)
        return trace_parts(self.volume, id, box, parts, self.tracer, self.soma)


def _traced(
    work: _Objects, todo: list[int], cluster: Cluster | None, workers: int | None, progress: Progress
) -> Iterator[tuple[int, Trace | Failure]]:
    """Yield the traces of objects as they are drawn; large ones last and one at a time, in parts those beyond the budget."""
    each = work.found.boxes[todo]
    sizes = dict(zip(todo, (each[:, 1] - each[:, 0]).prod(1).tolist(), strict=True))
    whole = [place for place in todo if sizes[place] <= work.budget]
    if cluster is not None:
        yield from run(work, whole, cluster=cluster, fatal=())
    else:
        small = [place for place in whole if sizes[place] <= work.budget // _AT_ONCE]
        # What a tracer cannot do it cannot do the second time either.
        yield from run(work, small, workers=workers, tries=1, fatal=())
        yield from run(work, [place for place in whole if place not in set(small)], workers=1, tries=1, fatal=())
    parted = [place for place in todo if sizes[place] > work.budget]
    if parted:
        failed, blocks = draw_parts(
            work.volume,
            work.found,
            parted,
            work.tracer,
            work.budget,
            cell_for(work.volume, work.soma),
            work.parts,
            progress,
            cluster=cluster,
            workers=workers,
        )
        yield from failed.items()
        # Here, where the parts are: joining them is little work.
        joined = partial(work.joined, blocks)
        yield from run(joined, [place for place in parted if place not in failed], workers=1, tries=1, fatal=())


def _plan(volume: Volume, identity: str, budget: int, soma: float | None) -> dict[str, Any]:
    return {
        "measures": _MEASURES,
        "segmentation": volume.source,
        "written": written_at(volume),
        "shape": list(volume.shape),
        "voxel_size": list(volume.voxel_size),
        "offset": list(volume.offset),
        "tracer": identity,
        "budget": budget,
        "soma": soma,
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
