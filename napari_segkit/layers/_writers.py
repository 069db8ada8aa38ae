"""What napari's save dialog writes through segkit: Tracks as SWC files, labels as OME-Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.tracing import Trace, spanning_forest, write_swc

__all__ = ["write_labels", "write_tracks"]

Array = np.ndarray[Any, Any]


def write_tracks(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Tracks layer of three axes as one SWC file.

    Rows that follow each other in a track are joined by an edge; ends of tracks at the same place are one node. Where there is
    a feature ``neuron``, as in the layers that segkit makes, each value is a trace of that id; else all of it is one trace.

    Raises
    ------
    DataError
        If the layer has more than three axes.
    """
    rows = np.asarray(data, np.float64)
    if rows.shape[1] != 4:
        raise DataError(
            f"SWC files hold lines in three dimensions, and this layer has {rows.shape[1] - 1} axes. Choose one of (z, y, x)."
        )
    scale, translate = (np.asarray(attributes[name], float) for name in ("scale", "translate"))
    unit = "nm" if str(attributes.get("units", ("pixel",))[0]) in ("nm", "nanometer") else "voxel"
    places = rows[:, 1:] * scale + translate
    features = attributes.get("features")
    whose = np.zeros(len(rows), np.uint64)
    if features is not None and "neuron" in features:
        whose = np.asarray(features["neuron"]).astype(np.uint64)
    joined = np.flatnonzero(rows[:-1, 0] == rows[1:, 0])
    traces = [_trace(places, joined, whose == neuron, int(neuron), unit) for neuron in np.unique(whose)]
    write_swc(traces, path)
    return [path]


def _trace(places: Array, joined: Array, mine: Array, id: int, unit: Any) -> Trace:
    nodes, inverse = np.unique(np.round(places[mine], 3), axis=0, return_inverse=True)
    number = np.cumsum(mine) - 1
    starts = joined[mine[joined]]
    edges = np.stack([inverse.reshape(-1)[number[starts]], inverse.reshape(-1)[number[starts + 1]]], axis=1)
    radii = np.zeros(len(nodes))
    return Trace(nodes, spanning_forest(nodes, edges, radii + 1.0), radii, id, unit)


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as OME-Zarr with its pyramid, block by block; a store that segkit wrote there before is replaced.

    Raises
    ------
    DataError
        If the layer is rotated, has more than three axes, or shows what is at `path`.
    OutputExistsError
        If there is something at `path` that segkit did not write.
    """
    from napari.layers import Labels

    from napari_segkit.layers._layers import volume_of_layer
    from segkit.writing import write_volume

    if str(attributes.get("metadata", {}).get("segkit", {}).get("source", "")) == str(path):
        raise DataError(f"The layer '{attributes['name']}' shows {path} itself. Choose another name.")
    known = ("name", "scale", "translate", "rotate", "shear", "units", "axis_labels", "metadata", "multiscale")
    layer = Labels(data, **{name: attributes[name] for name in known if name in attributes})
    write_volume(volume_of_layer(layer), Path(path), labels=True, overwrite=True)
    return [path]
