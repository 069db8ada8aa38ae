"""A result of the project, or any other place of its kind: segmentations, and sets of traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QWidget

from napari_segkit.forms import BrowseButton, QuietCombo

__all__ = ["PlacePicker"]


class PlacePicker(QWidget):  # type: ignore[misc]
    """A label, a list and a button that looks for another folder.

    Parameters
    ----------
    text
        What it is.
    tip
        What it is for.
    listed
        Returns what there is in the project now.
    """

    def __init__(self, text: str, tip: str, listed: Callable[[], Sequence[Path]]) -> None:
        super().__init__()
        self._listed, self._text = listed, text
        self._others: list[Path] = []
        self.combo = QuietCombo()
        self.combo.setAccessibleName(text)
        self.combo.setMinimumContentsLength(5)
        self.combo.setToolTip(tip)
        self.combo.setPlaceholderText("none yet")
        self.browse = BrowseButton(f"Choose another folder: {text}")
        self.browse.clicked.connect(lambda _=False: self._browse())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        label = QLabel(text)
        label.setFixedWidth(104)
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        row.addWidget(self.browse)

    @property
    def path(self) -> Path | None:
        """What is chosen."""
        found = self.combo.currentData()
        return Path(found) if found else None

    def refresh(self) -> None:
        """List what there is now; what was chosen stays so."""
        chosen, found = self.path, list(self._listed())
        self.combo.clear()
        for path in [*found, *(path for path in self._others if path not in found)]:
            self.combo.addItem(path.stem, str(path))
            self.combo.setItemData(self.combo.count() - 1, str(path), 3)  # tooltip
        at = self.combo.findData(str(chosen)) if chosen else 0
        self.combo.setCurrentIndex(max(at, 0) if self.combo.count() else -1)

    def choose(self, path: Path) -> None:
        """Choose a place, also one that is not listed."""
        self._others.append(path)
        self.refresh()
        self.combo.setCurrentIndex(self.combo.findData(str(path)))

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, self._text)
        if found:
            self.choose(Path(found))
