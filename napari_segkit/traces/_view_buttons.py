"""What is seen on the canvas: focus, which neurons are shown, and in how many slices."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from napari_segkit.forms import primary_button
from napari_segkit.layers._tracks import SLICES_SHOWN
from napari_segkit.traces._drawing import ALL, NEIGHBOURS, SELECTED
from napari_segkit.traces._walk import small_button

__all__ = ["ViewButtons"]

WORDS = {ALL: "Shown: all  W", NEIGHBOURS: "Shown: near  W", SELECTED: "Shown: selected  W"}
MOST_SLICES = 200


class ViewButtons(QWidget):  # type: ignore[misc]
    """The buttons below the table."""

    focus_wanted = Signal()
    cycle_wanted = Signal()
    hide_wanted = Signal()
    plane_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.focus = primary_button("Focus  U", "Bring the selected neurons into view (U); flies there in 3D")
        self.mode = QPushButton(WORDS[ALL])
        self.mode.setAccessibleName("which neurons are shown")
        self.mode.setToolTip("Show all neurons, the selected ones with those near them, or only the selected ones (W)")
        self.hide_button = QPushButton("Hide")
        self.hide_button.setAccessibleName("hide or show the selected neurons")
        self.hide_button.setToolTip("Hide the selected neurons on the canvas, or show them again")
        self.slices = QSlider(Qt.Orientation.Horizontal)
        self.slices.setRange(1, MOST_SLICES)
        self.slices.setAccessibleName("slices")
        self.slices.setToolTip("In how many slices before and behind the shown one traces are seen, in 2D")
        self.plane = small_button(
            "Plane  Q", "Show or hide images in 3D, where each is a plane at the slice you looked at (Q)"
        )
        self.plane.clicked.connect(lambda _=False: self.plane_wanted.emit())
        self.text = QLabel()
        self.text.setMinimumWidth(86)
        self.slices.valueChanged.connect(lambda count: self.text.setText(f"\N{PLUS-MINUS SIGN} {count} slices"))
        self.slices.setValue(SLICES_SHOWN)
        self.focus.clicked.connect(lambda _=False: self.focus_wanted.emit())
        self.mode.clicked.connect(lambda _=False: self.cycle_wanted.emit())
        self.hide_button.clicked.connect(lambda _=False: self.hide_wanted.emit())
        first, second = QHBoxLayout(), QHBoxLayout()
        for button, wide in ((self.focus, 3), (self.mode, 4), (self.hide_button, 2)):
            first.addWidget(button, wide)
        second.addWidget(self.text)
        second.addWidget(self.slices, 1)
        second.addWidget(self.plane)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(first)
        column.addLayout(second)

    def show_mode(self, mode: str) -> None:
        """Say which neurons are shown."""
        self.mode.setText(WORDS[mode])

    def show_selected(self, count: int, hidden: bool) -> None:
        """Say what can be done with so many selected neurons."""
        self.focus.setEnabled(count > 0)
        self.hide_button.setEnabled(count > 0)
        self.hide_button.setText("Show" if hidden else "Hide")
