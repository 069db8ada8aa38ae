"""Tracing of one object: its voxels cut out with a margin, at reduced resolution where they would not fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from segkit.errors import PluginError, SegkitWarning
from segkit.geometry import Box, Triple
from segkit.tracing._trace import Trace
from segkit.volume import Spacing, Volume

__all__ = ["BUDGET", "Tracer", "trace_object", "warn_if_reduced"]

Array = np.ndarray[Any, Any]
Tracer = Callable[[Array, Spacing], Trace]

BUDGET = 2**28
"""Voxels of a crop that is traced at full resolution; a tracer needs about 10 to 20 bytes for each."""

_SLAB = 2**24  # voxels of ids read at once


def trace_object(segmentation: Volume, id: int, box: Box, tracer: Tracer, budget: int = BUDGET) -> Trace:
    """Trace one object.

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
    budget
        Voxels of a crop that is traced at full resolution; a larger object is reduced by whole factors until it fits. A
        reduced voxel belongs to the object if any of its voxels does, so that nothing thin is lost.

    Raises
    ------
    PluginError
        If the tracer breaks its contract.
    """
    factor = _factor(box.shape, segmentation.voxel_size, budget)
    mask = _mask(segmentation, id, box, factor)
    size = segmentation.voxel_size
    spacing = cast("Spacing", tuple(v * f for v, f in zip(size, factor, strict=True)))
    drawn = tracer(mask, spacing)
    if not isinstance(drawn, Trace):
        raise PluginError(
            f"The tracer {tracer!r} returned {type(drawn).__name__} for object {id}, where a segkit.Trace is due."
        )
    # Voxel (0, 0, 0) of the mask is the margin; its centre is that of the voxels it stands for.
    origin = [
        o + (start - f + (f - 1) / 2) * v
        for o, start, f, v in zip(segmentation.offset, box.start, factor, size, strict=True)
    ]
    return replace(drawn.shifted(cast("Spacing", tuple(origin))), id=id, unit=segmentation.unit)


def warn_if_reduced(segmentation: Volume, id: int, box: Box, budget: int) -> None:
    """Say that an object is about to be traced at reduced resolution, if it is."""
    factor = _factor(box.shape, segmentation.voxel_size, budget)
    if factor != (1, 1, 1):
        warnings.warn(
            f"Object {id} fills a box of {box.shape} voxels (z, y, x), more than the {budget} that are traced at once: its trace is "
            f"drawn at a resolution reduced by {factor}. For all of it, raise 'budget'; that "
            f"takes about {20 * box.size / 2**20:.0f} MiB of memory.",
            SegkitWarning,
            stacklevel=3,
        )


def _factor(shape: Triple, voxel_size: Spacing, budget: int) -> Triple:
    """Return by how much each axis is reduced so that a crop fits; the finest axes give first."""
    factor = [1, 1, 1]
    while np.prod([-(-n // f) + 2 for n, f in zip(shape, factor, strict=True)], dtype=np.float64) > budget:
        able = [axis for axis in range(3) if factor[axis] < shape[axis]]
        if not able:
            break
        factor[min(able, key=lambda axis: voxel_size[axis] * factor[axis])] += 1
    return cast("Triple", tuple(factor))


def _mask(segmentation: Volume, id: int, box: Box, factor: Triple) -> Array:
    """Return the voxels of an object, with one of background on every side, reading no more than a slab at once."""
    fz, fy, fx = factor
    depth, height, width = (-(-n // f) for n, f in zip(box.shape, factor, strict=True))
    mask = np.zeros((depth + 2, height + 2, width + 2), bool)
    step = max(1, _SLAB // max(1, box.shape[1] * box.shape[2] * fz))  # rows of the mask filled at once
    for row in range(0, depth, step):
        z = box.start[0] + row * fz
        slab = Box((z, *box.start[1:]), (min(z + step * fz, box.stop[0]), *box.stop[1:]))
        own = segmentation.read(slab).reshape(slab.shape) == id
        if factor != (1, 1, 1):
            full = [(0, -n % f) for n, f in zip(own.shape, factor, strict=True)]
            own = np.pad(own, full)
            cells = own.reshape(own.shape[0] // fz, fz, height, fy, width, fx)
            own = cells.any(axis=(1, 3, 5))
        mask[1 + row : 1 + row + len(own), 1:-1, 1:-1] = own
    return mask
