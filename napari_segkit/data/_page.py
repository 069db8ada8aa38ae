"""The page Data: the image, its ground truth, and what is still missing before a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel

from napari_segkit.data._image_section import ImageSection
from napari_segkit.data._ready import Ready
from napari_segkit.data._truth_section import TruthSection
from napari_segkit.forms import Page
from napari_segkit.layers import image_layer
from napari_segkit.session import Fix, Problem, Session
from napari_segkit.session.images._saving import is_place
from segkit.errors import SegkitError

__all__ = ["DataPage"]


class DataPage(Page):
    """Open an image, and paint or load its ground truth.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = "Data"
    hint = "Open an image, then paint in a box or load labels; what is painted is saved by itself"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.image = ImageSection(viewer, session)
        self.truth = TruthSection(viewer, session)
        self.ready = Ready(self._fix, lambda: session.page_wanted.emit("Train"))
        self.column.addWidget(self.image)
        for heading, widget in (("Ground truth", self.truth), ("Ready?", self.ready)):
            label = QLabel(heading)
            label.setStyleSheet("QLabel { font-weight: bold; padding-top: 4px; }")
            self.column.addWidget(label)
            self.column.addWidget(widget)
        self.column.addStretch(1)
        session.fixes.update(
            {
                "open_sample": lambda _: self.image.open_sample(),
                "set_voxel_size": lambda _: self.image.voxel_size.focus(),
                "build_overview": lambda _: self.image.build_overview(),
                "new_box": lambda _: self.truth.new_box(),
                "go_to_box": self.truth.go_to,
                "go_to_boxes": lambda _: self._show(),
                "choose_labels": lambda _: self.truth.choose_labels(),
                "hold_out_auto": lambda _: session.data.choose_hold_out("auto"),
                "fit_labels": lambda _: self.truth.apply_fit(),
                "check_data": lambda _: self._show(),
            }
        )
        self._updating = self._closed = False
        self._read_boxes()
        session.data.changed.connect(self._update)
        viewer.events.theme.connect(self._themed)
        self.image.layers_changed()
        self._update()

    def _themed(self, event: Any = None) -> None:
        self.ready.themed()

    def _show(self) -> None:
        self.session.page_wanted.emit(self.title)

    def _fix(self, fix: Fix) -> None:
        self.session.fixes[fix.key](fix.value)

    def _read_boxes(self) -> None:
        try:
            self.session.data.boxes.read()
        except SegkitError as error:
            problem = Problem.of(error, self.title)
            QTimer.singleShot(0, lambda: self.session.report(problem))  # who shows it may not be listening yet

    def _update(self) -> None:
        if self._updating:
            return  # something below told of the same change
        self._updating = True
        try:
            self.image.update_shown()
            self.truth.layers.show()  # before a layer list is told of what it adds
            self.truth.update_shown()
            self.ready.show_checks(self.session.data.checks())
        finally:
            self._updating = False

    def layers_changed(self) -> None:
        """List the layers that exist now."""
        if not self._updating:
            self.image.layers_changed()
            self.truth.layers_changed()
            self._update()

    def jobs_changed(self) -> None:
        """Offer an overview unless one is being built."""
        self.image.update_shown()

    def hideEvent(self, event: Any) -> None:
        """Save what is painted when another page is shown."""
        if not self._closed:
            self.truth.layers.save()
        super().hideEvent(event)

    def state(self) -> dict[str, Any]:
        """Return sources and choices."""
        data = self.session.data
        image, labels = data.image, data.labels
        shown = image_layer(self.viewer, self.session)
        return {
            "name": "" if shown is None else shown.name,
            "image": image.source if image is not None and is_place(image.source) else "",
            "voxel_size": list(image.voxel_size) if image is not None and data.size_from == "you" else None,
            "labels": labels.source if labels is not None and is_place(labels.source) else "",
            "truth": data.truth,
            "hold_out": data.hold_out,
            "recent": self.image.source.recent,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Open the image again, with the same choices."""
        data = self.session.data
        recent = state.get("recent")
        self.image.source.set_recent([str(source) for source in recent] if isinstance(recent, list) else [])
        data.truth = "load" if state.get("truth") == "load" else "paint"
        data.hold_out = "boxes" if state.get("hold_out") == "boxes" else "auto"
        source, size = str(state.get("image") or ""), state.get("voxel_size")
        sized = (float(size[0]), float(size[1]), float(size[2])) if isinstance(size, list) and len(size) == 3 else None
        if source and data.image is None:
            self.image.source.line.setText(source)
            self.image.open(source, sized, str(state.get("name") or ""))
        if state.get("labels") and data.truth == "load":
            self.truth.load_from(str(state["labels"]))
        self._update()

    def close_down(self) -> None:
        """Save what is painted, and watch nothing any more."""
        self._closed = True
        self.session.data.changed.disconnect(self._update)
        self.viewer.events.theme.disconnect(self._themed)
        self.truth.close_down()
