"""Choosing a result of the project, a layer, or something in another folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_segkit.forms import BrowseButton, QuietCombo, source_of_layer
from napari_segkit.layers import volume_of_layer
from napari_segkit.session import Session
from napari_segkit.session.images._saving import saved
from segkit.errors import UsageError

__all__ = ["ResultPicker"]


class ResultPicker(QWidget):  # type: ignore[misc]
    """What there is of one part of the project, the latest first, then layers, then other places.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose project it is.
    part
        ``predictions`` or ``segmentations``.
    kind
        Layers to offer besides: ``image`` or ``labels``.
    what
        What is chosen, for messages.
    """

    changed = Signal()
    shown = Signal(str)

    def __init__(self, viewer: Any, session: Session, part: str, kind: str, what: str) -> None:
        super().__init__()
        self._viewer, self._session, self._part, self._kind, self._what = viewer, session, part, kind, what
        self._places: list[str] = []
        self.combo = QuietCombo()
        self.combo.setMinimumWidth(60)
        self.combo.setAccessibleName(what)
        self.combo.setToolTip(f"Which {what}")
        self.show_button = QPushButton("Show")
        self.show_button.setToolTip(f"Show the chosen {what} on the canvas")
        self.show_button.setAccessibleName(f"show {what}")
        self.show_button.setFixedWidth(52)
        self.browse = BrowseButton(f"Choose {what} in another folder")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.show_button)
        layout.addWidget(self.browse)
        self.combo.currentIndexChanged.connect(lambda _: self._chosen())
        self.show_button.clicked.connect(lambda _=False: self.shown.emit(self.place))
        self.browse.clicked.connect(lambda _=False: self.add(QFileDialog.getExistingDirectory(self, f"Choose {what}")))
        self.refresh()

    def refresh(self) -> None:
        """List what there is now; what was chosen stays chosen."""
        chosen = self.combo.currentData()
        results = [str(path) for path in self._session.project.results(self._part)]
        entries: list[tuple[str, Any]] = [(Path(path).stem, path) for path in results]
        layers = [layer for layer in self._viewer.layers if type(layer).__name__.lower() == self._kind]
        for layer in layers:
            about = layer.metadata.get("segkit", {})
            if not about.get("preview") and about.get("source") not in results and layer.ndim == 3:
                entries.append((f"layer {layer.name}", layer))
        entries += [(Path(place.rstrip("/")).name, place) for place in self._places if place not in results]
        listed = [(self.combo.itemText(i), self.combo.itemData(i)) for i in range(self.combo.count())]
        if not results:
            entries.insert(0, ("None yet", None))
        if entries == listed:
            return
        self.combo.blockSignals(True)
        self.combo.clear()
        for text, data in entries:
            self.combo.addItem(text, data)
        index = next((i for i, (_, data) in enumerate(entries) if data is chosen or data == chosen), 0)
        self.combo.setCurrentIndex(index)
        self.combo.blockSignals(False)
        self.combo.setEnabled(entries[-1][1] is not None)
        self._chosen()

    def _chosen(self) -> None:
        self.show_button.setEnabled(isinstance(self.combo.currentData(), str))
        self.combo.setItemData(self.combo.currentIndex(), self.place, Qt.ItemDataRole.ToolTipRole)
        self.changed.emit()

    def add(self, place: str) -> None:
        """Offer another place, and choose it."""
        if place:
            if place not in self._places:
                self._places.insert(0, place)
            self.refresh()
            self.choose(place)

    def choose(self, place: str | Path) -> bool:
        """Choose a place that is offered; return whether it is there."""
        at = next((i for i in range(self.combo.count()) if self.combo.itemData(i) == str(place)), -1)
        if at >= 0:
            self.combo.setCurrentIndex(at)
        return at >= 0

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to choose."""
        return self.combo.currentData() is None

    @property
    def place(self) -> str:
        """Where the chosen voxels are; empty for those in memory."""
        chosen = self.combo.currentData()
        return chosen if isinstance(chosen, str) else "" if chosen is None else source_of_layer(chosen)

    def writer(self) -> Callable[[], str]:
        """Return a function that returns where the chosen voxels are, after writing those in memory; for a thread.

        Raises
        ------
        UsageError
            If there is nothing.
        DataError
            If a layer cannot be a volume.
        """
        place, chosen = self.place, self.combo.currentData()
        if place:
            return lambda: place
        if chosen is None:
            raise UsageError(f"There is no {self._what} yet. Do the step above first, or choose one in another folder.")
        volume, where = volume_of_layer(chosen), self._session.project
        return lambda: saved(volume, where.place("layers"))
