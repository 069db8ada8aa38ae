"""The page that uses a trained network: predict an image, cut the prediction into objects, trace them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_segkit._component_picker import ComponentPicker
from napari_segkit._fold import Fold
from napari_segkit._source_picker import SourcePicker

__all__ = ["ResultsPage"]

# What usually cuts the predictions of a task; whatever is not installed is passed over.
_SEGMENTER_OF_TASK = {"boundaries": "watershed"}


class ResultsPage(QWidget):  # type: ignore[misc]
    """Controls only; the panel decides what they do.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    predict = Signal()
    segment = Signal()
    trace = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.image = SourcePicker(viewer, ("image",), "image")
        self.prediction = SourcePicker(viewer, ("image",), "prediction")
        self.objects = SourcePicker(viewer, ("labels",), "objects")
        self.segmenter = ComponentPicker("segmenters")
        self.tracer = ComponentPicker("tracers")
        self.model = QLabel()
        self.model.setWordWrap(True)
        self.model.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        self.buttons: list[QPushButton] = []
        steps = (
            (
                "1  Predict",
                "Image",
                self.image,
                None,
                self.predict,
                "Predict",
                "Predict the whole image with the best weights of the run",
            ),
            (
                "2  Cut into objects",
                "Prediction",
                self.prediction,
                self.segmenter,
                self.segment,
                "Segment",
                "Give every object of the prediction an id",
            ),
            (
                "3  Trace",
                "Objects",
                self.objects,
                self.tracer,
                self.trace,
                "Trace",
                "Draw the skeletons of the objects and show them in 3D",
            ),
        )
        for title, name, picker, component, signal, text, tip in steps:
            layout.addWidget(QLabel(f"<b>{title}</b>"))
            if component is None:
                layout.addWidget(self.model)
            grid = QGridLayout()
            grid.setHorizontalSpacing(8)
            grid.setColumnStretch(1, 1)
            label = QLabel(name)
            label.setFixedWidth(116)
            grid.addWidget(label, 0, 0)
            grid.addWidget(picker, 0, 1)
            layout.addLayout(grid)
            if component is not None:
                fold = Fold("Method")
                fold.body_layout.addWidget(component)
                layout.addWidget(fold)
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, signal=signal: signal.emit())
            self.buttons.append(button)
            layout.addWidget(button)
        layout.addStretch(1)

    def suggest(self, task: str) -> None:
        """Choose the segmenter that usually fits the predictions of a task, given by its qualified name."""
        self.segmenter.choose(_SEGMENTER_OF_TASK.get(task.rpartition(":")[2], "components"))

    def refresh(self) -> None:
        """List the layers that exist now."""
        for picker in (self.image, self.prediction, self.objects):
            picker.refresh()
