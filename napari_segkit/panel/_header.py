"""The top of the dock: which project is open, and help."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QToolButton, QWidget

__all__ = ["Header", "default_project"]


def default_project() -> Path:
    """Return the project folder of the plugin's settings."""
    from napari.settings import get_plugin_settings

    try:
        folder = str(get_plugin_settings("segkit-sdk").project.folder)
    except (AttributeError, KeyError, ValueError):
        folder = ""
    return Path(folder).expanduser() if folder else Path.home() / "segkit"


class Header(QWidget):  # type: ignore[misc]
    """Name of the project with a menu, the device, and the button that opens help."""

    project_wanted = Signal(object)
    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path()
        self.project = QPushButton()
        self.project.setAccessibleName("project")
        self.project.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        menu = QMenu(self.project)
        menu.addAction("Open or make a project\N{HORIZONTAL ELLIPSIS}", self.browse)
        menu.addAction("Show its folder", lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder))))
        self.project.setMenu(menu)
        self.device = QLabel()
        self.device.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.device.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.help = QToolButton()
        self.help.setText("?")
        self.help.setAccessibleName("help")
        self.help.setToolTip("Shortcuts, files, logs and versions (H)")
        self.help.clicked.connect(lambda _=False: self.help_wanted.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.project)
        layout.addWidget(self.device, 1)
        layout.addWidget(self.help)

    def show_project(self, folder: Path) -> None:
        """Show which project is open."""
        self._folder = folder
        self.project.setText(folder.name)
        self.project.setToolTip(f"<qt>Project folder: {folder}<br>Runs, predictions and traces are kept there.</qt>")

    def browse(self) -> None:
        """Let somebody choose another project folder."""
        found = QFileDialog.getExistingDirectory(self, "Project folder", str(self._folder))
        if found:
            self.project_wanted.emit(Path(found))
