"""Volumes, results and traces as napari layers."""

from __future__ import annotations

from napari_segkit.layers._images import image_layer
from napari_segkit.layers._layers import AXIS_LABELS, LayerData, layers_of, placement, volume_of_layer
from napari_segkit.layers._readers import open_layers
from napari_segkit.layers._showing import (
    add_hidden,
    add_in_turn,
    add_layers,
    create_layers,
    layers_showing,
    reveal,
    selection_kept,
)

__all__ = [
    "AXIS_LABELS",
    "LayerData",
    "add_hidden",
    "add_in_turn",
    "add_layers",
    "create_layers",
    "image_layer",
    "layers_of",
    "layers_showing",
    "open_layers",
    "placement",
    "reveal",
    "selection_kept",
    "volume_of_layer",
]
