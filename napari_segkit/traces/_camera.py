"""Where the camera looks: a neuron as a whole, or a place on it, and the short flight there."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QVariantAnimation

__all__ = ["Camera", "in_view"]

Array = np.ndarray[Any, Any]

FLIGHT_MS = 250
FILLED = 0.7


class Camera:
    """Moves the camera and the sliders of a viewer.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._flight = QVariantAnimation()
        self._flight.setStartValue(0.0)
        self._flight.setEndValue(1.0)
        self._flight.setDuration(FLIGHT_MS)
        self._flight.valueChanged.connect(self._fly)
        self._ways: tuple[Array, Array, float, float] | None = None

    def show_nodes(self, nodes: Array, slice_at: float) -> None:
        """Show places ``(N, 3)`` so that they fill most of the canvas; in 2D the slice at a z."""
        viewer = self._viewer
        low, high = nodes.min(axis=0), nodes.max(axis=0)
        room = np.asarray(viewer.canvas.size, float)
        flat = viewer.dims.ndisplay == 2
        axes = np.eye(3)[1:] if flat else np.stack(view_axes(viewer))
        seen = nodes @ axes.T
        size = np.maximum(np.ptp(seen, axis=0), max(float((high - low).max()), 1e-9) * 1e-3)
        zoom = FILLED * float((room / size).min())
        if flat:
            self.show_slice(slice_at)
            self._start(np.array([0.0, *((low + high) / 2)[1:]]), zoom)
            return
        # The middle of what is seen, at the depth of the middle of the box.
        middle = (low + high) / 2
        off = (seen.max(axis=0) + seen.min(axis=0)) / 2 - axes @ middle
        self._start(middle + off @ axes, zoom)

    def show_place(self, place: Array) -> None:
        """Bring a place into the middle; the zoom stays."""
        if self._viewer.dims.ndisplay == 2:
            self.show_slice(float(place[0]))
            place = np.array([0.0, *place[1:]])
        self._start(place, float(self._viewer.scene.camera.zoom))

    def show_slice(self, z: float) -> None:
        """Move the slider to a slice."""
        axis = self._viewer.dims.order[-3] if self._viewer.dims.ndim > 2 else None
        if axis is not None:
            self._viewer.dims.set_point(axis, z)

    def arrive(self) -> None:
        """End a flight at once."""
        if self._ways is not None:
            self._flight.stop()
            self._fly(1.0)

    def _start(self, center: Array, zoom: float) -> None:
        camera = self._viewer.scene.camera
        self._flight.stop()
        here = np.asarray(camera.center, float)
        self._ways = (here, np.asarray(center, float), float(camera.zoom), zoom)
        if self._viewer.dims.ndisplay == 2:
            self._fly(1.0)
        else:
            self._flight.start()

    def _fly(self, part: Any) -> None:
        if self._ways is None:
            return
        begin, end, zoom, then = self._ways
        camera = self._viewer.scene.camera
        smooth = float(part) ** 2 * (3 - 2 * float(part))
        camera.center = tuple(begin + (end - begin) * smooth)
        camera.zoom = zoom * (then / zoom) ** smooth
        if float(part) >= 1.0:
            self._ways = None


def view_axes(viewer: Any) -> tuple[Array, Array]:
    """Return the directions ``(z, y, x)`` that point up and to the right on the canvas, in 3D."""
    camera = viewer.scene.camera
    up, ahead = np.asarray(camera.up_direction, float), np.asarray(camera.view_direction, float)
    return up, np.cross(ahead, up)


def in_view(viewer: Any, low: Array, high: Array, depth: float) -> Array:
    """Return which boxes ``(N, 3)`` touch what is on the canvas; in 2D those within `depth` of the slice."""
    camera = viewer.scene.camera
    half = np.asarray(viewer.canvas.size, float) / 2 / max(float(camera.zoom), 1e-12)
    center = np.asarray(camera.center, float)
    if viewer.dims.ndisplay == 2:
        z = float(viewer.dims.point[viewer.dims.order[-3]]) if viewer.dims.ndim > 2 else 0.0
        across = (low[:, 1:] <= center[1:] + half) & (high[:, 1:] >= center[1:] - half)
        flat: Array = across[:, 0] & across[:, 1]
        return flat & (low[:, 0] <= z + depth) & (high[:, 0] >= z - depth)
    axes = np.stack(view_axes(viewer))
    middle, reach = ((low + high) / 2 - center) @ axes.T, ((high - low) / 2) @ np.abs(axes).T
    inside: Array = (np.abs(middle) <= half + reach).all(axis=1)
    return inside
