"""Choosing what of an image is predicted: what is on the canvas, a box, or all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_segkit.forms import QuietCombo
from napari_segkit.layers import placement
from napari_segkit.layers._view import view_box
from napari_segkit.session._region import Level, region_text, scaled_box, slab
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
        self._shapes: Any = None
        self.kind = QuietCombo()
        for text, kind, tip in (
            ("Current view", VIEW, "What is on the canvas, some slices deep"),
            ("Box", BOX, "A box that is typed or drawn"),
            ("Whole volume", WHOLE, "All of the image"),
        ):
            self.kind.addItem(text, kind)
            self.kind.setItemData(self.kind.count() - 1, tip, 3)
        self.kind.setAccessibleName("region")
        self.kind.setToolTip("Which part of the image is predicted")
        self.slices = QSpinBox()
        self.slices.setRange(1, 100_000)
        self.slices.setValue(16)
        self.slices.setSuffix(" slices")
        self.slices.setAccessibleName("slices of the view")
        self.slices.setToolTip("How many slices around the one on show are predicted")
        self.text = QLineEdit()
        self.text.setPlaceholderText("z0:64, y128:512, x128:512")
        self.text.setAccessibleName("box")
        self.text.setToolTip("Ranges of voxels of the chosen level; an axis that is left out is taken whole")
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Draw a rectangle on the slice; the box is as many slices deep as the view")
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
        self._level = level
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
        level, viewer = self._level, self._viewer
        if level is None:
            return
        if self._shapes is None or self._shapes not in viewer.layers:
            self._shapes = viewer.add_shapes(
                ndim=3,
                name=LAYER_NAME,
                edge_color="yellow",
                face_color="transparent",
                edge_width=1,
                metadata={"segkit": {"preview": True}},
                **placement(level.voxel_size, level.offset, level.unit),
            )
            self._shapes.events.data.connect(self._drawn)
        viewer.dims.ndisplay = 2
        viewer.layers.selection.active = self._shapes
        self._shapes.mode = "add_rectangle"

    def _drawn(self, event: Any) -> None:
        if self._level is None or not len(self._shapes.data) or str(getattr(event, "action", "")).endswith("ing"):
            return
        corners = np.asarray(self._shapes.data[-1])
        whole = Box.of_shape(self._level.shape)
        low = [int(np.floor(value)) for value in corners.min(axis=0)]
        high = [int(np.ceil(value)) + 1 for value in corners.max(axis=0)]
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])) & whole
        if box is None:
            return
        flat = int(np.argmin(box.shape))
        self.text.setText(str(slab(box, self.slices.value(), self._level.shape, flat)))

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        return {"kind": self.kind.currentData(), "slices": self.slices.value(), "box": self.text.text()}

    def restore(self, state: Any) -> None:
        """Show what was chosen."""
        self.slices.setValue(int(state.get("slices", 16)))
        self.text.setText(str(state.get("box", "")))
        self.kind.setCurrentIndex(max(0, self.kind.findData(state.get("kind"))))
