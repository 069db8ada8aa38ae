"""From traces to one napari Tracks layer: each edge is a track, and z is its time.

Tracks are the only lines in napari that stay usable with many thousand edges, and in 2D they fade with the distance
from the slice that is shown. Time must not be negative, so z is shifted by the layer's translate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_segkit.layers._layers import LayerData, placement
from segkit.tracing import Trace

__all__ = ["MOST_EDGES", "tracks_of"]

MOST_EDGES = 100_000
SLICES_SHOWN = 25


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
        Traces of one unit; where there are more than `MOST_EDGES` edges, the shortest traces are left out.
    voxel_size, offset
        Placement of the image they were traced in, in the unit of the traces, so that all layers share one grid.
    name
        Name of the layer.

    Returns
    -------
    tuple or None
        Data, arguments and ``"tracks"``; None where no trace has an edge. The features are ``neuron``, its id, and
        ``cable``, its length in µm (voxels, where their
        size is not known).
    """
    shown: list[tuple[Trace, float]] = sorted(
        ((trace, trace.cable_length) for trace in traces if len(trace.edges)), key=lambda pair: -pair[1]
    )
    kept, edges = 0, 0
    while kept < len(shown) and edges + len(shown[kept][0].edges) <= MOST_EDGES:
        edges += len(shown[kept][0].edges)
        kept += 1
    hidden, shown = len(shown) - kept, shown[:kept]
    if not shown:
        return None
    # Two rows for each edge, in order of time as napari wants them.
    ends = np.concatenate([trace.nodes[trace.edges] for trace, _ in shown]).astype(np.float64)
    backwards = ends[:, 0, 0] > ends[:, 1, 0]
    ends[backwards] = ends[backwards, ::-1]
    size, unit = np.asarray(voxel_size, float), shown[0][0].unit
    rows = (ends.reshape(-1, 3) - np.asarray(offset, float)) / size
    shift = min(0.0, float(np.floor(rows[:, 0].min())))
    rows[:, 0] -= shift
    data = np.column_stack([np.repeat(np.arange(len(ends)), 2), rows])
    counts = [2 * len(trace.edges) for trace, _ in shown]
    where = placement(voxel_size, offset, unit)
    where["translate"] = (where["translate"][0] + shift * float(size[0]), *where["translate"][1:])
    arguments: dict[str, Any] = {
        **where,
        "name": name if not hidden else f"{name} ({kept} longest of {kept + hidden})",
        "features": {
            "neuron": np.repeat([float(trace.id) for trace, _ in shown], counts),
            "cable": np.repeat([length / 1000 if unit == "nm" else length for _, length in shown], counts),
            "colour": np.repeat(_spread(len(shown)), counts),
        },
        "color_by": "colour",
        "colormap": "hsv",
        "blending": "translucent",
        "tail_width": 3,
        "tail_length": SLICES_SHOWN,
        "head_length": SLICES_SHOWN,
        "metadata": {"segkit": {"traces": kept, "hidden": hidden}},
    }
    return data, arguments, "tracks"


def _spread(count: int) -> np.ndarray[Any, Any]:
    """Return one number in 0..1 for each neuron, neighbours far apart: multiples of the golden ratio."""
    return (np.arange(count) * 0.6180339887498949) % 1.0
