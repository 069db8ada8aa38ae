"""The part of an object in one block: its nodes there, and what joins it to the parts in other blocks.

A part is drawn with a halo around the block, so that the cut is not seen where it matters, and clipped to the block. Where
an edge leaves the block, the part of the neighbour begins; which voxels at the border belong together says the same of
pieces whose edges do not meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import PluginError
from segkit.geometry import Box, Triple
from segkit.tracing._soma import Cells, cells_of
from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["Part", "draw_part"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of an object from one block. Positions are ``(z, y, x)`` in the unit of the volume.

    Parameters
    ----------
    nodes, edges, radii
        Those in the block; positions ``(V, 3)``, pairs ``(E, 2)`` and lengths ``(V,)``.
    component
        Which piece of the object, as far as the block shows it, each node ``(V,)`` is in; -1 where that is not known.
    ends, exits
        Nodes ``(C,)`` from which an edge leaves the block, and the place ``(C, 3)`` where it does.
    deepest, depth
        For each piece ``(L, 3)`` its innermost voxel in this block, and how far inside ``(L,)`` that is; -1 where none of
        its voxels is in the block.
    rim, rim_component
        Voxels ``(B,)`` that other blocks see too, by their number in the volume, and the piece of each.
    cells, counts
        Coarse cells ``(K,)`` by their number in the volume, and the voxels ``(K,)`` of the object in each; empty where
        nobody looks for somata.
    """

    nodes: Array
    edges: Array
    radii: Array
    component: Array
    ends: Array
    exits: Array
    deepest: Array
    depth: Array
    rim: Array
    rim_component: Array
    cells: Array
    counts: Array


def draw_part(volume: Volume, core: Box, mask: Array, start: Triple, tracer: Any, cell: Triple | None) -> Part:
    """Draw the part of an object in a block.

    Parameters
    ----------
    volume
        The segmentation, for its grid.
    core
        The block.
    mask
        The object in and around the block, with one voxel of background on every side.
    start
        Where the first voxel of the mask lies in the volume.
    tracer
        What draws; its method ``draw_part`` where it has one.
    cell
        Voxels of a cell in which those of the object are counted; None for no counts.

    Raises
    ------
    PluginError
        If the tracer breaks its contract.
    """
    size, offset = np.array(volume.voxel_size), np.array(volume.offset)
    drawn = getattr(tracer, "draw_part", tracer)(mask, volume.voxel_size)
    if not isinstance(drawn, Trace):
        raise PluginError(f"The tracer {tracer!r} returned {type(drawn).__name__}, where a segkit.Trace is due.")
    places = drawn.nodes / size + start
    low, high = np.array(core.start) - 0.5, np.array(core.stop) - 0.5
    inside = ((places >= low) & (places < high)).all(axis=1)
    kept = drawn.kept(inside)
    number = np.cumsum(inside) - 1
    crossing = drawn.edges[inside[drawn.edges].sum(axis=1) == 1]
    crossing = np.where(inside[crossing[:, :1]], crossing, crossing[:, ::-1])
    exits = _exits(places[crossing[:, 0]], places[crossing[:, 1]], low, high)

    shared = Box(core.start, core.grow((1, 1, 1)).stop) & Box.of_shape(mask.shape, start)
    assert shared is not None  # the object has voxels there
    labels, count = _pieces(mask[shared.relative_to(start).slices])
    component = _component(kept, np.rint(places[inside]).astype(np.int64) - shared.start, labels)
    have = np.zeros(count, bool)
    have[component[component >= 0]] = True
    core_labels = labels[tuple(slice(0, b - a) for a, b in zip(shared.start, core.stop, strict=True))]
    deepest, depth = _deepest(labels, core_labels, have, volume.voxel_size)
    rim, rim_component = _rim(labels, shared, core, volume.spatial_shape)
    none = np.zeros(0, np.int64)
    cells, counts = none, none
    if cell is not None:
        cells, counts = _numbered(cells_of(core_labels > 0, shared.start, cell), cell, volume.spatial_shape)
    return Part(
        nodes=places[inside] * size + offset,
        edges=kept.edges,
        radii=kept.radii,
        component=component,
        ends=number[crossing[:, 0]],
        exits=exits * size + offset,
        deepest=(deepest + shared.start) * size + offset,
        depth=depth,
        rim=rim,
        rim_component=rim_component,
        cells=cells,
        counts=counts,
    )


def _exits(begin: Array, end: Array, low: Array, high: Array) -> Array:
    """Return where the lines ``(C, 3)`` from inside a box to outside of it cross its surface."""
    step = end - begin
    bound = np.where(end < low, low, high)
    beyond = (end < low) | (end >= high)
    share = np.where(beyond, (bound - begin) / np.where(step == 0, 1, step), np.inf).min(axis=1, initial=1.0)
    crossing: Array = begin + share[:, None] * step
    return crossing


def _pieces(mask: Array) -> tuple[Array, int]:
    import cc3d

    labels, count = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=26, return_N=True)
    return labels, int(count)


def _component(trace: Trace, voxels: Array, labels: Array) -> Array:
    """Return the piece of the object that each node is in, from 0, or else that of the nodes it is joined with."""
    own: Array = labels[tuple(np.clip(voxels, 0, np.array(labels.shape) - 1).T)].astype(np.int64)
    if not own.all():
        count, piece = trace.pieces
        known = np.zeros(count, np.int64)
        np.maximum.at(known, piece, own)
        own = np.where(own == 0, known[piece], own)
    return own - 1


def _deepest(labels: Array, core: Array, have: Array, voxel_size: Any) -> tuple[Array, Array]:
    """Return the innermost voxel ``(L, 3)`` and its depth ``(L,)``, of pieces without a node that are in the core."""
    places, depth = np.zeros((len(have), 3)), np.full(len(have), -1.0)
    lacking = np.setdiff1d(np.unique(core), [0]).astype(np.int64)
    lacking = lacking[~have[lacking - 1]]
    if len(lacking):
        import edt

        distance = edt.edt(np.pad(labels > 0, 1), anisotropy=voxel_size, black_border=False, parallel=1)[
            1:-1, 1:-1, 1:-1
        ]
        inner = distance[tuple(slice(0, n) for n in core.shape)]
        for label in lacking.tolist():
            own = np.where(core == label, inner, -1)
            places[label - 1] = np.unravel_index(int(own.argmax()), own.shape)
            depth[label - 1] = own.max()
    return places, depth


def _rim(labels: Array, shared: Box, core: Box, shape: Triple) -> tuple[Array, Array]:
    """Return the voxels of the object in the first layers of the block, and behind its last, with their pieces."""
    numbers, pieces = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for axis in range(3):
        for layer in (core.start[axis], core.stop[axis]):
            if shared.start[axis] <= layer < shared.stop[axis]:
                plane = np.take(labels, [layer - shared.start[axis]], axis=axis)
                found = np.argwhere(plane)
                pieces.append(plane[tuple(found.T)].astype(np.int64) - 1)
                found[:, axis] += layer - shared.start[axis]
                numbers.append(np.ravel_multi_index(tuple((found + shared.start).T), shape))
    return np.concatenate(numbers), np.concatenate(pieces)


def _numbered(cells: Cells, cell: Triple, shape: Triple) -> tuple[Array, Array]:
    found = np.argwhere(cells.counts)
    grid = tuple(-(-n // c) for n, c in zip(shape, cell, strict=True))
    return np.ravel_multi_index(tuple((found + cells.start).T), grid), cells.counts[tuple(found.T)].astype(np.int64)
