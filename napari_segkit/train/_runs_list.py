"""The list of runs: which one is on show, which are drawn beneath it, and how each stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from napari_segkit.session.trainings._runs import FollowedRun

__all__ = ["RunsList"]

_COLUMNS = ("run", "state", "steps", "best", "last")
ROWS_SHOWN = 5


class RunsList(QTreeWidget):  # type: ignore[misc]
    """One row for each run; a tick draws its curve beneath the one that is selected."""

    chosen = Signal(object)
    """The folder of the run that was selected by the user; None for a new one."""
    ticked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setColumnCount(len(_COLUMNS))
        self.setHeaderLabels(list(_COLUMNS))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName("runs")
        self.setToolTip("Select a run to look at it and to continue it; tick others to draw them beneath it")
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._items: dict[Path, QTreeWidgetItem] = {}
        self._filling = False
        self.currentItemChanged.connect(self._selected)
        self.itemChanged.connect(self._changed)

    @property
    def folder(self) -> Path | None:
        """The selected run."""
        item = self.currentItem()
        return None if item is None else item.data(0, Qt.ItemDataRole.UserRole)

    @property
    def overlaid(self) -> list[Path]:
        """The ticked runs."""
        return [folder for folder, item in self._items.items() if item.checkState(0) == Qt.CheckState.Checked]

    def select(self, folder: Path | None) -> None:
        """Select a run; None for none. Nothing is signalled."""
        self._filling = True
        item = None if folder is None else self._items.get(folder)
        self.setCurrentItem(item)
        if item is None:
            self.clearSelection()
        self._filling = False

    def show_runs(self, runs: Sequence[FollowedRun]) -> None:
        """Bring the rows up to date; the latest run is the first."""
        self._filling = True
        for folder in [folder for folder in self._items if folder not in {run.folder for run in runs}]:
            self.takeTopLevelItem(self.indexOfTopLevelItem(self._items.pop(folder)))
        for run in reversed(runs):
            if run.folder not in self._items:
                item = self._items[run.folder] = QTreeWidgetItem()
                item.setData(0, Qt.ItemDataRole.UserRole, run.folder)
                item.setCheckState(0, Qt.CheckState.Unchecked)
                for column in range(1, len(_COLUMNS)):
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.insertTopLevelItem(0, item)
            self._fill(self._items[run.folder], run)
        self._filling = False
        self.setVisible(bool(runs))
        rows = min(max(len(runs), 1), ROWS_SHOWN)
        self.setFixedHeight(self.header().sizeHint().height() + rows * max(self.sizeHintForRow(0), 18) + 6)

    def _fill(self, item: QTreeWidgetItem, run: FollowedRun) -> None:
        progress, best = run.progress, run.progress.best
        texts = (
            run.name,
            run.word,
            f"{progress.step:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
            "" if best is None else f"{best[1]:.3f}",
            run.date,
        )
        for column, text in enumerate(texts):
            if item.text(column) != text:
                item.setText(column, text)
        tip = f"{run.folder}" + ("" if best is None else f"\nbest {best[0].replace('_', ' ')} {best[1]:.4g}")
        if item.toolTip(0) != tip:
            for column in range(len(_COLUMNS)):
                item.setToolTip(column, tip)

    def _selected(self, item: Any, _: Any) -> None:
        if not self._filling:
            self.chosen.emit(None if item is None else item.data(0, Qt.ItemDataRole.UserRole))

    def _changed(self, item: QTreeWidgetItem, column: int) -> None:
        if not self._filling and column == 0:
            self.ticked.emit()
