"""Search, least length, and what is in view."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from napari_segkit.forms import QuietCombo

__all__ = ["Finder"]

SETTLE_MS = 200


class Finder(QWidget):  # type: ignore[misc]
    """What narrows the table down, and how neurons are coloured."""

    changed = Signal()
    colour_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText("id, status or note")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("search")
        self.search.setToolTip(
            "Beginning of an id, several with commas; a status (ok, split, merge, check); a word of a note"
        )
        self.least = _Quiet()
        self.least.setRange(0, 1e9)
        self.least.setDecimals(1)
        self.least.setSpecialValueText("any length")
        self.least.setAccessibleName("least cable length")
        self.least.setToolTip("Show only neurons with at least this much cable")
        self.least.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.view_only = QCheckBox("in view only")
        self.view_only.setToolTip("Show only neurons that are on the canvas now")
        self.colour = QuietCombo()
        self.colour.setAccessibleName("colour by")
        self.colour.setMinimumContentsLength(4)
        self.colour.setToolTip("What the colours of the traces say")
        self.colour.activated.connect(lambda _: self.colour_wanted.emit(str(self.colour.currentData())))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.timeout.connect(self.changed)
        for signal in (self.search.textChanged, self.least.valueChanged, self.view_only.toggled):
            signal.connect(lambda _: self._timer.start())
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.search, 3)
        first.addWidget(self.least, 2)
        second.addWidget(self.view_only)
        second.addStretch(1)
        second.addWidget(QLabel("colour by"))
        second.addWidget(self.colour, 6)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(first)
        column.addLayout(second)

    def settle(self) -> None:
        """Look again a little later; called when the camera moves."""
        if self.view_only.isChecked():
            self._timer.start()

    def show_columns(self, titles: dict[str, str], unit: str, chosen: str) -> None:
        """List what traces can be coloured by, by key, and say what lengths are in."""
        self.colour.clear()
        for key, title in titles.items():
            self.colour.addItem(title, key)
        self.colour.setCurrentIndex(max(0, self.colour.findData(chosen)))
        self.least.setSuffix(f" {unit}")


class _Quiet(QDoubleSpinBox):  # type: ignore[misc]
    """Leaves the wheel to the page unless it has the focus."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: object) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
