"""One sentence about what went wrong, at the top of the panel, with everything else behind a button."""

from __future__ import annotations

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QSizePolicy, QVBoxLayout

__all__ = ["Banner"]


class Banner(QFrame):  # type: ignore[misc]
    """Hidden until `show_error` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segkit_banner")
        self.setStyleSheet("#segkit_banner { border: 1px solid #e5534b; border-radius: 4px; }")
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setMaximumHeight(180)
        self.details.setAccessibleName("details of the error")
        self.details.hide()
        self.more = QPushButton("Details")
        self.more.setCheckable(True)
        self.more.setToolTip("Show everything the command printed")
        self.more.toggled.connect(self.details.setVisible)
        copy = QPushButton("Copy")
        copy.setToolTip("Copy the sentence and the details")
        copy.clicked.connect(lambda _=False: QGuiApplication.clipboard().setText(self.report()))
        close = QPushButton("Dismiss")
        close.setToolTip("Hide this message")
        close.clicked.connect(lambda _=False: self.hide())
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        for button in (self.more, copy, close):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addWidget(self.sentence)
        layout.addLayout(buttons)
        layout.addWidget(self.details)
        self.hide()

    def show_error(self, sentence: str, details: str = "") -> None:
        """Say what went wrong, here and in one napari notification.

        Parameters
        ----------
        sentence
            What happened and what to do.
        details
            Everything else that is known, such as the output of a command.
        """
        self.sentence.setText(sentence)
        self.details.setPlainText(details)
        self.more.setVisible(bool(details))
        self.more.setChecked(False)
        self.show()
        from napari.utils.notifications import show_error

        show_error(sentence)

    def report(self) -> str:
        """Return the sentence, the details and the versions, for a bug report."""
        from importlib.metadata import version
        from platform import platform, python_version

        versions = (
            f"segkit {version('segkit-sdk')}, napari {version('napari')}, Python {python_version()}, {platform()}"
        )
        return "\n\n".join(part for part in (self.sentence.text(), self.details.toPlainText(), versions) if part)
