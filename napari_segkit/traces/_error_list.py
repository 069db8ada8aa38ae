"""Where a segmentation is wrong along true skeletons: a comparison, and the list of its errors to fly to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHBoxLayout, QLabel, QLineEdit, QPushButton, QTreeWidget, QTreeWidgetItem

from napari_segkit.forms import Fold, line
from napari_segkit.session.traces._columns import spaced
from napari_segkit.session.traces._errors import TraceErrors
from napari_segkit.traces._place_picker import PlacePicker

__all__ = ["ErrorList"]

MOST_LISTED = 2000


class ErrorList(Fold):
    """Asks for everything by signals.

    Parameters
    ----------
    segmentations, skeletons
        Return the segmentations and the sets of traces of the project.
    """

    compare_wanted = Signal()
    wanted = Signal(int)
    """An error that is to be looked at."""

    def __init__(self, segmentations: Callable[[], Sequence[Path]], skeletons: Callable[[], Sequence[Path]]) -> None:
        super().__init__("Errors against true skeletons")
        self.segmentation = PlacePicker("Segmentation", "The segmentation that is judged", segmentations)
        self.skeletons = PlacePicker("True skeletons", "SWC files of neurons that are known to be right", skeletons)
        self.trim = QLineEdit("0")
        self.trim.setAccessibleName("trim")
        self.trim.setToolTip(
            "Cut ends of skeletons back to where their radius is this, in nm: drawn ones end at the surface. Two voxels do well; 0 keeps "
            "all"
        )
        self.compare = QPushButton("Find errors")
        self.compare.setToolTip(
            "Compare the segmentation with the skeletons, as 'segkit evaluate --skeletons --errors' does"
        )
        self.compare.setAccessibleName("find errors")
        self.compare.clicked.connect(lambda _=False: self.compare_wanted.emit())
        self.said = line()
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setHeaderLabels(["error", "lost \N{MICRO SIGN}m", "segments"])
        self.list.setAccessibleName("errors")
        self.list.setToolTip("Those that cost the most expected run length first; a click goes there")
        self.list.setMinimumHeight(130)
        self.list.setColumnWidth(0, 90)
        self.list.setColumnWidth(1, 80)
        self.list.currentItemChanged.connect(
            lambda item, _: self.wanted.emit(self.list.indexOfTopLevelItem(item)) if item is not None else None
        )
        row = QHBoxLayout()
        label = QLabel("Trim nm")
        label.setFixedWidth(104)
        row.addWidget(label)
        row.addWidget(self.trim, 1)
        row.addWidget(self.compare, 1)
        self.body_layout.addWidget(self.segmentation)
        self.body_layout.addWidget(self.skeletons)
        self.body_layout.addLayout(row)
        self.body_layout.addWidget(self.said)
        self.body_layout.addWidget(self.list)
        self.list.hide()

    def show_errors(self, errors: TraceErrors | None) -> None:
        """List errors; None for none that were looked for."""
        self.list.blockSignals(True)
        self.list.clear()
        scale = 1e-3 if errors is not None and errors.unit == "nm" else 1.0
        for at in range(min(len(errors), MOST_LISTED) if errors is not None else 0):
            assert errors is not None
            lost = spaced(errors.lost[at] * scale, 2)
            item = QTreeWidgetItem([errors.kinds[at], lost, " ".join(map(str, errors.segments[at]))])
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.list.addTopLevelItem(item)
        self.list.blockSignals(False)
        self.list.setVisible(errors is not None and len(errors) > 0)
        if errors is None:
            self.said.setText("")
        else:
            counts = ", ".join(f"{errors.kinds.count(kind)} {kind}s" for kind in ("split", "merger", "omission"))
            more = f"; the first {MOST_LISTED} are listed" if len(errors) > MOST_LISTED else ""
            self.said.setText(f"{counts}{more}" if len(errors) else "No errors were found.")
