"""The list of boxes: name, role, size, how much is painted, and when it was saved."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem

from napari_segkit.forms import QuietCombo
from napari_segkit.session import AnnotationBox

__all__ = ["BoxList"]

COLUMNS = ("Name", "Role", "Size", "Painted", "Saved")
TIPS = (
    "Double click to rename",
    "Train on it, or hold it out for checks",
    "Voxels (z, y, x)",
    "Share of its voxels that are painted",
    "When it was saved last; that happens by itself",
)
ROW = 26
ROLE = 64
NARROW = 330
MOST_ROWS = 6


class BoxList(QTableWidget):  # type: ignore[misc]
    """A row for each box."""

    renamed = Signal(object, str)
    role_chosen = Signal(object, str)
    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(list(COLUMNS))
        for column, tip in enumerate(TIPS):
            self.horizontalHeaderItem(column).setToolTip(tip)
            mode = QHeaderView.ResizeMode.ResizeToContents
            mode = {0: QHeaderView.ResizeMode.Stretch, 1: QHeaderView.ResizeMode.Fixed}.get(column, mode)
            self.horizontalHeader().setSectionResizeMode(column, mode)
        self.setColumnWidth(1, ROLE)
        self.horizontalHeader().setMinimumSectionSize(30)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("boxes")
        self.setToolTip("The boxes of this image")
        self.setStyleSheet(
            "QTableWidget { font-size: 11px; } QTableWidget::item { padding: 0 1px; } "
            "QHeaderView::section { font-size: 10px; padding: 0 3px; }"
        )
        self._boxes: list[AnnotationBox] = []
        self.itemChanged.connect(self._edited)
        self.show_boxes([])

    @property
    def box(self) -> AnnotationBox | None:
        """The chosen box, or the only one."""
        row = self.currentRow()
        return self._boxes[row] if 0 <= row < len(self._boxes) else self._boxes[0] if len(self._boxes) == 1 else None

    def choose(self, box: AnnotationBox) -> None:
        """Mark the row of a box."""
        if box in self._boxes:
            self.selectRow(self._boxes.index(box))

    def show_boxes(self, boxes: list[AnnotationBox]) -> None:
        """Bring the rows up to date."""
        self.blockSignals(True)
        chosen = self.box
        if self._boxes != boxes:
            self._boxes = list(boxes)
            self.setRowCount(len(boxes))
            for row, box in enumerate(boxes):
                for column in range(len(COLUMNS)):
                    self.setItem(row, column, QTableWidgetItem())
                self.setCellWidget(row, 1, self._role(box))
        for row, box in enumerate(boxes):
            texts = (
                box.name,
                None,
                "\N{MULTIPLICATION SIGN}".join(map(str, box.voxels.shape)),
                _share(box),
                _time(box),
            )
            for column, text in enumerate(texts):
                item = self.item(row, column)
                if text is not None and item.text() != text:
                    item.setText(text)
                if column:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            combo = self.cellWidget(row, 1)
            combo.blockSignals(True)
            combo.setCurrentIndex(int(box.role == "check"))
            combo.blockSignals(False)
        self.setFixedHeight(ROW * (min(len(boxes), MOST_ROWS) + 1) + 4)
        self.setVisible(bool(boxes))
        self.blockSignals(False)
        if chosen in boxes and self.currentRow() != boxes.index(chosen):
            self.selectRow(boxes.index(chosen))

    def _role(self, box: AnnotationBox) -> QuietCombo:
        combo = QuietCombo()
        combo.addItems(["Train", "Check"])
        combo.setMinimumContentsLength(1)
        combo.setStyleSheet(
            "QComboBox { padding: 0 2px; font-size: 11px; min-width: 20px; } QComboBox::drop-down { width: 14px; } "
            "QComboBox::down-arrow { width: 8px; height: 8px; }"
        )
        combo.setAccessibleName(f"role of {box.name}")
        combo.setToolTip("Train on this box, or hold it out to check what was learnt")
        combo.currentIndexChanged.connect(lambda index: self.role_chosen.emit(box, ("train", "check")[index]))
        return combo

    def _edited(self, item: Any) -> None:
        if item.column() == 0:
            self.renamed.emit(self._boxes[item.row()], item.text())

    def resizeEvent(self, event: Any) -> None:
        """Leave the sizes out where there is hardly room for names."""
        self.setColumnHidden(2, self.width() < NARROW)
        super().resizeEvent(event)

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Rename in the first column, go to the box in the others."""
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and index.column() > 1:
            self.wanted.emit(self._boxes[index.row()])
        else:
            super().mouseDoubleClickEvent(event)


def _share(box: AnnotationBox) -> str:
    if 0 < box.share < 0.0005:
        return "< 0.1 %"
    return f"{100 * box.share:.1f} %" if box.share < 0.1 else f"{100 * box.share:.0f} %"


def _time(box: AnnotationBox) -> str:
    return f"{datetime.fromisoformat(box.saved):%H:%M:%S}" if box.saved else "\N{EN DASH}"
