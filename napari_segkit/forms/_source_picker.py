"""Choosing data: a layer of the viewer, or a file, folder or URL that is not open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItem
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QInputDialog, QMenu, QWidget

from napari_segkit.forms._editors import BrowseButton, QuietCombo
from napari_segkit.layers._layers import volume_of_layer
from segkit.errors import SegkitError

__all__ = ["SourcePicker", "source_of_layer"]

NOTHING = "Nothing chosen"


def source_of_layer(layer: Any) -> str:
    """Return where a layer's voxels are on disk as segkit opened them; empty for those in memory."""
    return str(layer.metadata.get("segkit", {}).get("source", ""))


class SourcePicker(QWidget):  # type: ignore[misc]
    """A combo box of layers and places.

    Parameters
    ----------
    viewer
        The napari viewer.
    kinds
        Layer types to offer, the usual one first: ``"image"``, ``"labels"``.
    what
        What is chosen, for messages: ``"raw"``.
    """

    changed = Signal()

    def __init__(self, viewer: Any, kinds: tuple[str, ...], what: str) -> None:
        super().__init__()
        self._viewer, self._kinds, self._what = viewer, kinds, what
        self._places: list[str] = []
        self.combo = QuietCombo()
        self.combo.setAccessibleName(what)
        self.combo.setToolTip(f"The {what}")
        self.combo.setPlaceholderText(NOTHING)
        self.browse = BrowseButton(f"Choose {what} from a file, folder or URL")
        menu = QMenu(self.browse)
        menu.addAction("File\N{HORIZONTAL ELLIPSIS}", lambda: self.add_place(QFileDialog.getOpenFileName(self)[0]))
        menu.addAction(
            "Folder or store\N{HORIZONTAL ELLIPSIS}", lambda: self.add_place(QFileDialog.getExistingDirectory(self))
        )
        menu.addAction("URL or file.h5:dataset\N{HORIZONTAL ELLIPSIS}", self._ask_place)
        self.browse.setMenu(menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.browse)
        self.refresh()
        self.changed.connect(
            lambda: self.combo.setToolTip(self.combo.currentData(Qt.ItemDataRole.ToolTipRole) or f"The {what}")
        )
        self.combo.currentIndexChanged.connect(lambda _: self.changed.emit())

    def _ask_place(self) -> None:
        text, accepted = QInputDialog.getText(self, f"Open {self._what}", "URL, path or file.h5:dataset")
        if accepted:
            self.add_place(text.strip())

    def add_place(self, place: str) -> None:
        """Offer a path or URL, and choose it."""
        if place:
            self._places = [place, *(other for other in self._places if other != place)][:8]
            self.refresh()
            self.combo.setCurrentIndex(next(i for i in range(self.combo.count()) if self.combo.itemData(i) == place))

    def refresh(self) -> None:
        """List the layers that exist now; what was chosen stays chosen."""
        chosen = self.combo.currentData()
        self.combo.blockSignals(True)
        self.combo.clear()
        fitting = [layer for kind in self._kinds for layer in self._viewer.layers if _type(layer) == kind]
        fitting = [layer for layer in fitting if not {"preview", "box", "role"} & set(layer.metadata.get("segkit", {}))]
        active = self._viewer.layers.selection.active
        if (
            chosen is None
            and active in fitting
            and not _problem(active, self._kinds)
            and _type(active) == self._kinds[0]
        ):
            chosen = active
        index = -1
        for layer in fitting:
            problem = _problem(layer, self._kinds)
            self.combo.addItem(layer.name, layer)
            item: QStandardItem = self.combo.model().item(self.combo.count() - 1)
            item.setEnabled(not problem)
            item.setData(problem or source_of_layer(layer) or "in memory", Qt.ItemDataRole.ToolTipRole)
            if chosen == layer or (index < 0 and not problem and _type(layer) == self._kinds[0] and chosen is None):
                index = self.combo.count() - 1
        for place in self._places:
            self.combo.addItem(Path(place.rstrip("/")).name or place, place)
            self.combo.setItemData(self.combo.count() - 1, place, Qt.ItemDataRole.ToolTipRole)
            if chosen == place:
                index = self.combo.count() - 1
        if not self.combo.count():
            self.combo.addItem(NOTHING, None)
            index = 0
        self.combo.blockSignals(False)
        self.combo.setCurrentIndex(
            index
            if index >= 0
            else next((i for i in range(self.combo.count()) if self._usable(i) and self._first_kind(i)), -1)
        )
        self.changed.emit()

    def _first_kind(self, index: int) -> bool:
        """Return whether an item is what is usually chosen; anything else is chosen by people only."""
        data = self.combo.itemData(index)
        return data is None or isinstance(data, str) or _type(data) == self._kinds[0]

    def _usable(self, index: int) -> bool:
        return bool(self.combo.model().item(index).isEnabled())

    @property
    def layer(self) -> Any:
        """The chosen layer; None where a place is chosen."""
        chosen = self.combo.currentData()
        return None if chosen is None or isinstance(chosen, str) else chosen

    @property
    def place(self) -> str:
        """Where the chosen data are; empty where they exist in memory only, or nothing is chosen."""
        chosen = self.combo.currentData()
        return chosen if isinstance(chosen, str) else "" if chosen is None else source_of_layer(chosen)

    def saved_as(self, place: str) -> None:
        """Remember where the voxels of the chosen image layer were written; labels may still be painted, and are not."""
        if self.layer is not None and not self.place and _type(self.layer) == "image":
            known = self.layer.metadata.get("segkit", {})
            self.layer.metadata = {**self.layer.metadata, "segkit": {**known, "source": place}}
            self.refresh()


def _type(layer: Any) -> str:
    return str(layer.__class__.__name__).lower()  # of a layer behind a proxy, too


def _problem(layer: Any, kinds: tuple[str, ...]) -> str:
    """Say why a layer cannot be chosen; empty for one that can."""
    dtype = np.dtype(layer.dtype)
    if kinds[0] == "labels" and dtype.kind not in "biu":
        return f"The layer '{layer.name}' holds {dtype} numbers, and labels are whole ones. Convert its type first."
    if source_of_layer(layer):
        return ""
    if layer.ndim == 2 and not getattr(layer, "rgb", False):
        return (
            f"The layer '{layer.name}' is a single slice (y, x) without z. Open its file with the line above, which gives it a z "
            "axis of one slice."
        )
    try:
        volume_of_layer(layer)
    except SegkitError as error:
        return str(error)
    return ""
