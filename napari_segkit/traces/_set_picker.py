"""Which traces are looked at: results of the project, or any folder of SWC files."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QToolButton, QWidget

from napari_segkit.forms import BrowseButton, QuietCombo
from napari_segkit.session import Project
from napari_segkit.session.traces._set import trace_folders

__all__ = ["SetPicker"]


class SetPicker(QWidget):  # type: ignore[misc]
    """A list of the sets of traces, and a button to open another.

    Parameters
    ----------
    project
        Whose results are listed.
    """

    wanted = Signal(object)
    """The path of a set that is to be opened."""
    popped = Signal()

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._others: list[Path] = []
        self.combo = QuietCombo()
        self.combo.setAccessibleName("set of traces")
        self.combo.setToolTip("Set of traces: results of the project, and folders of SWC files that were opened")
        self.combo.setPlaceholderText("choose a set of traces")
        self.combo.activated.connect(lambda _: self.wanted.emit(self.path))
        self.browse = BrowseButton("Open SWC files of any program")
        menu = QMenu(self.browse)
        menu.addAction("Folder of SWC files\N{HORIZONTAL ELLIPSIS}", self.browse_folder)
        menu.addAction("SWC file\N{HORIZONTAL ELLIPSIS}", self._browse_file)
        self.browse.setMenu(menu)
        self.pop = QToolButton()
        self.pop.setText("\N{NORTH EAST ARROW}")
        self.pop.setToolTip("Show the table in a dock of its own, below the canvas")
        self.pop.setAccessibleName("pop out the table")
        self.pop.clicked.connect(lambda _=False: self.popped.emit())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.combo, 1)
        row.addWidget(self.browse)
        row.addWidget(self.pop)
        self.refresh()

    @property
    def path(self) -> Path | None:
        """The set that is chosen."""
        found = self.combo.currentData()
        return Path(found) if found else None

    @property
    def paths(self) -> list[Path]:
        """All sets that are listed."""
        return [Path(self.combo.itemData(at)) for at in range(self.combo.count())]

    def refresh(self) -> list[Path]:
        """List what there is now, and return what is new."""
        before, chosen = self.paths, self.path
        base = self._project.folder / "traces"
        found = trace_folders(base)
        self.combo.clear()
        for path in [*found, *(path for path in self._others if path not in found)]:
            inside = base in path.parents
            self.combo.addItem(" / ".join(path.relative_to(base).parts) if inside else path.name, str(path))
            self.combo.setItemData(self.combo.count() - 1, str(path), 3)  # tooltip
        self.combo.setCurrentIndex(self.combo.findData(str(chosen)) if chosen else -1)
        return [path for path in self.paths if path not in before]

    def choose(self, path: Path) -> None:
        """Choose a set, also one that is not listed yet; `wanted` is not emitted."""
        if path not in self.paths:
            self._others.append(path)
            self.refresh()
        self.combo.setCurrentIndex(self.combo.findData(str(path)))

    def browse_folder(self) -> None:
        """Ask for a folder."""
        found = QFileDialog.getExistingDirectory(self, "Folder of SWC files")
        if found:
            self.choose(Path(found))
            self.wanted.emit(Path(found))

    def _browse_file(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self, "SWC file", "", "SWC (*.swc)")
        if found:
            self.choose(Path(found))
            self.wanted.emit(Path(found))
