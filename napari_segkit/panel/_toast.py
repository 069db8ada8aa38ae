"""A short message at the bottom of the dock that goes by itself, with Undo where it tells of something removed."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_segkit.forms import line

__all__ = ["Toast"]

SHOWN_MS = 10_000


class Toast(QWidget):  # type: ignore[misc]
    """Hidden until `say` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.text = line()
        self.undo = QPushButton("Undo")
        self.undo.setToolTip("Take this back")
        self.undo.clicked.connect(lambda _=False: self._take_back())
        self._action: Callable[[], None] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SHOWN_MS)
        self._timer.timeout.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.undo)
        self.hide()

    def say(self, text: str, undo: Callable[[], None] | None = None) -> None:
        """Show a message for ten seconds."""
        self.text.setText(text)
        self._action = undo
        self.undo.setVisible(undo is not None)
        self.show()
        self._timer.start()

    def _take_back(self) -> None:
        action, self._action = self._action, None
        self._timer.stop()
        self.hide()
        if action is not None:
            action()
