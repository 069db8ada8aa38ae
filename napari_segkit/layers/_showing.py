"""Results on the canvas: each is shown once, and shown again it is brought back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer

__all__ = ["add_in_turn", "add_layers", "create_layers", "layers_showing", "reveal"]

REVEAL_MS = 20
"""Until an added layer is drawn; with less, Qt may draw before it answers."""


def layers_showing(viewer: Any, source: str | Path) -> list[Any]:
    """Return the layers that show a source."""
    return [layer for layer in viewer.layers if layer.metadata.get("segkit", {}).get("source") == str(source)]


def create_layers(data: list[Any]) -> list[Any]:
    """Make layers of layer data, which no viewer holds yet; in a thread where one is at hand, as it can take a second."""
    from napari.layers import Layer

    return [Layer.create(voxels, arguments, kind) for voxels, arguments, kind in data]


def add_layers(viewer: Any, layers: list[Any]) -> list[Any]:
    """Add layers and return them; traces are never the active layer, in which napari searches at each move.

    They are drawn when the window has answered in between: both together take napari up to a third of a second.
    """
    active = viewer.layers.selection.active
    for layer in layers:
        seen, layer.visible = layer.visible, False
        viewer.add_layer(layer)
        if seen:
            reveal(layer)
    if layers and hasattr(layers[-1], "tail_length"):
        viewer.layers.selection.active = active
    return layers


def reveal(layer: Any) -> None:
    """Show a layer that was added hidden when the window has answered in between."""
    QTimer.singleShot(REVEAL_MS, partial(setattr, layer, "visible", True))


def add_in_turn(viewer: Any, layers: list[Any], later: Callable[[Callable[[], object]], None]) -> None:
    """Add layers, the first at once and each other one when it is its turn; the active layer stays the active one.

    Parameters
    ----------
    viewer
        The viewer.
    layers
        What to add, from `create_layers`.
    later
        Takes what is to be done when the window has answered in between: `napari_segkit.session.Session.later`.
    """

    def select_again(active: Any) -> None:
        if active is None or active in viewer.layers:
            viewer.layers.selection.active = active

    def add(layer: Any) -> None:
        active = viewer.layers.selection.active
        add_layers(viewer, [layer])
        QTimer.singleShot(REVEAL_MS, partial(select_again, active))

    for number, layer in enumerate(layers):
        (later if number else _now)(partial(add, layer))


def _now(action: Callable[[], object]) -> None:
    action()
