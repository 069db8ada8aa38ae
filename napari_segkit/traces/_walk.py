"""The card of the neuron that is looked at: what it is like, steps along it, its status and note."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_segkit.forms import QuietCombo, line
from napari_segkit.session.traces._review import STATUSES

__all__ = ["Walk", "small_button"]


def small_button(text: str, tip: str) -> QPushButton:
    """Return a button that is as wide as its text."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setStyleSheet("QPushButton { padding: 3px 6px; }")
    return button


class Walk(QWidget):  # type: ignore[misc]
    """The card; it asks for everything by signals."""

    stepped = Signal(int)
    """To the branch point after this one (1) or before it (-1)."""
    tip_wanted = Signal()
    cut_out_wanted = Signal()
    status_chosen = Signal(str)
    noted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.card = line()
        self.card.setAccessibleName("the selected neuron")
        self.where = line("branch point")
        self.back = small_button("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK} J", "Go to the branch point before (J)")
        self.forward = small_button(
            "K \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}", "Go to the next branch point (K)"
        )
        self.tip = small_button(
            "Tip N \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
            "Go to the next end of the neuron, where splits hide (N)",
        )
        self.cut_out = small_button("Cut-out", "Show the image around this place in full resolution, in 3D")
        self.back.clicked.connect(lambda _=False: self.stepped.emit(-1))
        self.forward.clicked.connect(lambda _=False: self.stepped.emit(1))
        self.tip.clicked.connect(lambda _=False: self.tip_wanted.emit())
        self.cut_out.clicked.connect(lambda _=False: self.cut_out_wanted.emit())
        self.status = QuietCombo()
        self.status.setAccessibleName("status")
        self.status.setToolTip("What you found out about the selected neurons; kept in review.csv beside the traces")
        for status in STATUSES:
            self.status.addItem(status or "no status", status)
        self.status.activated.connect(lambda _: self.status_chosen.emit(str(self.status.currentData())))
        self.note = QLineEdit()
        self.note.setPlaceholderText("note")
        self.note.setAccessibleName("note")
        self.note.setToolTip("A note about the selected neurons; Enter keeps it")
        self.note.editingFinished.connect(lambda: self.noted.emit(self.note.text()) if self.note.isModified() else None)
        steps, said = QHBoxLayout(), QHBoxLayout()
        steps.addWidget(self.where, 1)
        for button in (self.back, self.forward, self.tip, self.cut_out):
            steps.addWidget(button)
        said.addWidget(self.status, 2)
        said.addWidget(self.note, 3)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.card)
        column.addLayout(steps)
        column.addLayout(said)

    def show_neuron(self, text: str, at: tuple[int, int] | None, status: str, note: str) -> None:
        """Show a neuron: what is known, at which of how many branch points, status and note; empty text for none."""
        self.card.setText(text or "Nothing is selected. Click a row, or double click a trace on the canvas.")
        here = at[0] if at and at[0] else "\N{EN DASH}"
        where = "" if at is None else f"branch {here} / {at[1]}"
        self.where.setText(where)
        for widget in (self.back, self.forward, self.tip, self.cut_out, self.status, self.note):
            widget.setEnabled(bool(text))
        if not self.note.hasFocus() or not text:
            self.note.setText(note)
        self.status.setCurrentIndex(max(0, self.status.findData(status)))
