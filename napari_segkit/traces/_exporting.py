"""Writing traces for other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton

from napari_segkit.forms import Fold, QuietCombo, line
from napari_segkit.session.traces._columns import spaced
from napari_segkit.session.traces._exports import FORMATS, Export
from napari_segkit.traces._place_picker import PlacePicker
from napari_segkit.traces._walk import small_button

__all__ = ["Exporting"]

SCOPES = {"selected": "selected", "filtered": "filtered", "all": "all"}


class Exporting(Fold):
    """What is written, and as what.

    Parameters
    ----------
    segmentations
        Returns the segmentations of the project, for meshes.
    """

    wanted = Signal(object)
    """The path to write to."""

    def __init__(self, segmentations: Callable[[], Sequence[Path]]) -> None:
        super().__init__("Export")
        self._written = Path()
        self.scope, self.format, self.unit = QuietCombo(), QuietCombo(), QuietCombo()
        for combo, name, tip, entries in (
            (self.scope, "which traces", "Which traces are written", SCOPES),
            (self.format, "format", "What is written", FORMATS),
            (
                self.unit,
                "unit",
                "What lengths in SWC files are in; their first lines say it",
                {"nm": "nm", "um": "\N{MICRO SIGN}m"},
            ),
        ):
            combo.setAccessibleName(name)
            combo.setToolTip(tip)
            for key, text in entries.items():
                combo.addItem(text, key)
        for combo in (self.scope, self.unit):
            combo.setMinimumContentsLength(4)
        self.segmentation = PlacePicker("Segmentation", "What meshes are drawn of", segmentations)
        self.segmentation.hide()
        self.export = QPushButton("Export\N{HORIZONTAL ELLIPSIS}")
        self.export.setToolTip("Choose where to, and write")
        self.export.setAccessibleName("export")
        self.export.clicked.connect(lambda _=False: self._ask())
        self.said = line()
        self.folder = small_button("Open folder", "Show what was written")
        self.folder.clicked.connect(lambda _=False: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._written))))
        self.folder.hide()
        self.format.currentIndexChanged.connect(lambda _: self._format_changed())
        first, second, third = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.scope, 1)
        first.addWidget(self.format, 2)
        second.addWidget(self.unit, 1)
        second.addWidget(self.export, 2)
        third.addWidget(self.said, 1)
        third.addWidget(self.folder)
        self.body_layout.addLayout(first)
        self.body_layout.addWidget(self.segmentation)
        self.body_layout.addLayout(second)
        self.body_layout.addLayout(third)

    def show_written(self, target: Path, count: int) -> None:
        """Say what was written, and offer to show it."""
        self._written = target if target.is_dir() else target.parent
        self.said.setText(f"{spaced(count)} written to {target.name}")
        self.said.setToolTip(str(target))
        self.folder.show()

    def _format_changed(self) -> None:
        self.unit.setEnabled(self.format.currentData() in ("swc", "forest"))
        self.segmentation.setVisible(self.format.currentData() == "meshes")

    def _ask(self) -> None:
        suffix = Export.suffix(self.format.currentData())
        if suffix:
            found, _ = QFileDialog.getSaveFileName(self, "Export to", f"traces{suffix}", f"*{suffix}")
        else:
            found, _ = QFileDialog.getSaveFileName(self, "Export to a new folder", "traces")
        if found:
            self.wanted.emit(Path(found))
