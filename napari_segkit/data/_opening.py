"""The line that opens files: typed, dropped, browsed for, or opened before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QMenu, QToolButton, QWidget

from napari_segkit.forms import BrowseButton

__all__ = ["OpeningLine"]

RECENT = 10


class OpeningLine(QWidget):  # type: ignore[misc]
    """A line for a path or URL, with buttons to browse and to open again what was open before."""

    opened = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._recent: list[str] = []
        self.line = QLineEdit()
        self.line.setPlaceholderText("Zarr, N5, TIFF, HDF5, precomputed, slices, URL\N{HORIZONTAL ELLIPSIS}")
        self.line.setToolTip("Path or URL of an image; Enter opens it. Files and folders can be dropped here.")
        self.line.setAccessibleName("source")
        self.line.returnPressed.connect(lambda: self.open(self.line.text()))
        self.browse = BrowseButton("Look for a file or folder")
        menu = QMenu(self.browse)
        menu.addAction("File\N{HORIZONTAL ELLIPSIS}", lambda: self.open(QFileDialog.getOpenFileName(self)[0]))
        menu.addAction(
            "Folder or store\N{HORIZONTAL ELLIPSIS}", lambda: self.open(QFileDialog.getExistingDirectory(self))
        )
        self.browse.setMenu(menu)
        self.again = QToolButton()
        self.again.setText("Recent")
        self.again.setToolTip("What was opened before")
        self.again.setAccessibleName("recent sources")
        self.again.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.again.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.again.setMenu(QMenu(self.again))
        self.setAcceptDrops(True)
        self.line.setAcceptDrops(False)  # this widget takes them
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.browse)
        layout.addWidget(self.again)
        self.set_recent(())

    def open(self, source: str) -> None:
        """Ask for a source to be opened."""
        source = source.strip()
        if source:
            self.line.setText(source)
            self.opened.emit(source)

    @property
    def recent(self) -> list[str]:
        """What was opened, the latest first."""
        return list(self._recent)

    def remember(self, source: str) -> None:
        """Put a source to the front of the menu."""
        self.set_recent([source, *(other for other in self._recent if other != source)])

    def set_recent(self, sources: Sequence[str]) -> None:
        """Fill the menu."""
        self._recent = list(sources)[:RECENT]
        menu = self.again.menu()
        menu.clear()
        for source in self._recent:
            action = menu.addAction(Path(source.rstrip("/")).name or source, lambda source=source: self.open(source))
            action.setToolTip(source)
        self.again.setEnabled(bool(self._recent))

    def dragEnterEvent(self, event: Any) -> None:
        """Take files and text."""
        if event.mimeData().hasUrls() or event.mimeData().hasText():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open what was dropped."""
        urls = event.mimeData().urls()
        source = (urls[0].toLocalFile() or urls[0].toString()) if urls else event.mimeData().text()
        event.acceptProposedAction()
        self.open(source)
