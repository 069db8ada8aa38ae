"""The middle of the page: ground truth that is painted in boxes, or loaded."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segkit.data._box_layers import BoxLayers, point_at_centre
from napari_segkit.data._box_list import BoxList
from napari_segkit.data._classes import Classes
from napari_segkit.forms import QuietCombo, SourcePicker, line, source_of_layer
from napari_segkit.layers import add_in_turn, create_layers, image_layer, layers_of, layers_showing, volume_of_layer
from napari_segkit.session import AnnotationBox, Session
from napari_segkit.session.images._overview import needs_overview
from segkit.errors import SegkitError
from segkit.volume import Volume

__all__ = ["TruthSection"]

AUTO, BOXES = "Auto: the far 15 %", 'My "Check" boxes'


class TruthSection(QWidget):  # type: ignore[misc]
    """Paint or load, and what is held out.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose ground truth it is.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self.viewer, self.session = viewer, session
        self._asked: Any = None
        self.layers = BoxLayers(viewer, session, self._saved)
        self.paint, self.load = _segment("Paint", "Paint ground truth in boxes"), _segment("Load", "Load labels")
        group = QButtonGroup(self)
        segments = QHBoxLayout()
        segments.setSpacing(0)
        for button, truth in ((self.paint, "paint"), (self.load, "load")):
            group.addButton(button)
            segments.addWidget(button, 1)
            button.clicked.connect(lambda _=False, truth=truth: session.data.choose_truth(truth))
        self.pages = {"paint": self._paint_page(), "load": self._load_page()}
        self.hold_out = QuietCombo()
        self.hold_out.addItem(AUTO, "auto")
        self.hold_out.addItem(BOXES, "boxes")
        self.hold_out.setAccessibleName("hold out")
        self.hold_out.setToolTip("What is not trained on, but used to check what was learnt")
        self.hold_out.activated.connect(lambda _: session.data.choose_hold_out(self.hold_out.currentData()))
        held = QHBoxLayout()
        held.addWidget(QLabel("Hold out"))
        held.addWidget(self.hold_out, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(segments)
        for page in self.pages.values():
            layout.addWidget(page)
        layout.addLayout(held)
        viewer.layers.selection.events.active.connect(self._layer_chosen)
        self.update_shown()

    def _paint_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.new = _button("New box here", "A box of 32 × 256 × 256 voxels around the middle of the view", self.new_box)
        self.go = _button("Go to", "Bring the chosen box into view and paint in it", self.go_to)
        self.remove = _button("Remove", "Remove the chosen box; it can be brought back", self.remove_box)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button, stretch in ((self.new, 2), (self.go, 1), (self.remove, 1)):
            row.addWidget(button, stretch)
        self.list = BoxList()
        boxes = self.session.data.boxes
        self.list.renamed.connect(self._renamed)
        self.list.role_chosen.connect(self._role_chosen)
        self.list.wanted.connect(self.layers.go_to)
        self.list.itemSelectionChanged.connect(self._update_buttons)
        self.classes = Classes()
        self.classes.chosen.connect(self.layers.choose)
        self.classes.renamed.connect(boxes.set_classes)
        layout.addLayout(row)
        layout.addWidget(self.list)
        layout.addWidget(self.classes)
        layout.addWidget(line("What is not painted (0) is not annotated: nothing is learnt there."))
        return page

    def _load_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.picker = SourcePicker(self.viewer, ("labels", "image"), "labels")
        self.picker.changed.connect(self._picked)
        self.fit = line()
        self.fix = _button("Fix", "Make the labels fit the image", self.apply_fit)
        row = QHBoxLayout()
        row.addWidget(self.fit, 1)
        row.addWidget(self.fix)
        layout.addWidget(self.picker)
        layout.addLayout(row)
        return page

    # ---- boxes

    def new_box(self) -> None:
        """Make a box around the middle of the view, and paint in it."""
        image = self.session.data.image
        if image is None:
            return
        self.session.data.choose_truth("paint")
        point = point_at_centre(self.viewer)
        centre = [(p - o) / v for p, o, v in zip(point, image.offset, image.voxel_size, strict=True)]
        box = self.session.data.boxes.new(image, centre)
        self.layers.label = self.classes.label
        self.layers.go_to(box)
        self._keep_image()
        self.layers.save()
        self.list.choose(box)

    def _keep_image(self) -> None:
        """Write an image that is only in memory beside what is painted in it, so that both can be opened again."""
        data, keep = self.session.data, self.session.data.keeper()
        if keep is None or data.image is None:
            return
        name, layer = data.image.source, image_layer(self.viewer, self.session)

        def kept(source: str) -> None:
            if layer is not None:
                layer.metadata = {**layer.metadata, "segkit": {**layer.metadata.get("segkit", {}), "source": source}}
            data.image_kept(name, source)

        self.session.in_background(keep, kept, "Data")

    def go_to(self, name: str = "") -> None:
        """Bring a box into view: one by its name, or the chosen one."""
        box = self.session.data.boxes.named(name) if name else self.list.box
        if box is not None:
            self.session.data.choose_truth("paint")
            self.layers.go_to(box)
            self.list.choose(box)

    def remove_box(self) -> None:
        """Take the chosen box away, and offer to bring it back."""
        box, image = self.list.box, self.session.data.image
        if box is None or image is None:
            return
        if box.dirty:
            self.session.data.boxes.saver(box, image)()
        undo = self.session.data.boxes.remove(box)
        self.session.say(f"Removed {box.name}", undo)

    def _renamed(self, box: AnnotationBox, name: str) -> None:
        if not self.session.data.boxes.rename(box, name):
            self.session.say(f"Another box is called {name}" if name.strip() else "A box needs a name")
            self.update_shown()

    def _role_chosen(self, box: AnnotationBox, role: Any) -> None:
        self.session.data.boxes.set_role(box, role)
        roles = {other.role for other in self.layers.boxes}
        self.session.data.choose_hold_out("boxes" if "check" in roles else "auto")

    def _layer_chosen(self, event: Any) -> None:
        box = self.layers.box_of(self.viewer.layers.selection.active)
        if box is not None:
            self.list.choose(box)

    def _saved(self) -> None:
        self.session.data.boxes.changed.emit()

    # ---- loaded labels

    def layers_changed(self) -> None:
        """List the labels that there are."""
        self.picker.refresh()

    def choose_labels(self) -> None:
        """Show where labels are chosen, and take what is chosen there."""
        self.session.data.choose_truth("load")
        self._asked = None
        self._picked()
        if self.session.data.labels is None:
            self.picker.combo.showPopup()

    def load_from(self, source: str) -> None:
        """Choose labels by where they are."""
        self.session.data.choose_truth("load")
        self.picker.add_place(source)

    def apply_fit(self) -> None:
        """Make the labels fit as the sentence beside the button offers."""
        found = self.session.data.fit
        if found is not None and found.fixed is not None:
            self.session.data.choose_labels(found.fixed)

    def _picked(self) -> None:
        if self.session.data.truth != "load":
            return
        layer, place = self.picker.layer, self.picker.place
        chosen = layer if layer is not None else place
        if chosen == self._asked:
            return
        self._asked = chosen
        if layer is not None and not source_of_layer(layer):
            self.session.data.choose_labels(volume_of_layer(layer))
        elif place:
            self.session.in_background(lambda: _opened(place), self._loaded, "Data")

    def _loaded(self, found: tuple[Volume, list[Any]] | SegkitError) -> None:
        if isinstance(found, SegkitError):
            self.session.data.choose_labels(None)
            self.session.report(found, "Data")
            return
        labels, layers = found
        self.session.data.choose_labels(labels)
        if not layers_showing(self.viewer, labels.source):
            add_in_turn(self.viewer, layers, self.session.later)

    # ---- what is shown

    def update_shown(self) -> None:
        """Bring everything up to date with the session."""
        data = self.session.data
        painting = data.truth == "paint"
        (self.paint if painting else self.load).setChecked(True)
        for truth, page in self.pages.items():
            page.setVisible(truth == data.truth)
        self.classes.show_classes(data.boxes.classes)
        self.list.show_boxes(self.layers.boxes)
        if not painting:
            self._picked()
        fit = data.fit
        self.fit.setText("Choose a Labels layer or a file." if fit is None else fit.sentence)
        self.fix.setVisible(fit is not None and fit.fixed is not None)
        if fit is not None and fit.label:
            self.fix.setText(fit.label)
        self.hold_out.setCurrentIndex(1 if data.hold_out == "boxes" and painting else 0)
        self.hold_out.model().item(1).setEnabled(painting)
        self.hold_out.model().item(1).setData(
            "" if painting else "Only painted boxes have the role Check", Qt.ItemDataRole.ToolTipRole
        )
        self._update_buttons()

    def showEvent(self, event: Any) -> None:
        """Let the Tab key follow the eye: Qt goes by the order in which controls came into the window."""
        QWidget.setTabOrder(self.classes.add, self.hold_out)
        super().showEvent(event)

    def _update_buttons(self) -> None:
        self.new.setEnabled(self.session.data.image is not None)
        self.go.setEnabled(self.list.box is not None)
        self.remove.setEnabled(self.list.box is not None)

    def close_down(self) -> None:
        """Save, and watch nothing any more."""
        self.viewer.layers.selection.events.active.disconnect(self._layer_chosen)
        self.layers.close_down()


def _opened(source: str) -> tuple[Volume, list[Any]] | SegkitError:
    from segkit.opening import open_volume

    try:
        labels = open_volume(source)
        shown = labels.dtype.kind in "biu" and not needs_overview(labels)
        return labels, create_layers(layers_of(labels, kind="labels")) if shown else []
    except SegkitError as error:
        return error


def _segment(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.setStyleSheet("QPushButton:checked { background: rgba(31, 111, 235, 70); border: 1px solid #1f6feb; }")
    return button


def _button(text: str, tip: str, action: Any) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.clicked.connect(lambda _=False: action())
    return button
