"""The classes that are painted: a chip for each, with its colour, number and name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QLineEdit, QPushButton, QToolButton, QWidget

__all__ = ["COLOURS", "Classes", "colormap"]

# Well apart from each other and from grey; okabe and ito's set, brightened for dark images, then repeated.
COLOURS = ("#3b82f6", "#f59e0b", "#22c55e", "#ec4899", "#a78bfa", "#14b8a6", "#ef4444", "#eab308")


def colormap() -> Any:
    """Return the colours of a box's layer: nothing for 0, those of the chips for the others."""
    import numpy as np
    from napari.utils.colormaps import CyclicLabelColormap

    rows = [[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0] for colour in COLOURS]
    return CyclicLabelColormap(colors=np.array([[0.0, 0.0, 0.0, 0.0], *rows]), background_value=0)


class Classes(QWidget):  # type: ignore[misc]
    """A chip for each class, two in a row, and one that adds another."""

    chosen = Signal(int)
    renamed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[QLineEdit] = []
        self.chips: list[QToolButton] = []
        self._group = QButtonGroup(self)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self.add = QPushButton("+ class", self)
        self.add.setToolTip("Add a class")
        self.add.setAccessibleName("add a class")
        self.add.clicked.connect(lambda _=False: self._add())

    @property
    def label(self) -> int:
        """The class that is painted now."""
        return max(1, int(self._group.checkedId()))

    def show_classes(self, names: Sequence[str]) -> None:
        """Show these classes."""
        if [edit.text() for edit in self.names] == list(names):
            return
        chosen = self.label
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            if widget is not self.add:
                widget.setParent(None)
                widget.deleteLater()
        self.names, self.chips = [], []
        for number, name in enumerate(names, 1):
            self._grid.addWidget(self._row(number, name), (number - 1) // 2, (number - 1) % 2)
        self._grid.addWidget(self.add, len(names) // 2, len(names) % 2)
        # New controls would come last for the Tab key.
        before = self.add.previousInFocusChain()
        for control in [control for pair in zip(self.chips, self.names, strict=True) for control in pair]:
            QWidget.setTabOrder(before, control)
            before = control
        QWidget.setTabOrder(before, self.add)
        self.choose(min(chosen, len(names)))

    def choose(self, label: int) -> None:
        """Mark the chip of a label, if it has one."""
        if 1 <= label <= len(self.chips):
            self.chips[label - 1].setChecked(True)

    def _row(self, number: int, name: str) -> QWidget:
        chip = QToolButton()
        chip.setText(str(number))
        chip.setCheckable(True)
        chip.setFixedWidth(30)
        colour = COLOURS[(number - 1) % len(COLOURS)]
        chip.setStyleSheet(
            f"QToolButton {{ background: {colour}; color: black; border: 3px solid transparent; border-radius: 6px; "
            "font-weight: bold; padding: 1px; } QToolButton:checked { border-color: #8f8f8f; }"
        )
        chip.setToolTip(f"Paint {name} (label {number})")
        chip.setAccessibleName(f"paint class {number}")
        chip.clicked.connect(_call(self.chosen.emit, number))
        self._group.addButton(chip, number)
        edit = QLineEdit(name)
        edit.setMinimumWidth(60)
        edit.setToolTip("Name of the class")
        edit.setAccessibleName(f"name of class {number}")
        edit.editingFinished.connect(self._named)
        self.chips.append(chip)
        self.names.append(edit)
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(chip)
        layout.addWidget(edit, 1)
        return row

    def _named(self) -> None:
        self.renamed.emit([edit.text().strip() or f"class {n}" for n, edit in enumerate(self.names, 1)])

    def _add(self) -> None:
        names = [edit.text() for edit in self.names]
        self.renamed.emit([*names, f"class {len(names) + 1}"])
        self.choose(len(names) + 1)
        self.chosen.emit(len(names) + 1)


def _call(function: Callable[[int], Any], number: int) -> Callable[..., None]:
    def call(_: bool = False) -> None:
        function(number)

    return call
