"""The view of the table: selecting, walking, copying, and choosing columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QItemSelection, QItemSelectionModel, Qt, Signal
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView

from napari_segkit.traces._table_model import TableModel

__all__ = ["Table"]

_WIDTHS = {"id": 62, "cable": 74, "branches": 56, "tips": 44, "status": 60, "note": 80}


class Table(QTableView):  # type: ignore[misc]
    """A table of traces.

    Parameters
    ----------
    model
        What is in it; several tables can show one model.
    """

    chosen = Signal(object)
    """Rows of the set that were selected by hand, the last one last."""
    activated_row = Signal(int)
    """A row that was double clicked, or Enter pressed on."""
    dot_clicked = Signal(int)
    key_pressed = Signal(str)
    """A letter; napari does not hear what is pressed in a dock."""
    tagged = Signal(str)
    """A status that was chosen for the selected rows."""

    def __init__(self, model: TableModel) -> None:
        super().__init__()
        self.rows = model
        self.setModel(model)
        self.setAccessibleName("traces")
        self.setToolTip(
            "Click selects, Shift or Ctrl adds, a double click flies there; Ctrl+C copies the selected rows"
        )
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setMinimumHeight(140)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(22)
        header.setStyleSheet(
            "QHeaderView::section { padding: 2px 4px; } QHeaderView::up-arrow, QHeaderView::down-arrow"
            " { subcontrol-position: center left; width: 9px; left: 2px; }"
        )
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(lambda place: self.column_menu().exec(header.mapToGlobal(place)))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(lambda place: self.row_menu().exec(self.viewport().mapToGlobal(place)))
        self.setSortingEnabled(True)
        header.setSortIndicator(2, Qt.SortOrder.DescendingOrder)
        self._hears = True
        self.selectionModel().selectionChanged.connect(lambda *_: self._told())
        self.doubleClicked.connect(lambda index: self.activated_row.emit(int(model.order[index.row()])))
        self.clicked.connect(self._clicked)
        model.modelReset.connect(self.lay_out)
        self._shown: set[str] | None = None

    # ---- columns

    @property
    def shown(self) -> list[str]:
        """Keys of the columns that are shown."""
        return [key for key, at in self._places().items() if not self.isColumnHidden(at)]

    def _places(self) -> dict[str, int]:
        """Return the columns that can be hidden."""
        places = {column.key: at for at, column in enumerate(self.rows.columns, 1)}
        return {**places, "status": len(places) + 1, "note": len(places) + 2}

    def show_columns(self, keys: Sequence[str] | None) -> None:
        """Show these columns, and hide the others; None for those that are shown before anybody chose."""
        self._shown = None if keys is None else set(keys)
        self.lay_out()

    def lay_out(self) -> None:
        """Give the columns of the model their widths."""
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setColumnWidth(0, 22)
        usual = {"status", *(column.key for column in self.rows.columns if column.shown)}
        for key, at in self._places().items():
            self.setColumnHidden(at, key not in (usual if self._shown is None else self._shown))
            title = str(self.rows.headerData(at, Qt.Orientation.Horizontal))
            self.setColumnWidth(at, max(self.fontMetrics().horizontalAdvance(title) + 20, _WIDTHS.get(key, 64)))

    def column_menu(self) -> QMenu:
        """Return the menu that shows and hides columns."""
        menu = QMenu(self)
        menu.setAccessibleName("columns")
        for key, at in self._places().items():
            action = menu.addAction(str(self.rows.headerData(at, Qt.Orientation.Horizontal)))
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(at))
            action.toggled.connect(lambda shown, key=key: self._toggle(key, shown))
        return menu

    def _toggle(self, key: str, shown: bool) -> None:
        keys = set(self.shown)
        self.show_columns([*(keys | {key} if shown else keys - {key})])

    def row_menu(self) -> QMenu:
        """Return the menu of the selected rows."""
        menu = QMenu(self)
        for key, status in (("O", "ok"), ("S", "split"), ("M", "merge"), ("C", "check"), ("X", "")):
            text = f"&{key}  {status or 'no status'}"
            menu.addAction(text, lambda status=status: self.tagged.emit(status))
        menu.addSeparator()
        menu.addAction("Copy\tCtrl+C", self.copy)
        return menu

    # ---- selection

    def select(self, rows: Sequence[int], scroll: bool = True) -> None:
        """Select rows of the set that are shown, without telling of it."""
        places = np.unique([place for place in (self.rows.place(row) for row in rows) if place >= 0]).astype(int)
        last, wanted = self.rows.columnCount() - 1, QItemSelection()
        for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else ():
            wanted.select(self.rows.index(int(run[0]), 0), self.rows.index(int(run[-1]), last))
        self._hears = False
        try:
            self.selectionModel().select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            if len(places) and self.rows.place(rows[-1]) >= 0:
                index = self.rows.index(self.rows.place(rows[-1]), 1)
                self.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
                if scroll:
                    self.scrollTo(index)
        finally:
            self._hears = True

    def selected(self) -> list[int]:
        """Return the rows of the set that are selected, the current one last."""
        places = [place for part in self.selectionModel().selection() for place in range(part.top(), part.bottom() + 1)]
        current = self.currentIndex().row()
        if current in places:
            places = [*(place for place in places if place != current), current]
        return [int(self.rows.order[place]) for place in places]

    def _told(self) -> None:
        if self._hears:
            self.chosen.emit(self.selected())

    def _clicked(self, index: Any) -> None:
        if index.column() == 0:
            self.dot_clicked.emit(int(self.rows.order[index.row()]))

    # ---- keys

    def keyPressEvent(self, event: Any) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.currentIndex().isValid():
                self.activated_row.emit(int(self.rows.order[self.currentIndex().row()]))
        elif event.text().isalpha() and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self.key_pressed.emit(event.text().upper())
        else:
            super().keyPressEvent(event)

    def copy(self) -> None:
        """Copy the selected rows with their heading, as text with tabs between the cells and numbers without spaces."""
        model = self.rows
        at = [column for column in range(1, model.columnCount()) if not self.isColumnHidden(column)]
        lines = ["\t".join(str(model.headerData(column, Qt.Orientation.Horizontal)) for column in at)]
        for row in self.selected():
            cells = (model.text(model.place(row), column) for column in at)
            lines.append("\t".join(cell.replace("\N{NARROW NO-BREAK SPACE}", "") for cell in cells))
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")
