"""`trace`: the skeletons of all objects of a segmentation, one object in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np

from segkit._choice import choose, written_at
from segkit.errors import DataError, IncompleteError, SegkitError
from segkit.geometry import Triple
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.tracing._folder import TraceFolder, Traces
from segkit.tracing._object import BUDGET, Tracer, trace_object
from segkit.tracing._survey import Survey, check_segmentation, survey
from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["Traces", "trace"]

_SURVEYED = 192  # voxels along each axis of a block read for the survey


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
    progress: Progress = silent,
) -> Sequence[Trace]:
    """Draw the skeletons of the objects of a segmentation.

    The segmentation is read once, block by block, to see where its objects lie; then each object is cut out and traced
    by itself. Memory grows with the number of objects and the largest one, not with the volume.

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
        found = survey(volume, _block_shape(volume), folder.state / "survey.npz" if folder else None, progress)
        places = _select(found, volume, min_size, ids)
        traces, failures = [], []
        for done, place in enumerate(places):
            progress(done, len(places))
            id, box = int(found.ids[place]), found.box(place)
            if folder is not None and folder.has(id):
                continue
            try:
                drawn = trace_object(volume, id, box, chosen, budget)
            except Exception as error:  # one object must not stop the others
                if isinstance(error, SegkitError) and folder is None and len(places) == 1:
                    raise
                failures.append(
                    (id, f"{type(error).__name__}: {error}" if not isinstance(error, SegkitError) else str(error))
                )
                if folder is not None:
                    folder.fail(*failures[-1])
                continue
            if folder is None:
                traces.append(drawn)
            else:
                folder.add(drawn, voxels=int(found.voxels[place]), box=[*box.start, *box.stop])
        if folder is not None:
            folder.write_table()
        progress(len(places), len(places))
    if failures:
        some = ", ".join(str(id) for id, _ in failures[:10]) + (", …" if len(failures) > 10 else "")
        raise IncompleteError(
            f"{len(failures)} of {len(places)} objects could not be traced: {some}. The first failed with: {failures[0][1]} All "
            "others are done. Run it again, with another tracer or without these ids."
        )
    return traces if folder is None else folder.traces(tuple(int(i) for i in found.ids[places]))


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
