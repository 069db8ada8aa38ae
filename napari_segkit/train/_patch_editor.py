"""The size of a training patch: the largest that fits, found out by trying, or typed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QIntValidator
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_segkit.forms import line
from napari_segkit.session.trainings._trainings import Measured

__all__ = ["PatchEditor"]


class PatchEditor(QWidget):  # type: ignore[misc]
    """Three fields (z, y, x), and a tick that leaves them to a trial."""

    changed = Signal()
    measure_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.automatic = QCheckBox("auto")
        self.automatic.setToolTip(
            "<qt>Try a step in a process of its own, and take the largest patch that fits into 80 % of the free memory and "
            "takes at most a second</qt>"
        )
        self.automatic.setAccessibleName("automatic patch")
        self.automatic.setChecked(True)
        self.sides = [QLineEdit() for _ in range(3)]
        self.measure = QPushButton("Measure")
        self.measure.setToolTip("Try a step now, and say what memory and time it takes")
        self.measure.setAccessibleName("measure a step")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for axis, side, value in zip("zyx", self.sides, (16, 96, 96), strict=True):
            side.setValidator(QIntValidator(1, 4096, side))
            side.setText(str(value))
            side.setMinimumWidth(36)
            side.setAlignment(Qt.AlignmentFlag.AlignRight)
            side.setToolTip(f"Voxels of a patch along {axis}")
            side.setAccessibleName(f"patch {axis}")
            side.textChanged.connect(lambda _: self.changed.emit())
            row.addWidget(side, 1)
        self.said = line()
        below = QHBoxLayout()
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.automatic)
        below.addWidget(self.said, 1)
        below.addWidget(self.measure)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addLayout(below)
        self.automatic.toggled.connect(self._toggled)
        self.measure.clicked.connect(lambda _=False: self.measure_wanted.emit())
        self._toggled(True)

    def _toggled(self, automatic: bool) -> None:
        for side in self.sides:
            side.setEnabled(not automatic)
        self.changed.emit()

    def value(self) -> tuple[int, int, int] | None:
        """Return the typed shape; None where it is left to a trial."""
        return None if self.automatic.isChecked() else self.shape

    @property
    def shape(self) -> tuple[int, int, int]:
        """What is typed; 0 where that is no number."""
        z, y, x = (int(side.text()) if side.hasAcceptableInput() else 0 for side in self.sides)
        return z, y, x

    def set_value(self, shape: Any) -> None:
        """Show a shape; None leaves it to a trial."""
        if shape is not None:
            for side, value in zip(self.sides, shape, strict=True):
                side.setText(str(int(value)))
        self.automatic.setChecked(shape is None)
        self.say("")

    def show_measured(self, measured: Measured) -> None:
        """Show what a trial has found."""
        for side, value in zip(self.sides, measured.patch_shape, strict=True):
            side.blockSignals(True)
            side.setText(str(value))
            side.blockSignals(False)
        memory = "" if measured.memory is None else f"{max(measured.memory, 1e7) / 1e9:.2g} GB · "
        self.say(f"{memory}{measured.seconds:.2g} s a step")

    def say(self, text: str) -> None:
        """Say something under the boxes."""
        self.said.setText(text)
        self.said.setToolTip(text)
