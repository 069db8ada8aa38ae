"""Tracing of one object: its voxels cut out with a margin, or its parts joined; then its soma."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from segkit.errors import PluginError
from segkit.geometry import Box, Triple
from segkit.tracing._joining import join_parts
from segkit.tracing._part import Part
from segkit.tracing._soma import Cells, cell_shape, cells_of, find_soma, with_soma
from segkit.tracing._trace import Trace
from segkit.volume import Spacing, Volume

__all__ = ["BUDGET", "Tracer", "cell_for", "trace_object", "trace_parts"]

Array = np.ndarray[Any, Any]
Tracer = Callable[[Array, Spacing], Trace]

BUDGET = 2**28
"""Voxels of the box of an object that is traced at once; a tracer needs about 10 to 20 bytes for each."""

_SLAB = 2**24  # voxels of ids read at once


def trace_object(segmentation: Volume, id: int, box: Box, tracer: Tracer, soma: float | None = None) -> Trace:
    """Trace one object at once.

    Parameters
    ----------
    segmentation
        Integer ids.
    id
        The object.
    box
        Its bounding box.
    tracer
        What draws the skeleton.
    soma
        Radius from which a ball in the object is a soma, in the unit of the volume; None to look for none.

    Raises
    ------
    PluginError
        If the tracer breaks its contract.
    """
    mask = _mask(segmentation, id, box)
    drawn = tracer(mask, segmentation.voxel_size)
    if not isinstance(drawn, Trace):
        raise PluginError(
            f"The tracer {tracer!r} returned {type(drawn).__name__} for object {id}, where a segkit.Trace is due."
        )
    # Voxel (0, 0, 0) of the mask is the margin.
    origin = [
        o + (start - 1) * v for o, start, v in zip(segmentation.offset, box.start, segmentation.voxel_size, strict=True)
    ]
    found = replace(drawn.shifted(cast("Spacing", tuple(origin))), id=id, unit=segmentation.unit)
    cell = cell_for(segmentation, soma)
    if cell is None or not _fits(box, segmentation.voxel_size, cast("float", soma)):
        return found
    return _rooted(found, segmentation, cells_of(mask[1:-1, 1:-1, 1:-1], box.start, cell), cell, cast("float", soma))


def trace_parts(
    segmentation: Volume, id: int, box: Box, parts: Sequence[Part], tracer: Tracer, soma: float | None = None
) -> Trace:
    """Join the parts of one object, as `trace_object` would have traced it.

    Parameters
    ----------
    segmentation, id, box, tracer, soma
        See `trace_object`.
    parts
        All parts of the object.
    """
    joined = join_parts(parts, segmentation.voxel_size, segmentation.unit)
    finish = getattr(tracer, "finish", None)
    found = replace(finish(joined, segmentation.voxel_size) if finish else joined, id=id)
    cell = cell_for(segmentation, soma)
    if cell is None or not _fits(box, segmentation.voxel_size, cast("float", soma)):
        return found
    first = [s // c for s, c in zip(box.start, cell, strict=True)]
    last = [-(-s // c) for s, c in zip(box.stop, cell, strict=True)]
    counts = np.zeros([b - a for a, b in zip(first, last, strict=True)], np.int32)
    grid = [-(-n // c) for n, c in zip(segmentation.spatial_shape, cell, strict=True)]
    for part in parts:
        at = np.stack(np.unravel_index(part.cells, grid)) - np.array(first)[:, None]
        np.add.at(counts, tuple(at), part.counts)
    return _rooted(found, segmentation, Cells(cast("Triple", tuple(first)), counts), cell, cast("float", soma))


def cell_for(segmentation: Volume, soma: float | None) -> Triple | None:
    """Return the voxels of a cell in which somata are looked for; None where nobody does."""
    return None if soma is None else cell_shape(segmentation.voxel_size, soma)


def _fits(box: Box, voxel_size: Spacing, radius: float) -> bool:
    return all(n * v >= 2 * radius for n, v in zip(box.shape, voxel_size, strict=True))


def _rooted(trace: Trace, segmentation: Volume, cells: Cells, cell: Triple, soma: float) -> Trace:
    ball = find_soma(cells, cell, segmentation.voxel_size, segmentation.offset, soma)
    return trace if ball is None else with_soma(trace, *ball)


def _mask(segmentation: Volume, id: int, box: Box) -> Array:
    """Return the voxels of an object, with one of background on every side, reading no more than a slab at once."""
    depth, height, width = box.shape
    mask = np.zeros((depth + 2, height + 2, width + 2), bool)
    step = max(1, _SLAB // max(1, height * width))
    for row in range(0, depth, step):
        z = box.start[0] + row
        slab = Box((z, *box.start[1:]), (min(z + step, box.stop[0]), *box.stop[1:]))
        own = segmentation.read(slab).reshape(slab.shape) == id
        mask[1 + row : 1 + row + len(own), 1:-1, 1:-1] = own
    return mask
