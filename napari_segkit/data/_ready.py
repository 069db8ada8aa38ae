"""The list "Ready?": what is done, what is missing, and what helps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segkit.forms import colours, line, primary_button
from napari_segkit.session import Check, Fix

__all__ = ["Ready"]

MARKS = {"ready": ("\N{CHECK MARK}", "good"), "advice": ("!", "validation"), "missing": ("\N{BULLET}", "muted")}


class Ready(QWidget):  # type: ignore[misc]
    """Ticks and warnings with a button each, and the one button that goes on.

    Parameters
    ----------
    fix
        Does what a fix says.
    go_on
        What to do when everything is ready.
    """

    def __init__(self, fix: Callable[[Fix], None], go_on: Callable[[], None]) -> None:
        super().__init__()
        self._fix, self._go_on = fix, go_on
        self._shown: list[Check] = []
        self._step: Fix | None = None
        self.rows = QVBoxLayout()
        self.rows.setSpacing(2)
        self.next = primary_button("Open the sample", "What to do next")
        self.next.clicked.connect(lambda _=False: self._go_on() if self._step is None else self._fix(self._step))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self.rows)
        layout.addWidget(self.next)

    @property
    def sentences(self) -> list[str]:
        """What is shown."""
        return [check.sentence for check in self._shown]

    def show_checks(self, checks: Sequence[Check]) -> None:
        """Show these checks."""
        if list(checks) == self._shown:
            return
        self._shown = list(checks)
        while self.rows.count():
            widget = self.rows.takeAt(0).widget()
            widget.setParent(None)
            widget.deleteLater()
        missing = [check for check in checks if not check.ready]
        self._step = missing[0].fix if missing else None
        offered = [self._step]
        for check in checks:
            self.rows.addWidget(self._row(check, button=check.fix not in offered))
            offered.append(check.fix)
        self.next.setVisible(not missing or self._step is not None)
        text = "Continue to Train" if self._step is None else self._step.label
        self.next.setText(text)
        self.next.setAccessibleName(text)

    def themed(self) -> None:
        """Take the colours of another theme."""
        checks, self._shown = self._shown, []
        self.show_checks(checks)

    def _row(self, check: Check, *, button: bool) -> QWidget:
        mark, colour = MARKS["advice" if check.advice else "ready" if check.ready else "missing"]
        sign = QLabel(mark)
        sign.setFixedWidth(14)
        sign.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
        sign.setStyleSheet(f"QLabel {{ color: {colours()[colour]}; font-weight: bold; }}")
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(sign)
        layout.addWidget(line(check.sentence), 1)
        if button and check.fix is not None:
            layout.addWidget(self._button(check.fix))
        return row

    def _button(self, fix: Fix) -> Any:
        made = QPushButton(fix.label)
        made.setToolTip(fix.label)
        made.setAccessibleName(fix.label)
        made.clicked.connect(lambda _=False: self._fix(fix))
        return made
