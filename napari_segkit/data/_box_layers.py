"""The layers in which boxes are painted: numpy in memory, written to disk soon after each stroke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_segkit.data._classes import colormap
from napari_segkit.layers import placement
from napari_segkit.session import AnnotationBox, Session

__all__ = ["BoxLayers", "point_at_centre"]

SAVE_AFTER_MS = 1500
BRUSH = 8
SCREEN = 500.0  # pixels that a box fills when it is gone to


class BoxLayers(QObject):  # type: ignore[misc]
    """Keeps a Labels layer for each box of the image.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose boxes they are.
    saved
        Called after a box was saved.
    """

    def __init__(self, viewer: Any, session: Session, saved: Callable[[], None]) -> None:
        super().__init__()
        self._viewer, self._session, self._saved = viewer, session, saved
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_AFTER_MS)
        self._timer.timeout.connect(self.save)
        self._watched: list[Any] = []
        self._added: list[AnnotationBox] = []
        self.label = 1

    @property
    def boxes(self) -> list[AnnotationBox]:
        """The boxes of the image."""
        return self._session.data.boxes.of(self._session.data.image)

    def layer_of(self, box: AnnotationBox) -> Any:
        """Return the layer of a box; None where somebody removed it."""
        return next((layer for layer in self._viewer.layers if _voxels(layer) is box.voxels), None)

    def box_of(self, layer: Any) -> AnnotationBox | None:
        """Return the box of a layer; None for any other layer."""
        return None if layer is None else next((box for box in self.boxes if _voxels(layer) is box.voxels), None)

    def show(self, wanted_again: AnnotationBox | None = None) -> None:
        """Make the layers those of the boxes of the image, and put them where it lies now.

        A layer that somebody removed stays away until its box is gone to; the box itself is untouched.
        """
        image = self._session.data.image
        wanted = {id(box.voxels) for box in self.boxes}
        for layer in [layer for layer in self._viewer.layers if _box_name(layer)]:
            if id(_voxels(layer)) not in wanted:
                self._forget(layer)
                self._viewer.layers.remove(layer)
        self._added = [box for box in self._added if id(box.voxels) in wanted]
        if image is None:
            return
        active = self._viewer.layers.selection.active
        for box in self.boxes:
            where = placement(image.voxel_size, box.offset(image), image.unit)
            layer = self.layer_of(box)
            if layer is None:
                if box in self._added and box is not wanted_again:
                    continue
                self._added.append(box)
                self._add(box, where)
                if active is not None:
                    self._viewer.layers.selection.active = active
                continue
            for name in ("scale", "translate", "units"):
                if tuple(getattr(layer, name)) != tuple(where[name]):
                    setattr(layer, name, where[name])
            if layer.name != box.name:
                layer.name = box.name

    def _add(self, box: AnnotationBox, where: dict[str, Any]) -> Any:
        layer = self._viewer.add_labels(
            box.voxels, name=box.name, opacity=0.6, colormap=colormap(), metadata={"segkit": {"box": box.name}}, **where
        )
        layer.brush_size = BRUSH
        layer.selected_label = self.label
        outline = layer.bounding_box
        outline.points, outline.line_color, outline.visible = False, "#f59e0b", True
        self._watch(layer)
        return layer

    def _watch(self, layer: Any) -> None:
        layer.events.paint.connect(self._painted)
        layer.events.set_data.connect(self._painted)  # also what undo does
        self._watched.append(layer)

    def _forget(self, layer: Any) -> None:
        if layer in self._watched:
            layer.events.paint.disconnect(self._painted)
            layer.events.set_data.disconnect(self._painted)
            self._watched.remove(layer)

    def _painted(self, event: Any = None) -> None:
        self._timer.start()

    # ---- what people do

    def go_to(self, box: AnnotationBox) -> None:
        """Bring a box into view, ready to be painted in."""
        image = self._session.data.image
        if image is None:
            return
        self.show(box)
        layer = self.layer_of(box)
        if layer is None:
            return
        layer.visible = True
        middle = [
            o + (n - 1) / 2 * v for o, n, v in zip(box.offset(image), box.voxels.shape, image.voxel_size, strict=True)
        ]
        _look_at(self._viewer, middle, max(n * v for n, v in zip(box.voxels.shape, image.voxel_size, strict=True)))
        self._viewer.layers.selection.active = layer
        layer.selected_label = self.label
        if layer.editable:
            layer.mode = "paint"

    def choose(self, label: int) -> None:
        """Paint with another class."""
        self.label = label
        for box in self.boxes:
            layer = self.layer_of(box)
            if layer is not None:
                layer.selected_label = label
        active = self._viewer.layers.selection.active
        if self.box_of(active) is not None and active.editable:
            active.mode = "paint"

    # ---- saving

    def save(self) -> None:
        """Save in a thread what changed since it was saved last."""
        image, boxes = self._session.data.image, self._session.data.boxes
        if image is not None:
            for box in self.boxes:
                if box.dirty:
                    self._session.in_background(boxes.saver(box, image), lambda _: self._saved(), "Data")

    def close_down(self) -> None:
        """Save at once what is not saved, and watch nothing any more."""
        self._timer.stop()
        for layer in tuple(self._watched):
            self._forget(layer)
        image, boxes = self._session.data.image, self._session.data.boxes
        if image is not None:
            for box in self.boxes:
                if box.dirty:
                    boxes.saver(box, image)()


def _voxels(layer: Any) -> Any:
    return layer.data if _box_name(layer) else None


def _box_name(layer: Any) -> str:
    return str(layer.metadata.get("segkit", {}).get("box", ""))


def point_at_centre(viewer: Any) -> list[float]:
    """Return the point of the world, ``(z, y, x)``, in the middle of the canvas and of the slice that is shown."""
    point = [float(value) for value in viewer.dims.point]
    shown = list(viewer.dims.displayed)
    for axis, value in zip(shown, viewer.scene.camera.center[-len(shown) :], strict=True):
        point[axis] = float(value)
    return point[-3:]


def _look_at(viewer: Any, point: list[float], extent: float) -> None:
    dims = viewer.dims
    lead = dims.ndim - 3
    for axis, value in enumerate(point):
        dims.set_point(axis + lead, value)
    shown = list(dims.displayed)
    centre = [0.0] * (3 - len(shown)) + [point[axis - lead] for axis in shown]
    viewer.scene.camera.center = tuple(centre)
    viewer.scene.camera.zoom = SCREEN / extent
