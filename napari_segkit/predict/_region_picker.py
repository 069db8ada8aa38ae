"""Choosing what of an image is predicted: what is on the canvas, a box, or all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_segkit.forms import QuietCombo
from napari_segkit.layers import selection_kept
from napari_segkit.layers._view import view_box
from napari_segkit.session.images._region import Level, region_text, scaled_box, slab
from segkit.errors import UsageError
from segkit.geometry import Box

__all__ = ["RegionPicker"]

VIEW, BOX, WHOLE = "view", "box", "whole"
LAYER_NAME = "region to predict"


class RegionPicker(QWidget):  # type: ignore[misc]
    """The region, in voxels of the level that is predicted.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._level: Level | None = None
        self._layer: Any = None
        self._lines: Any = None
        self.kind = QuietCombo()
        for text, kind, tip in (
            ("Current view", VIEW, "What is on the canvas, some slices deep"),
            ("Box", BOX, "A box that is typed or drawn"),
            ("Whole volume", WHOLE, "All of the image"),
        ):
            self.kind.addItem(text, kind)
            self.kind.setItemData(self.kind.count() - 1, tip, 3)
        self.kind.setMinimumWidth(106)
        self.kind.setAccessibleName("region")
        self.kind.setToolTip("Which part of the image is predicted")
        self.slices = QSpinBox()
        self.slices.setRange(1, 100_000)
        self.slices.setValue(16)
        self.slices.setSuffix(" slices")
        self.slices.setMinimumWidth(94)
        self.slices.setAccessibleName("slices of the view")
        self.slices.setToolTip("How many slices around the one on show are predicted")
        self.text = QLineEdit()
        self.text.setMinimumWidth(60)
        self.text.setPlaceholderText("z0:64, y128:512, x128:512")
        self.text.setAccessibleName("box")
        self.text.setToolTip("Ranges of voxels of the chosen level; an axis that is left out is taken whole")
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Drag a rectangle on the slice; the box is so many slices deep around it")
        self.draw.setAccessibleName("draw the box")
        self.typed = QWidget()
        typed = QHBoxLayout(self.typed)
        typed.setContentsMargins(0, 0, 0, 0)
        typed.addWidget(self.text, 1)
        typed.addWidget(self.draw)
        top = QHBoxLayout()
        top.addWidget(self.kind, 1)
        top.addWidget(self.slices)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.typed)
        self.kind.currentIndexChanged.connect(lambda _: self._kind_chosen())
        self.slices.valueChanged.connect(lambda _: self.changed.emit())
        self.text.textChanged.connect(lambda _: self.changed.emit())
        self.draw.clicked.connect(lambda _=False: self._begin_drawing())
        self._kind_chosen()

    def _kind_chosen(self) -> None:
        self.typed.setVisible(self.kind.currentData() == BOX)
        self.slices.setVisible(self.kind.currentData() != WHOLE)
        if self.kind.currentData() != BOX:
            self.stop_drawing()
            if self._lines is not None and self._lines in self._viewer.layers:
                self._viewer.layers.remove(self._lines)
        self.changed.emit()

    @property
    def follows_view(self) -> bool:
        """Whether the region changes as the view does."""
        return bool(self.kind.currentData() == VIEW)

    def region(self, level: Level, layer: Any) -> str:
        """Return the region as the command takes it.

        Parameters
        ----------
        level
            The level that is predicted.
        layer
            The layer that shows the image; None where it is not open.

        Raises
        ------
        UsageError
            If the box cannot be read, or the view is wanted of an image that is not open.
        """
        self._level, self._layer = level, layer
        kind, whole = self.kind.currentData(), Box.of_shape(level.shape)
        if kind == WHOLE:
            return ""
        if kind == BOX:
            if not self.text.text().strip():
                raise UsageError("Type a box, or draw it.")
            return region_text(Box.parse(self.text.text(), whole), level.shape)
        if layer is None:
            raise UsageError("Show the image to predict the current view, or choose another region.")
        return region_text(self.view(level, layer, self.slices.value()), level.shape)

    def view(self, level: Level, layer: Any, slices: int) -> Box:
        """Return what is on the canvas, so many slices deep, in voxels of a level."""
        seen = scaled_box(view_box(layer, self._viewer), level)
        dims = self._viewer.dims
        if dims.ndisplay != 2:
            return seen
        return slab(seen, slices, level.shape, dims.order[-3] - (dims.ndim - 3))

    # ---- drawing

    def _begin_drawing(self) -> None:
        viewer = self._viewer
        if self._layer is None or self._drag in viewer.mouse_drag_callbacks:
            return
        viewer.dims.ndisplay = 2
        viewer.scene.camera.mouse_pan = False
        viewer.mouse_drag_callbacks.append(self._drag)
        self.draw.setText("Drag\N{HORIZONTAL ELLIPSIS}")

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow the mouse from press to release, and take the rectangle between."""
        first = event.position
        yield
        while event.type == "mouse_move":
            self._take(first, event.position)
            yield
        self._take(first, event.position)
        self.stop_drawing()

    def stop_drawing(self) -> None:
        """Give the mouse back."""
        self.draw.setText("Draw")
        if self._drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._drag)
            self._viewer.scene.camera.mouse_pan = True

    def _take(self, first: Any, last: Any) -> None:
        """Put the rectangle between two places of the canvas into the line, as deep as the view is."""
        layer, level = self._layer, self._level
        if layer is None or level is None:
            return
        ends = np.sort([np.asarray(layer.world_to_data(place))[-3:] for place in (first, last)], axis=0)
        low, high = np.floor(ends[0]).astype(int), np.ceil(ends[1]).astype(int) + 1
        shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])) & Box.of_shape(shape)
        if box is not None:
            dims = self._viewer.dims
            scaled = slab(scaled_box(box, level), self.slices.value(), level.shape, dims.order[-3] - (dims.ndim - 3))
            self.text.setText(str(scaled))
            self._outline(layer, box)

    def _outline(self, layer: Any, box: Box) -> None:
        """Draw the rectangle on the canvas."""
        y0, x0, y1, x1 = (float(n) for n in (*box.start[1:], *(n - 1 for n in box.stop[1:])))
        z = float(box.start[0])
        corners = np.array([(z, y0, x0), (z, y0, x1), (z, y1, x1), (z, y1, x0)])
        lines = np.stack([corners, np.roll(corners, -1, axis=0) - corners], axis=1)
        if self._lines is not None and self._lines in self._viewer.layers:
            self._lines.data = lines
            return
        with selection_kept(self._viewer):
            self._lines = self._viewer.add_vectors(
                lines,
                name=LAYER_NAME,
                vector_style="line",
                edge_width=1,
                edge_color="yellow",
                scale=layer.scale,
                translate=layer.translate,
                units=layer.units,
                axis_labels=layer.axis_labels,
                metadata={"segkit": {"preview": True}},
            )

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        return {"kind": self.kind.currentData(), "slices": self.slices.value(), "box": self.text.text()}

    def restore(self, state: Any) -> None:
        """Show what was chosen."""
        self.slices.setValue(int(state.get("slices", 16)))
        self.text.setText(str(state.get("box", "")))
        self.kind.setCurrentIndex(max(0, self.kind.findData(state.get("kind"))))
