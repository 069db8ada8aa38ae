"""The table of traces: columns of numpy, sorted and filtered by an array of row numbers.

A hundred thousand rows are sorted in hundredths of a second, which a proxy model that asks Python for every cell is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor

from napari_segkit.session.traces._columns import Column, spaced

__all__ = ["TableModel"]

Array = np.ndarray[Any, Any]
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_CENTRE = int(Qt.AlignmentFlag.AlignCenter)
_DISPLAY, _ALIGN = int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.TextAlignmentRole)
_TIP, _PAINT = int(Qt.ItemDataRole.ToolTipRole), int(Qt.ItemDataRole.ForegroundRole)


class TableModel(QAbstractTableModel):  # type: ignore[misc]
    """Rows of traces; the first column is a dot in the colour of the trace, the last two are status and note.

    Parameters
    ----------
    review
        Returns status and note of an id.
    """

    def __init__(self, review: Callable[[int], tuple[str, str]]) -> None:
        super().__init__()
        self._review = review
        self.columns: list[Column] = []
        self.ids: Array = np.zeros(0, np.uint64)
        self.colours: Array = np.zeros((0, 4))
        self.hidden: Array = np.zeros(0, bool)
        self.order: Array = np.zeros(0, np.int64)
        """The rows of the set that are shown, in the order in which they are."""
        self._sorted: Array = np.zeros(0, np.int64)
        self._keep: Array = np.zeros(0, bool)
        self._by: tuple[int, bool] = (2, True)  # the longest first
        self._place: Array = np.zeros(0, np.int64)

    # ---- what there is

    def fill(self, ids: Array, columns: Sequence[Column]) -> None:
        """Show other rows; sorting stays, filters go."""
        self.beginResetModel()
        self.ids, self.columns = ids, list(columns)
        self.colours, self.hidden = np.ones((len(ids), 4)), np.zeros(len(ids), bool)
        self._keep = np.ones(len(ids), bool)
        self._sort()
        self._arrange()
        self.endResetModel()

    def keep(self, rows: Array) -> None:
        """Show only the rows ``(N,)`` for which this is true."""
        self.layoutAboutToBeChanged.emit()
        self._keep = rows
        self._arrange()
        self.layoutChanged.emit()

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what is not known comes last."""
        self._by = (column, order == Qt.SortOrder.DescendingOrder)
        self.layoutAboutToBeChanged.emit()
        self._sort()
        self._arrange()
        self.layoutChanged.emit()

    @property
    def sorted_by(self) -> tuple[int, bool]:
        """Which column it is sorted by, and whether the largest comes first."""
        return self._by

    def recolour(self, colours: Array, hidden: Array) -> None:
        """Show other dots."""
        self.colours, self.hidden = colours, hidden
        self._changed(0)

    def reviewed(self) -> None:
        """Show what `review` says now."""
        self._changed(len(self.columns) + 1)

    def _changed(self, column: int) -> None:
        if len(self.order):
            self.dataChanged.emit(self.index(0, column), self.index(len(self.order) - 1, self.columnCount() - 1))

    def _sort(self) -> None:
        column, descending = self._by
        if 1 <= column <= len(self.columns):
            values = self.columns[column - 1].values
        elif column == 0:
            values = self.hidden
        else:
            last = column - len(self.columns) - 1
            words = np.array([self._review(id)[last] if 0 <= last < 2 else "" for id in self.ids.tolist()] or [""])
            values = words[: len(self.ids)]
        if descending:
            # Reversed twice, so that equal rows keep their order.
            order = len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1]
        else:
            order = np.argsort(values, kind="stable")
        if values.dtype.kind == "f":
            unknown = np.isnan(values[order])
            order = np.concatenate([order[~unknown], order[unknown]])
        self._sorted = order

    def _arrange(self) -> None:
        self.order = self._sorted[self._keep[self._sorted]]
        self._place = np.full(len(self.ids), -1, np.int64)
        self._place[self.order] = np.arange(len(self.order))

    def place(self, row: int) -> int:
        """Return in which line a row of the set is shown; -1 if it is not."""
        return int(self._place[row])

    # ---- what Qt asks

    def rowCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns) + 3

    def text(self, line: int, column: int) -> str:
        """Return what a cell shows."""
        row = int(self.order[line])
        if column == 0:
            return "\N{WHITE CIRCLE}" if self.hidden[row] else "\N{BLACK CIRCLE}"
        if column > len(self.columns):
            return self._review(int(self.ids[row]))[column - len(self.columns) - 1] or "\N{EN DASH}"
        shown = self.columns[column - 1]
        value = shown.values[row]
        if shown.key == "id":
            return str(int(value))
        if value != value:
            return "\N{EN DASH}"
        return spaced(float(value), shown.digits)

    def data(self, index: Any, role: int = _DISPLAY) -> Any:
        if not index.isValid():
            return None
        role, column = int(role), index.column()
        if role == _DISPLAY:
            return self.text(index.row(), column)
        if role == _ALIGN:
            return _CENTRE if column == 0 else _RIGHT if column <= len(self.columns) else _LEFT
        if role == _PAINT and column == 0:
            red, green, blue, _ = (int(255 * part) for part in self.colours[self.order[index.row()]])
            return QColor(red, green, blue)
        if role == _TIP and column > len(self.columns):
            return self.text(index.row(), column)
        return None

    def headerData(self, section: int, orientation: Any, role: int = _DISPLAY) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        titles = ["", *(column.title for column in self.columns), "status", "note"]
        helps = ["Colour; click to hide or show", *(column.help for column in self.columns)]
        helps += ["What was found out: ok, split, merge or check", "What was noted"]
        if 0 <= section < len(titles):
            if int(role) == _DISPLAY:
                return titles[section]
            if int(role) == _TIP:
                return helps[section]
            if int(role) == _ALIGN:
                return _RIGHT if 0 < section <= len(self.columns) else _LEFT
        return None
