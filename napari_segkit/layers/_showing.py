"""Results on the canvas: each is shown once, and shown again it is brought back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari_segkit.layers._readers import open_layers

__all__ = ["add_in_turn", "add_layers", "layers_showing", "show"]


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


def add_in_turn(viewer: Any, data: list[Any], later: Callable[[Callable[[], object]], None]) -> None:
    """Add layer data, the first at once and each other one when it is its turn; the active layer stays the active one.

    A layer takes napari a fifth of a second, for which the window does not answer.

    Parameters
    ----------
    viewer
        The viewer.
    data
        What to add.
    later
        Takes what is to be done when the window has answered in between: `napari_segkit.session.Session.later`.
    """

    def add(one: Any) -> None:
        active = viewer.layers.selection.active
        add_layers(viewer, [one])
        viewer.layers.selection.active = active

    for number, one in enumerate(data):
        (later if number else _now)(partial(add, one))


def _now(action: Callable[[], object]) -> None:
    action()
