"""Results on the canvas: each is shown once, and shown again it is brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer

__all__ = ["add_hidden", "add_in_turn", "add_layers", "create_layers", "layers_showing", "reveal", "selection_kept"]

REVEAL_MS = 20
"""Until an added layer is drawn; with less, Qt may draw before it answers."""

SELECT_MS = 2 * REVEAL_MS
"""Until an added layer is selected, for which napari shows the controls of that layer."""


def layers_showing(viewer: Any, source: str | Path) -> list[Any]:
    """Return the layers that show a source."""
    return [layer for layer in viewer.layers if layer.metadata.get("segkit", {}).get("source") == str(source)]


def create_layers(data: list[Any]) -> list[Any]:
    """Make layers of layer data, which no viewer holds yet; in a thread where one is at hand, as it can take a second."""
    from napari.layers import Layer

    return [Layer.create(voxels, arguments, kind) for voxels, arguments, kind in data]


@contextmanager
def selection_kept(viewer: Any) -> Iterator[None]:
    """Add layers without selecting them, which napari does otherwise, and for which it takes a third of the time."""
    selection = viewer.layers.selection
    selected = set(selection)
    with selection.events.blocker_all():  # what is selected is the same in the end, so that nobody misses anything
        try:
            yield
        finally:
            selection.clear()
            selection.update(selected)


def add_layers(viewer: Any, layers: list[Any]) -> list[Any]:
    """Add layers and return them; the last one is selected, unless it holds traces: napari searches it at each move.

    They are selected and drawn when the window has answered in between: at once, it takes up to a third of a second.
    """
    add_hidden(viewer, layers)
    if layers and not hasattr(layers[-1], "tail_length"):
        QTimer.singleShot(SELECT_MS, partial(_select, viewer, layers[-1]))
    return layers


def add_hidden(viewer: Any, layers: list[Any]) -> list[Any]:
    """Add layers and return them; they are shown when the window has answered in between, and none is selected."""
    for layer in layers:
        seen, layer.visible = layer.visible, False
        with selection_kept(viewer):
            viewer.add_layer(layer)
        if seen:
            reveal(layer)
    return layers


def _select(viewer: Any, layer: Any) -> None:
    if layer in viewer.layers:
        viewer.layers.selection.active = layer


def reveal(layer: Any) -> None:
    """Show a layer that was added hidden when the window has answered in between."""
    QTimer.singleShot(REVEAL_MS, partial(setattr, layer, "visible", True))


def add_in_turn(viewer: Any, layers: list[Any], later: Callable[[Callable[[], object]], None]) -> None:
    """Add layers, the first at once and each other one when it is its turn; what is selected stays selected.

    Parameters
    ----------
    viewer
        The viewer.
    layers
        What to add, from `create_layers`.
    later
        Takes what is to be done when the window has answered in between: `napari_segkit.session.Session.later`.
    """
    for number, layer in enumerate(layers):
        if number:
            later(partial(add_hidden, viewer, [layer]))
        else:
            add_hidden(viewer, [layer])
