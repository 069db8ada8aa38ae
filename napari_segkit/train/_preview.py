"""The live preview: asks the trainer for the slice on show, and lays its answer over the image.

Neither side waits for the other. A new request is written when the view has been still for a moment; whatever answer the
trainer has published last is shown where it belongs, with the step it comes from.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_segkit.layers import layers_showing, reveal, selection_kept
from napari_segkit.session.trainings._run_folder import read_preview, write_request
from segkit.geometry import Box
from segkit.volume import Volume

__all__ = ["LAYER_NAME", "LivePreview", "layer_of_image", "visible_box"]

LAYER_NAME = "live preview"
SETTLED_MS = 300
LARGEST_SIDE = 768
BOX_DEPTH = 16
BOX_SIDE = 192
UPDATING = "updating\N{HORIZONTAL ELLIPSIS}"


def layer_of_image(viewer: Any, image: Volume | None, source: str) -> Any:
    """Return the layer that shows an image: by its place, its voxels, or its name and extent; None if there is none."""
    layers = [
        layer
        for layer in viewer.layers
        if type(layer).__name__ == "Image" and not layer.metadata.get("segkit", {}).get("preview")
    ]
    showing = [layer for layer in layers_showing(viewer, source) if layer in layers] if source else []
    if showing:
        return showing[0]
    if image is None:
        return None
    for layer in layers:
        if (layer.data[0] if layer.multiscale else layer.data) is image.array:
            return layer
    for layer in layers:
        shape = tuple(layer.level_shapes[0]) if layer.multiscale else tuple(layer.data.shape)
        if layer.name == image.source and shape == image.spatial_shape:
            return layer
    return None


def visible_box(layer: Any, viewer: Any) -> Box | None:
    """Return the slice of a 3D image layer that is on the canvas, in voxels of its finest level; None in 3D.

    Sides longer than `LARGEST_SIDE` are cut to their middle, so that a preview stays cheap.
    """
    if viewer.dims.ndisplay != 2 or layer.ndim != 3:
        return None
    shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
    factors = layer.downsample_factors[layer.data_level] if layer.multiscale else np.ones(3)
    corners = np.asarray(layer.corner_pixels) * factors
    at = np.round(layer.world_to_data(viewer.dims.point[-3:])).astype(int)
    start, stop = [0, 0, 0], [int(n) for n in shape]
    for axis in range(3):
        if axis in [a - (viewer.dims.ndim - 3) for a in viewer.dims.displayed]:
            low = int(np.clip(np.floor(corners[0, axis]), 0, shape[axis] - 1))
            high = int(np.clip(np.ceil(corners[1, axis] + factors[axis]), low + 1, shape[axis]))
            if high - low > LARGEST_SIDE:
                low = (low + high - LARGEST_SIDE) // 2
                high = low + LARGEST_SIDE
        else:
            low = int(np.clip(at[axis], 0, shape[axis] - 1))
            high = low + 1
        start[axis], stop[axis] = low, high
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def box_around(slice_box: Box, shape: Any) -> Box:
    """Return a small box around the middle of a slice, within an image of this shape."""
    start, stop = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        side = min(BOX_DEPTH if axis == 0 else BOX_SIDE, int(shape[axis]))
        middle = (slice_box.start[axis] + slice_box.stop[axis]) // 2
        start[axis] = int(np.clip(middle - side // 2, 0, shape[axis] - side))
        stop[axis] = start[axis] + side
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


class LivePreview(QObject):  # type: ignore[misc]
    """The preview of one run over one image layer.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    told = Signal(str)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._run: Path | None = None
        self._image: Any = None
        self._source = ""
        self._session = token_hex(3)
        self._requests = 0
        self._asked: tuple[str, Box] | None = None
        self._shown: Any = None
        self._planes: np.ndarray[Any, Any] | None = None
        self._box: Box | None = None
        self._said = self.text = ""
        self.channel = 0
        self.enabled = True
        self.every = 50
        self.whole_box = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._settle.timeout.connect(self.ask)
        self._events = (
            viewer.dims.events.current_step,
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.zoom,
        )
        for event in self._events:
            event.connect(self._moved)

    def close(self) -> None:
        """Stop watching the viewer; the layer stays."""
        self._settle.stop()
        for event in self._events:
            event.disconnect(self._moved)
        self._run = self._image = None

    def follow(self, run: Path, image: Any, source: str) -> None:
        """Show previews of a run over a layer from now on.

        Parameters
        ----------
        run
            Folder of the run; it may not exist yet.
        image
            The image layer; None shows nothing.
        source
            Where the voxels of that layer are on disk.
        """
        self._run, self._image, self._source = run, image, source
        self._asked = None
        self.ask()

    @property
    def run(self) -> Path | None:
        """The run that is asked; None for none."""
        return self._run

    @property
    def image(self) -> Any:
        """The layer that previews are laid over."""
        return self._image

    @property
    def box(self) -> Box | None:
        """The region of the latest answer; None before the first."""
        return self._box

    def set_options(self, *, enabled: bool, every: int, whole_box: bool) -> None:
        """Choose whether, how often and what to preview; what is different is asked for at once."""
        changed = (every, whole_box) != (self.every, self.whole_box) or (enabled and not self.enabled)
        self.enabled, self.every, self.whole_box = enabled, every, whole_box
        if self.layer is not None:
            self.layer.visible = enabled
        if changed:
            self._asked = None
            self.ask()

    def stop(self) -> None:
        """Ask for no more previews; what is shown stays."""
        self._run = None

    def _moved(self, event: Any = None) -> None:
        if self._run is not None and self.enabled:
            self._settle.start()
            if self._said and self._box is not None and self.wanted_box() not in (None, self._box):
                self._tell(f"{self._said}, {UPDATING}")

    def wanted_box(self) -> Box | None:
        """Return the region that is to be shown now; None in 3D, or without an image."""
        if self._image is None or self._image not in self._viewer.layers:
            return None
        box = visible_box(self._image, self._viewer)
        if box is not None and self.whole_box:
            return box_around(box, self._image.level_shapes[0] if self._image.multiscale else self._image.data.shape)
        return box

    def ask(self, *, now: bool = False) -> None:
        """Write the request for what is on show, unless it was asked for already.

        Parameters
        ----------
        now
            Ask again, and for an answer at once.
        """
        if self._run is None or not self._source or not (self.enabled or now):
            return
        box = self.wanted_box()
        if box is None or (not now and self._asked and self._asked[1] == box):
            return
        self._requests += 1
        # Requests of an earlier viewer, to the same run, are others.
        self._asked = (f"{self._session}-{self._requests}", box)
        try:
            write_request(self._run, self._source, box, self._asked[0], every=self.every, now=now)
        except OSError:
            return  # a run folder that cannot be written can be watched, but not asked
        if self.layer is not None:
            self._tell(f"{self._said}, {UPDATING}" if self._said else UPDATING)

    @property
    def layer(self) -> Any:
        """The preview layer; None before the first answer, or after it was deleted."""
        return self._shown if self._shown is not None and self._shown in self._viewer.layers else None

    def show_answer(self, record: dict[str, Any]) -> bool:
        """Show what a ``preview`` record announces; return whether there was something to show."""
        if self._run is None or self._image is None or self._image not in self._viewer.layers:
            return False
        found = read_preview(self._run, record)
        if found is None:
            return False
        self._box, self._planes = found
        self._draw(self._box)
        current = self._asked is None or record.get("request") == self._asked[0]
        seconds = record.get("seconds")
        took = f", {seconds:.2g} s" if isinstance(seconds, int | float) else ""
        self._said = f"Preview of step {record['step']}{took}"
        self._tell(self._said if current else f"{self._said}, {UPDATING}")
        return True

    def _draw(self, box: Box) -> None:
        if self._planes is None:
            return
        plane = self._planes[min(self.channel, len(self._planes) - 1)]
        scale = np.asarray(self._image.scale)
        translate = np.asarray(self._image.translate) + scale * box.start
        layer = self.layer
        if layer is None:
            with selection_kept(self._viewer):
                layer = self._viewer.add_image(
                    plane.copy(),
                    name=LAYER_NAME,
                    scale=scale,
                    translate=translate,
                    units=self._image.units,
                    axis_labels=self._image.axis_labels,
                    contrast_limits=(0, 255),
                    colormap="magenta",
                    blending="additive",
                    opacity=0.45,
                    visible=False,
                    metadata={"segkit": {"preview": True}},
                )
            layer.editable = False
            self._shown = layer
            reveal(layer)
        elif layer.data.shape == plane.shape:
            layer.data[...] = plane
            layer.translate = translate
            layer.refresh(extent=False, thumbnail=False)
        else:
            layer.data = plane.copy()
            layer.translate = translate

    def choose_channel(self, channel: int) -> None:
        """Show another channel of the prediction."""
        self.channel = channel
        layer = self.layer
        if layer is not None and self._planes is not None:
            layer.data[...] = self._planes[min(channel, len(self._planes) - 1)]
            layer.refresh(extent=False, thumbnail=False)

    @property
    def channels(self) -> int:
        """Number of channels of the latest answer; 0 before the first."""
        return 0 if self._planes is None else len(self._planes)

    def _tell(self, text: str) -> None:
        # Not on the canvas: the first text there is drawn letter by letter, which stops the window for half a second.
        self.text = text
        self.told.emit(text)
