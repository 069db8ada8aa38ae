"""From traces to napari Tracks layers: each edge is a track, and z is its time.

Tracks are the only lines in napari that stay usable with many thousand edges, and in 2D they fade with the distance
from the slice that is shown. Time must not be negative, so z is shifted by the layer's translate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_segkit.layers._layers import LayerData, placement
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._sketch import MOST_EDGES, sketch
from segkit.tracing import Trace

__all__ = ["MOST_EDGES", "SLICES_SHOWN", "edge_layer", "hues", "tracks_of"]

SLICES_SHOWN = 25
Array = np.ndarray[Any, Any]


def tracks_of(
    traces: Sequence[Trace],
    *,
    voxel_size: Sequence[float] = (1.0, 1.0, 1.0),
    offset: Sequence[float] = (0.0, 0.0, 0.0),
    name: str = "traces",
) -> LayerData | None:
    """Return napari layer data for traces.

    Parameters
    ----------
    traces
        Traces of one unit; where there are more than `MOST_EDGES` edges they are simplified, and in the end the shortest are
        left out.
    voxel_size, offset
        Placement of the image they were traced in, in the unit of the traces, so that all layers share one grid.
    name
        Name of the layer.

    Returns
    -------
    tuple or None
        Data, arguments and ``"tracks"``; None where no trace has an edge. The features are ``neuron``, its id, and
        ``cable``, its length in µm (voxels, where their size is not known).
    """
    neurons = Neurons.of([trace for trace in traces if len(trace.edges)])
    if not len(neurons):
        return None
    drawn = sketch(neurons, 2 * min(voxel_size), MOST_EDGES)
    scale = 1e-3 if neurons.unit == "nm" else 1.0
    lengths = np.linalg.norm(np.diff(neurons.nodes[neurons.edges], axis=1)[:, 0], axis=1)
    cable = np.bincount(neurons.edge_owners, lengths, len(neurons)) * scale
    data, arguments, kind = edge_layer(neurons.nodes[drawn.ends], voxel_size, offset, neurons.unit)
    hidden = drawn.of - drawn.shown
    arguments |= {
        "name": name if not hidden else f"{name} ({drawn.shown} longest of {drawn.of})",
        "features": {
            "neuron": np.repeat(neurons.ids[drawn.owners].astype(np.float64), 2),
            "cable": np.repeat(cable[drawn.owners], 2),
            "colour": np.repeat(hues(len(neurons))[drawn.owners], 2),
        },
        "color_by": "colour",
        "colormap": "hsv",
        "metadata": {"segkit": {"traces": drawn.shown, "hidden": hidden}},
    }
    return data, arguments, kind


def edge_layer(
    ends: Array, voxel_size: Sequence[float], offset: Sequence[float], unit: str, lowest: float | None = None
) -> LayerData:
    """Return napari layer data for edges, without name, features and colours.

    Parameters
    ----------
    ends
        Both ends of each edge ``(M, 2, 3)``, M above 0, in `unit`. The layer has two rows for each, in the same order.
    voxel_size, offset, unit
        Placement of the image, as for `placement`.
    lowest
        Lowest z of all edges that the layer will ever show, so that its translate stays; None for that of `ends`.
    """
    ends = np.array(ends, np.float64)
    backwards = ends[:, 0, 0] > ends[:, 1, 0]  # rows must be in order of time
    ends[backwards] = ends[backwards, ::-1]
    size = np.asarray(voxel_size, float)
    rows = (ends.reshape(-1, 3) - np.asarray(offset, float)) / size
    first = rows[:, 0].min() if lowest is None else (lowest - float(offset[0])) / size[0]
    shift = min(0.0, float(np.floor(first)))
    rows[:, 0] -= shift
    where = placement(voxel_size, offset, unit)
    where["translate"] = (where["translate"][0] + shift * float(size[0]), *where["translate"][1:])
    arguments: dict[str, Any] = {
        **where,
        "blending": "translucent",
        "tail_width": 3,
        "tail_length": SLICES_SHOWN,
        "head_length": SLICES_SHOWN,
    }
    return np.column_stack([np.repeat(np.arange(len(ends)), 2), rows]), arguments, "tracks"


def hues(count: int) -> Array:
    """Return one number in 0..1 for each neuron, neighbours far apart: multiples of the golden ratio."""
    return (np.arange(count) * 0.6180339887498949) % 1.0
