"""The layers that show traces: all of them, those beside the selected ones, those selected, and places on the one looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_segkit.layers import placement, reveal, selection_kept
from napari_segkit.layers._tracks import SLICES_SHOWN, edge_layer
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._sketch import Sketch, sketch

__all__ = ["ALL", "NEIGHBOURS", "SELECTED", "Drawing"]

Array = np.ndarray[Any, Any]

ALL, NEIGHBOURS, SELECTED = "all", "neighbours", "selected"
MOST_DETAILED = 20_000
MOST_MARKS = 1000
MARKS = MOST_MARKS + 1
DIMMED = 0.15
_NAMES = {ALL: "traces", NEIGHBOURS: "neighbours", SELECTED: "selected trace"}
_WIDTHS = {ALL: 2, NEIGHBOURS: 2, SELECTED: 5}
SELECTED_COLOUR = (1.0, 0.82, 0.2, 1.0)


class Drawing:
    """Owns the layers of the page; a layer that somebody removed comes back when it is drawn again.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[str, Any] = {}
        self._owners: Array = np.zeros(0, np.int64)
        self._slices = SLICES_SHOWN
        self._lowest = 0.0
        self.shown = ALL
        self.note = ""

    # ---- where

    def grid(self, unit: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return voxel size and offset of the first layer in this unit, so that a step in z stays a slice of the image."""
        for layer in self._viewer.layers:
            if layer.ndim == 3 and layer.metadata.get("segkit", {}).get("unit") == unit and layer not in self.layers:
                return tuple(map(float, layer.scale)), tuple(map(float, layer.translate))
        return (1.0,) * 3, (0.0,) * 3

    @property
    def layers(self) -> list[Any]:
        """The layers that are there."""
        return [layer for layer in self._layers.values() if layer in self._viewer.layers]

    def layer(self, name: str) -> Any:
        """Return the layer of all, neighbours, selected or marks; None if it is not there."""
        layer = self._layers.get(name)
        return layer if layer is not None and layer in self._viewer.layers else None

    def seen(self, name: str) -> bool:
        """Return whether a layer is there and shown."""
        layer = self.layer(name)
        return layer is not None and bool(layer.visible)

    # ---- what

    def lay_out(self, name: str, neurons: Neurons) -> None:
        """Add a layer hidden, unless it is there: napari takes long for that, and little to draw in it later."""
        if self.layer(name) is None and len(neurons.edges):
            self._lowest = float(neurons.nodes[:, 0].min())
            self._draw(name, neurons, neurons.edges[:1], np.ones((1, 4)), seen=False)

    def show_all(self, neurons: Neurons, drawn: Sketch, colours: Array, hidden: Array) -> None:
        """Draw the whole set but for what is hidden."""
        self.note = drawn.note
        self._lowest = float(neurons.nodes[:, 0].min()) if len(neurons) else 0.0
        self._owners = drawn.owners
        self._draw(ALL, neurons, drawn.ends, _seen(colours, hidden)[drawn.owners], seen=False)
        self.dim()

    def recolour(self, colours: Array, hidden: Array) -> None:
        """Give all neurons other colours; hidden ones are not seen."""
        layer = self.layer(ALL)
        if layer is not None:
            layer.track_colors = np.repeat(_seen(colours, hidden)[self._owners], 2, axis=0)

    def select(self, neurons: Neurons, rows: Sequence[int], colours: Array) -> None:
        """Draw the selected neurons in detail, and what is beside them."""
        size = 2 * min(self.grid(neurons.unit)[0])
        if len(rows):
            chosen = neurons.chosen(rows)
            detailed = sketch(chosen, size, MOST_DETAILED)
            # One is the brightest thing there is; of several each keeps its colour.
            one = np.array([SELECTED_COLOUR]) if len(rows) == 1 else colours[sorted(rows)]
            self._draw(SELECTED, chosen, detailed.ends, one[detailed.owners])
        else:
            self._put_away(SELECTED)
        if len(rows) and self.shown == NEIGHBOURS:
            beside = np.unique(np.concatenate([neurons.near(row, 20 * size) for row in rows]))
            beside = beside[~np.isin(beside, rows)]
            near = neurons.chosen(beside)
            drawn = sketch(near, size, MOST_DETAILED)
            self._draw(NEIGHBOURS, near, drawn.ends, colours[beside][drawn.owners])
        else:
            self._put_away(NEIGHBOURS)
        self.dim()

    def dim(self) -> None:
        """Let what is selected stand out."""
        chosen = self.seen(SELECTED)
        if (layer := self.layer(ALL)) is not None:
            _change(layer, visible=not chosen or self.shown == ALL, opacity=DIMMED if chosen else 1.0)
        if (layer := self.layer(NEIGHBOURS)) is not None:
            _change(layer, opacity=0.5)

    def mark(self, places: Array, kinds: Array, unit: str, here: int | None) -> None:
        """Mark branch points (kind 0) and tips (kind 1), and one of them as that which is looked at."""
        if not len(places):
            self._put_away("marks")
            return
        size, offset = self.grid(unit)
        keep = np.arange(len(places))
        if len(places) > MOST_MARKS:
            keep = np.unique(np.linspace(0, len(places) - 1, MOST_MARKS).astype(int))
            keep = keep if here is None else np.union1d(keep, [here])
        # Always as many points, of which some are not shown: napari may still slice those of before.
        rest = MARKS - len(keep)
        keep = np.concatenate([keep, np.full(rest, keep[0])])
        shown = np.arange(MARKS) < MARKS - rest
        faces = np.where(kinds[keep, None] == 0, [[0.25, 0.75, 1.0, 1.0]], [[1.0, 0.45, 0.75, 1.0]])
        sizes = np.full(MARKS, 4.0)
        if here is not None:
            faces[keep == here] = (1.0, 1.0, 1.0, 1.0)
            sizes[keep == here] = 8.0
        rows = (places[keep] - np.asarray(offset)) / np.asarray(size)
        layer = self.layer("marks") or self.lay_out_marks(unit)
        layer.data = rows
        layer.shown, layer.size, layer.face_color = shown, sizes, faces
        layer.visible = True  # also where it is: napari draws anew with this

    def lay_out_marks(self, unit: str) -> Any:
        """Add the layer of marks with none to be seen, and return it; napari takes long for a first layer of points."""
        with selection_kept(self._viewer):
            layer = self._layers["marks"] = self._viewer.add_points(
                np.zeros((MARKS, 3)),
                **placement(*self.grid(unit), unit),
                name="branch points and tips",
                size=4.0,
                shown=False,
                border_width=0.08,
                border_color="black",
                canvas_size_limits=(3, 9),
                projection_mode="all",
                blending="translucent_no_depth",
                metadata={"segkit": {"role": "marks"}},
                visible=False,
            )
        reveal(layer)
        return layer

    @property
    def slices(self) -> int:
        """How many slices before and behind the shown one traces are seen in."""
        return self._slices

    def show_slices(self, count: int) -> None:
        """See traces in so many slices before and behind the shown one."""
        self._slices = count
        for name in (ALL, NEIGHBOURS, SELECTED):
            if (layer := self.layer(name)) is not None:
                layer.tail_length = layer.head_length = count

    def clear(self) -> None:
        """Remove all layers, also those that an earlier page has left to the viewer."""
        for name in list(self._layers):
            self._forget(name)
        for layer in tuple(self._viewer.layers):
            if layer.metadata.get("segkit", {}).get("role") in (*_NAMES, "marks"):
                layer.locked = False
                self._viewer.layers.remove(layer)

    def release(self) -> None:
        """Leave the layers to the viewer, where they can be removed by hand."""
        for layer in self.layers:
            layer.locked = False

    # ---- how

    def _draw(self, name: str, neurons: Neurons, ends: Array, colours: Array, *, seen: bool = True) -> None:
        if not len(ends):
            self._put_away(name)
            return
        size, offset = self.grid(neurons.unit)
        data, arguments, _ = edge_layer(neurons.nodes[ends], size, offset, neurons.unit, self._lowest)
        arguments |= {
            "name": _NAMES[name],
            "tail_width": _WIDTHS[name],
            "tail_length": self._slices,
            "head_length": self._slices,
            # What is selected is seen through everything else.
            "blending": "translucent_no_depth" if name == SELECTED else "translucent",
            "metadata": {"segkit": {"role": name}},
            "visible": seen,
        }
        layer, each = self.layer(name), np.repeat(np.asarray(colours, np.float32), 2, axis=0)
        if layer is not None and np.allclose(layer.translate, arguments["translate"]):
            layer.data = data
            layer.track_colors = each
            layer.visible = seen or layer.visible  # as above
            return
        self._forget(name)
        with selection_kept(self._viewer):  # napari looks for what is below the mouse in what is selected
            layer = self._layers[name] = self._viewer.add_tracks(data, **arguments)
        layer.track_colors = each
        layer.locked = True
        if name != SELECTED:
            self.put_below(layer)

    def put_below(self, layer: Any) -> None:
        """Move a layer below those of the page, so that what is selected is drawn over it."""
        layers = self._viewer.layers
        above = [layers.index(other) for other in self.layers if other is not layer]
        if above and layers.index(layer) > min(above):
            layers.move(layers.index(layer), min(above))

    def _put_away(self, name: str) -> None:
        """Hide a layer that has nothing to show; making it again would take longer."""
        layer = self.layer(name)
        if layer is not None:
            _change(layer, visible=False)

    def _forget(self, name: str) -> None:
        layer = self.layer(name)
        self._layers.pop(name, None)
        if layer is not None:
            layer.locked = False
            self._viewer.layers.remove(layer)


def _change(layer: Any, **look: Any) -> None:
    """Set what differs: napari draws the layer and its small picture anew each time."""
    for name, value in look.items():
        if getattr(layer, name) != value:
            setattr(layer, name, value)


def _seen(colours: Array, hidden: Array) -> Array:
    seen = np.array(colours, np.float32)
    seen[hidden, 3] = 0
    return seen
