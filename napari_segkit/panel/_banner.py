"""One sentence about what went wrong, with ways out, and everything else behind a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout

from napari_segkit.forms import line
from napari_segkit.session import Problem, Session

__all__ = ["Banner"]


class Banner(QFrame):  # type: ignore[misc]
    """Hidden until there is a problem, or something to offer.

    Parameters
    ----------
    session
        Whose problems are shown.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setObjectName("segkit_banner")
        self.sentence = line()
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setMaximumHeight(180)
        self.details.setAccessibleName("details")
        self.details.setToolTip("Everything that is known about it")
        self.details.hide()
        self.more = QPushButton("Details")
        self.more.setCheckable(True)
        self.more.setToolTip("Show everything that is known")
        self.more.toggled.connect(self.details.setVisible)
        self.copy = QPushButton("Copy report")
        self.copy.setToolTip("Copy the sentence, the details and the versions")
        self.copy.clicked.connect(lambda _=False: QGuiApplication.clipboard().setText(self.report()))
        self.close_button = QPushButton("Dismiss")
        self.close_button.setToolTip("Hide this message")
        self.close_button.clicked.connect(lambda _=False: self.hide())
        self.fixes: list[QPushButton] = []
        self._ways = QHBoxLayout()
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        for button in (self.more, self.copy, self.close_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addWidget(self.sentence)
        layout.addLayout(self._ways)
        layout.addLayout(buttons)
        layout.addWidget(self.details)
        self.hide()

    def show_problem(self, problem: Problem) -> None:
        """Say what went wrong, here and in one napari notification."""
        ways = [
            (fix.label, partial(self._session.fixes[fix.key], fix.value))
            for fix in problem.fixes
            if fix.key in self._session.fixes
        ]
        self._show(problem.sentence, problem.details, ways, "#e5534b")
        self.copy.show()
        from napari.utils.notifications import show_error

        show_error(problem.sentence)

    def offer(self, sentence: str, ways: Sequence[tuple[str, Callable[[], Any]]]) -> None:
        """Say something that is no failure, with buttons."""
        self._show(sentence, "", ways, "#6f97d8")
        self.copy.hide()

    def _show(self, sentence: str, details: str, ways: Sequence[tuple[str, Callable[[], Any]]], colour: str) -> None:
        self.setStyleSheet(f"#segkit_banner {{ border: 1px solid {colour}; border-radius: 4px; }}")
        self.sentence.setText(sentence)
        self.details.setPlainText(details)
        self.more.setVisible(bool(details))
        self.more.setChecked(False)
        for button in self.fixes:
            self._ways.removeWidget(button)
            button.deleteLater()
        self.fixes = [self._button(label, action) for label, action in ways]
        self.show()

    def _button(self, label: str, action: Callable[[], Any]) -> QPushButton:
        button = QPushButton(label)
        button.setToolTip(label)
        button.clicked.connect(lambda _=False: (self.hide(), action()))
        self._ways.addWidget(button)
        return button

    def report(self) -> str:
        """Return the sentence, the details and the versions, for a bug report."""
        from importlib.metadata import version
        from platform import platform, python_version

        versions = (
            f"segkit {version('segkit-sdk')}, napari {version('napari')}, Python {python_version()}, {platform()}"
        )
        return "\n\n".join(part for part in (self.sentence.text(), self.details.toPlainText(), versions) if part)
