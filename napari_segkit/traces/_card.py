"""What is said of the neuron that is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_segkit.session.traces._columns import Column, spaced
from napari_segkit.session.traces._neurons import Neurons
from segkit.volume import Volume

__all__ = ["card_of"]

MOST_MEASURED = 50_000  # nodes; a longer path is not worth waiting for


def card_of(neurons: Neurons, row: int, columns: Sequence[Column], selected: int, image: Volume | None) -> str:
    """Return what to say of a neuron, and of how many are selected with it."""
    values = {column.key: column.values[row] for column in columns}
    unit, scale = ("\N{MICRO SIGN}m", 1e-3) if neurons.unit == "nm" else ("voxels", 1.0)
    parts = [f"<b>{int(neurons.ids[row])}</b>"]
    if values["nodes"] <= MOST_MEASURED:
        parts.append(f"longest path {spaced(neurons.trace(row).longest_path * scale, 1)} {unit}")
    pieces = int(values["pieces"])
    parts.append("in one piece" if pieces == 1 else f"{pieces} pieces")
    if (neurons.types[neurons.node_starts[row] : neurons.node_starts[row + 1]] == 1).any():
        parts.append("soma")
    if image is not None and image.unit == neurons.unit and _at_border(neurons, row, image):
        parts.append("touches border")
    if len(np.unique(neurons.origin[neurons.node_starts[row] : neurons.node_starts[row + 1]])) > 1:
        parts.append("merged by hand")
    if selected > 1:
        parts.append(f"one of {selected} selected")
    return " \N{MIDDLE DOT} ".join(parts)


def _at_border(neurons: Neurons, row: int, image: Volume) -> bool:
    nodes = slice(neurons.node_starts[row], neurons.node_starts[row + 1])
    size = np.asarray(image.voxel_size)
    low = np.asarray(image.offset)
    high = low + (np.asarray(image.spatial_shape) - 1) * size
    reach = neurons.radii[nodes, None] + size
    return bool(((neurons.nodes[nodes] - reach <= low) | (neurons.nodes[nodes] + reach >= high)).any())
