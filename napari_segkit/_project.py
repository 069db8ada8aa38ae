"""The project folder, in which the panel keeps everything, and the run that is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QLineEdit, QWidget

from napari_segkit._editors import BrowseButton, QuietCombo
from napari_segkit._run_folder import is_run, runs_in

__all__ = ["ProjectBar", "default_project"]


def default_project() -> Path:
    """Return the project folder of the plugin's settings."""
    from napari.settings import get_plugin_settings

    try:
        folder = str(get_plugin_settings("segkit-sdk").project.folder)
    except (AttributeError, KeyError, ValueError):
        folder = ""
    return Path(folder).expanduser() if folder else Path.home() / "segkit"


class ProjectBar(QWidget):  # type: ignore[misc]
    """Which project, and which run of it: a new one, or one that exists."""

    run_chosen = Signal(object)

    def __init__(self, project: Path) -> None:
        super().__init__()
        self._others: list[Path] = []
        self.folder = QLineEdit(str(project))
        self.folder.setAccessibleName("project folder")
        self.folder.setToolTip("Folder that holds runs, saved layers and logs; it is made when first needed")
        self.folder.editingFinished.connect(self.refresh)
        self.runs = QuietCombo()
        self.runs.setAccessibleName("run")
        self.runs.setToolTip("A new training, or one that exists: to look at, to continue, or to predict with")
        self.runs.activated.connect(lambda _: self.run_chosen.emit(self.run))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(4)
        rows: tuple[tuple[str, Any, str, Any], ...] = (
            ("Project", self.folder, "Choose another project folder", self._browse_project),
            ("Run", self.runs, "Choose a run folder elsewhere", self._browse_run),
        )
        for row, (name, control, tip, action) in enumerate(rows):
            button = BrowseButton(tip)
            button.clicked.connect(lambda _=False, action=action: action())
            label = QLabel(name)
            label.setFixedWidth(56)
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)
            grid.addWidget(button, row, 2)
        self.refresh()

    @property
    def project(self) -> Path:
        """The project folder."""
        return Path(self.folder.text().strip() or ".").expanduser().absolute()

    @property
    def run(self) -> Path | None:
        """The chosen run; None for a new one."""
        chosen = self.runs.currentData()
        return Path(chosen) if chosen else None

    def new_run(self) -> Path:
        """Return a folder for a new run."""
        number = 1
        while (self.project / "runs" / f"run-{number}").exists():
            number += 1
        return self.project / "runs" / f"run-{number}"

    def choose(self, run: Path | None) -> None:
        """Choose a run, listing it if it is not yet."""
        if run is not None and run not in self._others and run.parent != self.project / "runs":
            self._others.insert(0, run)
        self.refresh(run)

    def refresh(self, choose: Path | None = None) -> None:
        """List the runs that exist now."""
        wanted = choose or self.run
        self.runs.clear()
        self.runs.addItem("New run", "")
        listed = [*runs_in(self.project / "runs"), *self._others]
        if wanted is not None and wanted not in listed:
            listed.insert(0, wanted)
        for run in listed:
            self.runs.addItem(run.name, str(run))
            self.runs.setItemData(self.runs.count() - 1, str(run), Qt.ItemDataRole.ToolTipRole)
        self.runs.setCurrentIndex(max(0, self.runs.findData(str(wanted or ""))))

    def _browse_project(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Project folder", self.folder.text())
        if found:
            self.folder.setText(found)
            self.refresh()

    def _browse_run(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Run folder", str(self.project / "runs"))
        if found and is_run(Path(found)):
            self.choose(Path(found))
            self.run_chosen.emit(Path(found))
