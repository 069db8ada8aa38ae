"""What the model sees: one training patch as it comes from the data, what is wanted of it, and what the network says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_segkit.forms import Fold, line

__all__ = ["ModelSees"]

_WIDTH = 108
_UNKNOWN = (70, 70, 90)
_WHAT = (
    ("image", "Image", "The patch as the network gets it: normalised and augmented"),
    ("target", "Target", "What the task makes of the labels; bluish grey where nothing is known"),
    ("output", "Output", "What the network makes of it"),
)


class ModelSees(Fold):
    """A closed heading with three pictures; asks for a new patch only while it is open."""

    opened = Signal(bool)

    def __init__(self) -> None:
        super().__init__("What the model sees")
        self.button.setToolTip("Show a training patch: image, target and output; finds broken labels in seconds")
        self.pictures: dict[str, QLabel] = {}
        row = QHBoxLayout()
        row.setSpacing(4)
        for key, name, tip in _WHAT:
            column = QVBoxLayout()
            column.setSpacing(1)
            picture = self.pictures[key] = QLabel()
            picture.setFixedSize(_WIDTH, _WIDTH)
            picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setToolTip(tip)
            picture.setAccessibleName(name.lower())
            column.addWidget(picture)
            caption = QLabel(name)
            caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(caption)
            row.addLayout(column)
        row.addStretch(1)
        holder = QWidget()
        holder.setLayout(row)
        self.body_layout.addWidget(holder)
        self.said = line("A patch appears here with the next steps of a training.")
        self.body_layout.addWidget(self.said)
        self.button.toggled.connect(self.opened)

    @property
    def open_now(self) -> bool:
        """Whether anybody looks."""
        return bool(self.button.isChecked())

    def show_patch(self, record: Mapping[str, Any], parts: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Show a patch that a training has written, see `segkit.training.Patch`."""
        channel = min(1, len(parts["target"]) - 1)
        mask = parts["mask"][min(channel, len(parts["mask"]) - 1)]
        planes = {
            "image": parts["image"][0],
            "target": parts["target"][channel],
            "output": parts["output"][min(channel, len(parts["output"]) - 1)],
        }
        for key, plane in planes.items():
            colours = np.repeat(plane[..., None], 3, axis=2)
            if key == "target":
                colours[~mask] = _UNKNOWN
            self.pictures[key].setPixmap(_pixmap(colours))
        known = 100 * float(mask.mean())
        self.said.setText(f"Step {record['step']} · {known:.0f} % of it is labelled")
        self.said.setToolTip(str(record.get("origin", "")))


def _pixmap(colours: np.ndarray[Any, Any]) -> QPixmap:
    colours = np.ascontiguousarray(colours, np.uint8)
    height, width = colours.shape[:2]
    image = QImage(colours.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image).scaled(
        _WIDTH, _WIDTH, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation
    )
