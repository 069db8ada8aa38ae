"""Help: the keys, where the files are, what the jobs said, and what is installed."""

from __future__ import annotations

from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from typing import Any

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTabWidget,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from napari_segkit.panel._shortcuts import SHORTCUTS
from napari_segkit.session import Session

__all__ = ["HelpWindow", "versions"]

PACKAGES = ("segkit-sdk", "napari", "torch", "numpy", "zarr", "tensorstore", "PySide6_Essentials", "PyQt6")
LOG_CHARACTERS = 100_000


def versions() -> str:
    """Return what is installed, one line each."""
    found = [f"Python {python_version()} on {platform()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "\n".join(found)


class HelpWindow(QDialog):  # type: ignore[misc]
    """A window beside the viewer; it blocks nothing.

    Parameters
    ----------
    parent
        The dock.
    session
        Whose folder and jobs are shown.
    """

    def __init__(self, parent: QWidget, session: Session) -> None:
        super().__init__(parent)
        self.setWindowTitle("segkit help")
        self.resize(620, 460)
        self._session = session
        self.keys, self.system = QTextBrowser(), QPlainTextEdit()
        rows = "".join(f"<tr><td><b>{s.key}</b>&nbsp;&nbsp;</td><td>{escape(s.text)}</td></tr>" for s in SHORTCUTS)
        self.keys.setHtml(
            f"<table cellpadding=3>{rows}</table><p>The keys work while the canvas has the focus.</p>"
            f"<p>Everything is kept in <b>{escape(str(session.project.folder))}</b>: annotations, runs, predictions, "
            "segmentations, traces, and what each job said.</p>"
        )
        self.keys.setAccessibleName("shortcuts and files")
        self.system.setPlainText(versions())
        self.system.setReadOnly(True)
        self.system.setAccessibleName("versions")
        self.system.setToolTip("What is installed; paste it into a bug report")
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Show lines with\N{HORIZONTAL ELLIPSIS}")
        self.filter.setAccessibleName("filter of the log")
        self.filter.setToolTip("Only lines that hold this text are shown")
        self.filter.textChanged.connect(lambda _: self.show_log())
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setAccessibleName("log")
        self.log.setToolTip("What the jobs printed, the latest job first")
        log = QWidget()
        column = QVBoxLayout(log)
        column.addWidget(self.filter)
        column.addWidget(self.log)
        tabs = QTabWidget()
        for widget, title in ((self.keys, "Keys and files"), (log, "Log"), (self.system, "Versions")):
            tabs.addTab(widget, title)
        copy = QPushButton("Copy versions")
        copy.setToolTip("Copy what is installed, for a bug report")
        copy.clicked.connect(lambda _=False: QGuiApplication.clipboard().setText(versions()))
        close = QPushButton("Close")
        close.setToolTip("Close this window")
        close.clicked.connect(lambda _=False: self.hide())
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(copy)
        row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(tabs)
        layout.addLayout(row)

    def showEvent(self, event: Any) -> None:
        """Read the logs when somebody looks."""
        self.show_log()
        super().showEvent(event)

    def show_log(self) -> None:
        """Show what the jobs printed, the latest first."""
        folder, wanted = self._session.project.folder / "jobs", self.filter.text().lower()
        logs = sorted(folder.glob("*/log.txt"), key=lambda log: log.stat().st_mtime, reverse=True)
        lines = [line for log in logs for line in (f"{log.parent.name}:", *_lines(log)) if wanted in line.lower()]
        self.log.setPlainText("\n".join(lines)[:LOG_CHARACTERS])


def _lines(log: Path) -> list[str]:
    return [f"  {line}" for line in log.read_text(errors="replace").splitlines()]
