"""The part of the page that cuts a prediction into objects: method, threshold with a preview of the slice, and the button."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_segkit.forms import ComponentPicker, Fold, line
from napari_segkit.layers import layers_showing, selection_kept
from napari_segkit.layers._view import view_box
from napari_segkit.predict._histogram import SizeHistogram
from napari_segkit.predict._result_picker import ResultPicker
from napari_segkit.session import Session
from napari_segkit.session._caught import caught
from napari_segkit.session.predictions._models import SEGMENTERS
from napari_segkit.session.predictions._slice_objects import SliceObjects, Slicer
from segkit.errors import SegkitError
from segkit.geometry import Box

__all__ = ["LAYER_NAME", "Instances"]

LAYER_NAME = "threshold preview"
DEBOUNCE_MS = 150
_THRESHOLDS = ("threshold", "segment_threshold")
_NOT_PREVIEWED = ("flood_fill",)


class Instances(QWidget):  # type: ignore[misc]
    """Controls of the second stage.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    start = Signal()

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self._viewer, self._session = viewer, session
        self._slicer, self._busy, self._wanted = Slicer(), False, False
        self._point: tuple[float, ...] = ()
        self._layer: Any = None
        self.prediction = ResultPicker(viewer, session, "predictions", "image", "prediction")
        self.method = ComponentPicker("segmenters", ("components",))
        self.method.combo.setAccessibleName("method")
        if self.method.component is None:
            self.method.combo.setToolTip("No plugin offers a way to cut predictions")
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 100)
        self.threshold.setAccessibleName("threshold")
        self.threshold.setToolTip("Threshold of the method; the slice on show is cut anew as you move it")
        self.value = QLabel()
        self.value.setFixedWidth(34)
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.preview = QCheckBox("Preview on this slice")
        self.preview.setToolTip("Cut the slice on show with each change, before anything large is run")
        self.preview.setAccessibleName("preview of the threshold")
        self.found = line()
        self.found.hide()
        self.histogram = SizeHistogram()
        self.histogram.hide()
        self.smallest = QSpinBox()
        self.smallest.setRange(0, 2**31 - 1)
        self.smallest.setSuffix(" voxels")
        self.smallest.setMinimumWidth(100)
        self.smallest.setAccessibleName("smallest object")
        self.smallest.setToolTip("Objects of fewer voxels become background, after blocks are stitched")
        self.button = QPushButton("Segment")
        self.button.setToolTip("Cut the whole prediction into objects, block by block")
        self.button.setAccessibleName("Segment")
        self.why_not = line()
        self.why_not.hide()
        self._lay_out()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(DEBOUNCE_MS)
        self._settle.timeout.connect(self._cut)
        self.threshold.valueChanged.connect(self._slid)
        self.method.changed.connect(self._form_changed)
        self.prediction.changed.connect(self._form_changed)
        self.preview.toggled.connect(lambda _: self._preview_toggled())
        self.button.clicked.connect(lambda _=False: self.start.emit())
        self._form_changed()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setColumnStretch(1, 1)
        slider = QHBoxLayout()
        slider.addWidget(self.threshold, 1)
        slider.addWidget(self.value)
        fold = self.fold = Fold("Method and its options")
        fold.body_layout.addWidget(self.method)
        rows: tuple[tuple[str, Any], ...] = (
            ("Prediction", self.prediction),
            ("Threshold", slider),
            ("Smallest", self.smallest),
        )
        for row, (text, what) in enumerate(rows):
            label = QLabel(text)
            label.setFixedWidth(70)
            grid.addWidget(label, row, 0)
            grid.addWidget(what, row, 1) if isinstance(what, QWidget) else grid.addLayout(what, row, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        for widget in (self.preview, self.found, self.histogram, fold, self.why_not, self.button):
            layout.addWidget(widget)

    # ---- what is chosen

    def suggest(self, task: str) -> None:
        """Choose the method that usually cuts the predictions of a task, given by its bare name."""
        for name in SEGMENTERS.get(task, ("components",)):
            if self.method.choose(name):
                return

    def follow_objects(self, package: Path, image: str) -> None:
        """Set up the method that calls a network of its own on the image."""
        component = self.method.component
        if component is not None and component.name in _NOT_PREVIEWED:
            self.method.forms[component.qualified].set_values({"model": str(package)})
            self.prediction.add(image)

    def _threshold(self) -> Any:
        """Return the editor of the method's threshold; None where it has none between 0 and 1."""
        component = self.method.component
        if component is None:
            return None
        editors = self.method.forms[component.qualified].editors
        return next((editors[name] for name in _THRESHOLDS if name in editors), None)

    def _slid(self, value: int) -> None:
        editor = self._threshold()
        if editor is not None:
            editor.set_value(value / 100)

    def _form_changed(self) -> None:
        component, editor = self.method.component, self._threshold()
        self.threshold.setEnabled(editor is not None)
        self.fold.button.setText(f"Method: {component.name.replace('_', ' ')}" if component else "Method")
        if editor is not None:
            try:
                value = float(editor.value())
            except (TypeError, ValueError):
                value = None
            if value is not None:
                self.threshold.blockSignals(True)
                self.threshold.setValue(round(100 * value))
                self.threshold.blockSignals(False)
                self.value.setText(f"{value:.2f}")
        self.preview.setEnabled(self.can_preview)
        self._show_readiness()
        self.ask()

    @property
    def can_preview(self) -> bool:
        """Whether the method reads a prediction, and there is one."""
        component = self.method.component
        return bool(component and component.name not in _NOT_PREVIEWED and self.prediction.place)

    def _show_readiness(self) -> None:
        reason = ""
        if self.method.component is None:
            reason = "No plugin offers a way to cut predictions."
        elif self.prediction.nothing:
            reason = "Predict first, or choose a prediction in another folder."
        self.why_not.setText(reason)
        self.why_not.setVisible(bool(reason))
        self.button.setEnabled(not reason)

    def stage(self) -> dict[str, Any]:
        """Return how objects are cut, for `Stages`.

        Raises
        ------
        UsageError
            If an option is wrong.
        """
        table = self.method.table()
        if table is None:
            raise SegkitError("No plugin offers a way to cut predictions. Install one, such as segkit's own.")
        return {"kind": "segment", "with": table, "min_size": self.smallest.value()}

    # ---- the preview

    def _preview_toggled(self) -> None:
        self.found.setVisible(self.preview.isChecked())
        self.histogram.setVisible(self.preview.isChecked())
        if self.preview.isChecked():
            self.found.setText("Cutting the slice\N{HORIZONTAL ELLIPSIS}")
            self.ask()
        elif self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)

    def ask(self) -> None:
        """Cut the slice on show when choices have settled."""
        if self.preview.isChecked() and self.can_preview:
            self._settle.start()

    def follow(self) -> None:
        """Cut anew if another slice is on show."""
        if self.preview.isChecked():
            point = tuple(round(float(value), 3) for value in self._viewer.dims.point)
            if point != self._point:
                self._point = point
                self.ask()

    def _reference(self) -> Any:
        shown = layers_showing(self._viewer, self.prediction.place)
        return shown[0] if shown else None

    def _cut(self) -> None:
        if self._busy:
            self._wanted = True
            return
        component = self.method.component
        try:
            table = self.method.table()
        except SegkitError as error:
            self.found.setText(str(error))
            return
        if component is None or table is None:
            return
        layer = self._reference()
        box = (
            view_box(layer, self._viewer)
            if layer is not None and self._viewer.dims.ndisplay == 2
            else Box((0, 0, 0), (0, 0, 0))
        )
        self._busy, self._wanted = True, False
        source = self.prediction.place
        work = caught(partial(self._slicer.cut, source, box, table))
        self._session.in_background(work, partial(self._cut_done, source), "Predict")

    def _cut_done(self, source: str, found: SliceObjects | Exception) -> None:
        self._busy = False
        if self._wanted:
            self._cut()
        if not self.preview.isChecked() or source != self.prediction.place:
            return
        if isinstance(found, Exception):
            self.found.setText(str(found))
            self.histogram.show_sizes(np.zeros(0))
            return
        self.found.setText(found.line())
        self.histogram.show_sizes(found.sizes)
        self._draw(found)

    def _draw(self, found: SliceObjects) -> None:
        layer = self._reference()
        if layer is None:
            return
        where = [t + s * a for t, s, a in zip(layer.translate, layer.scale, found.box.start, strict=True)]
        if self._layer is not None and self._layer in self._viewer.layers and self._layer.data.shape == found.ids.shape:
            self._layer.data[...] = found.ids
            self._layer.translate = where
            self._layer.refresh(extent=False, thumbnail=False)
            return
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        with selection_kept(self._viewer):
            self._layer = self._viewer.add_labels(
                found.ids,
                name=LAYER_NAME,
                scale=layer.scale,
                translate=where,
                units=layer.units,
                axis_labels=layer.axis_labels,
                opacity=0.5,
                metadata={"segkit": {"preview": True}},
            )
        self._layer.editable = False

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        try:
            table = self.method.table()
        except SegkitError:
            table = None
        return {"with": table, "smallest": self.smallest.value()}

    def restore(self, state: Any) -> None:
        """Show what was chosen."""
        if isinstance(state.get("with"), dict):
            self.method.set_table(state["with"])
        self.smallest.setValue(int(state.get("smallest", 0)))
        self._form_changed()

    def close_down(self) -> None:
        """Ask for no more previews."""
        self._settle.stop()
