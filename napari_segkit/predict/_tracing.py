"""The part of the page that draws the traces of objects."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_segkit.forms import ComponentPicker, Fold, line
from napari_segkit.predict._result_picker import ResultPicker
from napari_segkit.session import Session
from segkit.errors import SegkitError

__all__ = ["Tracing"]


class Tracing(QWidget):  # type: ignore[misc]
    """Controls of the third stage.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    start = Signal()

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self.objects = ResultPicker(viewer, session, "segmentations", "labels", "segmentation")
        self.shortest = QDoubleSpinBox()
        self.shortest.setRange(0.0, 1e6)
        self.shortest.setDecimals(1)
        self.shortest.setSpecialValueText("any length")
        self.shortest.setSuffix(" µm")
        self.shortest.setAccessibleName("shortest trace")
        self.shortest.setToolTip(
            "The page Traces lists traces of at least this length at first; shorter ones are kept, too"
        )
        self.smallest = QSpinBox()
        self.smallest.setRange(0, 2**31 - 1)
        self.smallest.setValue(100)
        self.smallest.setSuffix(" voxels")
        self.smallest.setAccessibleName("smallest object to trace")
        self.smallest.setToolTip("Objects of fewer voxels are not traced")
        self.method = ComponentPicker("tracers", ("skeleton", "teasar"))
        self.method.combo.setAccessibleName("tracer")
        if self.method.component is None:
            self.method.combo.setToolTip("No plugin offers a way to trace objects")
        self.button = QPushButton("Make traces")
        self.button.setToolTip("Trace the objects one by one, then show the page Traces")
        self.button.setAccessibleName("Make traces")
        self.why_not = line()
        self.why_not.hide()
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setColumnStretch(1, 1)
        for row, (text, widget) in enumerate(
            (("Objects", self.objects), ("Shortest", self.shortest), ("Smallest", self.smallest))
        ):
            label = QLabel(text)
            label.setFixedWidth(70)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        fold = Fold("Advanced")
        fold.body_layout.addWidget(self.method)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        for widget in (fold, self.why_not, self.button):
            layout.addWidget(widget)
        self.button.clicked.connect(lambda _=False: self.start.emit())
        self.objects.changed.connect(self._show_readiness)
        self._show_readiness()

    def _show_readiness(self) -> None:
        reason = ""
        if self.method.component is None:
            reason = "No plugin offers a way to trace objects."
        elif self.objects.nothing:
            reason = "Segment first, or choose a segmentation in another folder."
        self.why_not.setText(reason)
        self.why_not.setVisible(bool(reason))
        self.button.setEnabled(not reason)

    def stage(self) -> dict[str, Any]:
        """Return how objects are traced, for `Stages`.

        Raises
        ------
        UsageError
            If an option is wrong.
        """
        table = self.method.table()
        if table is None:
            raise SegkitError("No plugin offers a way to trace objects. Install one, such as segkit's own.")
        return {
            "kind": "trace",
            "with": table,
            "min_size": self.smallest.value(),
            "shortest": self.shortest.value(),
        }

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        try:
            table = self.method.table()
        except SegkitError:
            table = None
        return {"with": table, "smallest": self.smallest.value(), "shortest": self.shortest.value()}

    def restore(self, state: Any) -> None:
        """Show what was chosen."""
        if isinstance(state.get("with"), dict):
            self.method.set_table(state["with"])
        self.smallest.setValue(int(state.get("smallest", 100)))
        self.shortest.setValue(float(state.get("shortest", 0.0)))
