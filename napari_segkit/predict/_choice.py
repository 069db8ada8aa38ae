"""The first part of the page: which model predicts which voxels, and how."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_segkit.forms import Form, QuietCombo, SourcePicker, colours, line, source_of_layer
from napari_segkit.layers import layers_showing, volume_of_layer
from napari_segkit.predict._model_picker import ModelPicker
from napari_segkit.predict._region_picker import RegionPicker
from napari_segkit.session import Session
from napari_segkit.session._caught import caught
from napari_segkit.session.images._region import Level, levels_of, nearest_level, size_warning
from napari_segkit.session.images._saving import saved
from napari_segkit.session.predictions._predictions import Prediction, prediction_options
from segkit.errors import SegkitError, UsageError

__all__ = ["Choice"]


class Choice(QWidget):  # type: ignore[misc]
    """Model, image, level, region and options.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    changed = Signal()
    model_changed = Signal()

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self._viewer, self._session = viewer, session
        self._levels: list[Level] = []
        self._opened: Any = None
        self._opening: Any = None
        self._wrong = ""
        self._options: dict[str, Any] | UsageError | None = None
        self._level_wanted: int | None = None
        self.model = ModelPicker(session)
        self.image = SourcePicker(viewer, ("image",), "image")
        self.level = QuietCombo()
        self.level.setAccessibleName("level")
        self.level.setToolTip("Resolution that is predicted; at first the one nearest to that of the training")
        self.warning = line()
        self.warning.hide()
        self.region = RegionPicker(viewer)
        self.options = Form(prediction_options, first=("",))  # all of them under Advanced
        for editor in self.options.editors.values():
            editor.main.setMinimumWidth(60)
        self._level_label = QLabel("Level")
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (
            (QLabel("Model"), self.model),
            (QLabel("Image"), self.image),
            (self._level_label, self.level),
            (QLabel("Region"), self.region),
        )
        for row, (label, widget) in enumerate(rows):
            label.setFixedWidth(70)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(widget, row, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.warning)
        layout.addWidget(self.options)
        self.model.changed.connect(self._model_chosen)
        self.image.changed.connect(self._image_chosen)
        self.level.currentIndexChanged.connect(lambda _: self._level_chosen())
        self.region.changed.connect(self.changed)
        self.options.changed.connect(self._options_changed)
        session.data.changed.connect(self._data_changed)
        self._show_level()
        self.image.refresh()

    # ---- the image and its levels

    def _image_chosen(self) -> None:
        key = self._key()
        if key != self._opened:
            self._levels, self._opened, self._wrong = [], None, ""
            self._list_levels()
        self.changed.emit()

    def _key(self) -> Any:
        """Return what tells one image from another."""
        return self.image.place or self.image.layer

    def open_image(self) -> None:
        """Learn which levels the image has, in the background; layers in memory are written first. Does so once."""
        key = self._key()
        if key is None or key == self._opened or key == self._opening or self.model.card is None:
            return
        place, layer, project = self.image.place, self.image.layer, self._session.project
        try:
            volume = None if place else volume_of_layer(layer)
        except SegkitError as error:
            self._opened, self._wrong = key, str(error)
            self.changed.emit()
            return

        def work() -> tuple[str, list[Level]]:
            from segkit.opening import open_volume

            source = place if volume is None else saved(volume, project.place("layers"))
            return source, levels_of(open_volume(source))

        self._opening = key
        self._session.in_background(caught(work), partial(self._image_opened, key), "Predict")

    def _image_opened(self, key: Any, found: Any) -> None:
        self._opening = None
        if key != self._key():
            return
        self._opened = key
        if isinstance(found, Exception):
            self._levels, self._wrong = [], str(found)
        else:
            source, self._levels = found
            self._wrong = ""
            if not isinstance(key, str):
                self._opened = source
                self.image.saved_as(source)
        self._list_levels()
        self.changed.emit()

    def _list_levels(self) -> None:
        self.level.blockSignals(True)
        self.level.clear()
        for level in self._levels:
            self.level.addItem(level.text)
        card = self.model.card
        if self._levels and card is not None:
            wanted = self._level_wanted
            at = (
                wanted
                if wanted is not None and wanted < len(self._levels)
                else nearest_level(self._levels, card.voxel_size, card.unit)
            )
            self.level.setCurrentIndex(at)
        self.level.blockSignals(False)
        self._show_level()

    def _level_chosen(self) -> None:
        self._level_wanted = self.level.currentIndex()
        self._show_level()
        self.changed.emit()

    def _show_level(self) -> None:
        level, card = self.current_level, self.model.card
        for widget in (self.level, self._level_label):
            widget.setVisible(len(self._levels) > 1)
        text = size_warning(level, card.voxel_size, card.unit) if level is not None and card is not None else ""
        self.warning.setText(text)
        self.warning.setStyleSheet(f"color: {colours()['validation']};")
        self.warning.setVisible(bool(text))

    def _model_chosen(self) -> None:
        self._level_wanted = None
        self._list_levels()
        self.model_changed.emit()
        self.changed.emit()

    def _data_changed(self) -> None:
        """Take the image that is worked on."""
        image = self._session.data.image
        if image is None:
            return
        for index in range(self.image.combo.count()):
            data = self.image.combo.itemData(index)
            place = data if isinstance(data, str) else source_of_layer(data) if data is not None else ""
            if image.source in (place, getattr(data, "name", "")):
                self.image.combo.setCurrentIndex(index)
                return

    def _options_changed(self) -> None:
        self._options = None
        self.changed.emit()

    # ---- what is chosen

    def chosen_options(self) -> dict[str, Any]:
        """Return the options of the command that are not its defaults; they are checked once for each change.

        Raises
        ------
        UsageError
            If one is wrong.
        """
        if self._options is None:
            try:
                self._options = {"dtype": "float16", **self.options.values()}
            except UsageError as error:
                self._options = error
        if isinstance(self._options, UsageError):
            raise self._options
        return self._options

    @property
    def current_level(self) -> Level | None:
        """The level that is predicted; None while it is not known."""
        at = self.level.currentIndex()
        return self._levels[at] if 0 <= at < len(self._levels) else None

    @property
    def layer(self) -> Any:
        """The layer that shows the image; None where it is not open."""
        if self.image.layer is not None:
            return self.image.layer
        shown = layers_showing(self._viewer, self.image.place) if self.image.place else []
        return shown[0] if shown else None

    def prediction(self) -> Prediction:
        """Return what is chosen.

        Raises
        ------
        UsageError
            If something is missing or wrong; the message says what.
        """
        card, level = self.ready()
        region = self.region.region(level, self.layer)
        return Prediction(card.package, level.source, region, self.chosen_options())

    def ready(self) -> tuple[Any, Level]:
        """Return the card of the model and the level.

        Raises
        ------
        UsageError
            If there is no model or image, or they do not fit each other.
        """
        card, level = self.model.card, self.current_level
        if card is None:
            raise UsageError("Choose a trained model, or train one on the page Train.")
        if not card.predicts:
            raise UsageError(
                "This network follows objects: choose the method flood fill under Instances, which calls it."
            )
        if self._key() is None:
            raise UsageError("Open an image on the page Data.")
        if level is None:
            raise UsageError(self._wrong or "Looking at the image\N{HORIZONTAL ELLIPSIS}")
        return card, level

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        try:
            options = {name: list(v) if isinstance(v, tuple) else v for name, v in self.options.values().items()}
        except SegkitError:
            options = {}
        return {**self.model.state(), "region": self.region.state(), "options": options}

    def restore(self, state: Any) -> None:
        """Show what was chosen."""
        self.model.restore(state)
        self.region.restore(state.get("region", {}))
        self.options.set_values(
            {name: tuple(v) if isinstance(v, list) else v for name, v in state.get("options", {}).items()}
        )

    def close_down(self) -> None:
        """Listen no more."""
        self.region.stop_drawing()
        self._session.data.changed.disconnect(self._data_changed)
