"""Results on the canvas: each is shown once, and shown again it is brought back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_segkit.layers._readers import open_layers

__all__ = ["add_layers", "layers_showing", "show"]


def show(viewer: Any, source: str | Path, **looks: Any) -> list[Any]:
    """Add the layers of a source, unless they are there, and return them.

    Raises
    ------
    SegkitError
        If it cannot be opened.
    """
    return layers_showing(viewer, source) or add_layers(viewer, open_layers(str(source)), **looks)


def layers_showing(viewer: Any, source: str | Path) -> list[Any]:
    """Return the layers that show a source."""
    return [layer for layer in viewer.layers if layer.metadata.get("segkit", {}).get("source") == str(source)]


def add_layers(viewer: Any, data: list[Any], **looks: Any) -> list[Any]:
    """Add layer data and return the layers; traces are never the active layer, in which napari searches at each move."""
    from napari.layers import Layer

    active = viewer.layers.selection.active
    layers = [viewer.add_layer(Layer.create(voxels, {**arguments, **looks}, kind)) for voxels, arguments, kind in data]
    if data and data[-1][2] == "tracks":
        viewer.layers.selection.active = active
    return layers
