"""Images in 3D: one plane at the slice that was looked at, and a small cube in full resolution where it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_segkit.layers import create_layers, layers_of, volume_of_layer
from segkit.geometry import Box
from segkit.volume import Volume

__all__ = ["Planes", "cut_out"]

MOST_DRAWN = 2**24  # voxels that 3D may pull of one image
SIDE = 256


class Planes:
    """Shows images as planes in 3D, until `release` is called.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.on = True
        self._before: dict[Any, tuple[bool, str]] = {}
        viewer.dims.events.ndisplay.connect(self._turned)

    def release(self) -> None:
        """Show images as they were shown before."""
        self._viewer.dims.events.ndisplay.disconnect(self._turned)
        self._give_back()

    def toggle(self) -> bool:
        """Show images in 3D or hide them, and return whether they are shown."""
        self.on = not self.on
        if self._viewer.dims.ndisplay == 3:
            self._turned()
        return self.on

    def move_to(self, z: float) -> None:
        """Move the planes to a z, in world units."""
        for layer in self._images():
            if layer in self._before and layer.depiction == "plane":
                place = (z - float(layer.translate[0])) / float(layer.scale[0])
                if layer.multiscale:
                    place /= float(layer.downsample_factors[-1][0])
                last = (layer.data[-1] if layer.multiscale else layer.data).shape[0] - 1
                layer.plane.position = (float(np.clip(place, 0, last)), *layer.plane.position[1:])

    def _images(self) -> list[Any]:
        layers = self._viewer.layers
        return [
            layer
            for layer in layers
            if type(layer).__name__ == "Image"
            and layer.ndim == 3
            and not layer.rgb
            and "segkit" in layer.metadata
            and "role" not in layer.metadata["segkit"]
        ]

    def _turned(self, event: Any = None) -> None:
        if self._viewer.dims.ndisplay != 3:
            self._give_back()
            return
        z = float(self._viewer.dims.point[0]) if self._viewer.dims.ndim == 3 else 0.0
        for layer in self._images():
            visible, _ = self._before.setdefault(layer, (layer.visible, str(layer.depiction)))
            voxels = layer.data[-1] if layer.multiscale else layer.data
            fits = int(np.prod(voxels.shape)) <= MOST_DRAWN
            if fits:
                layer.depiction = "plane"
                layer.plane.normal = (1, 0, 0)
                layer.plane.thickness = 1
            layer.visible = visible and self.on and fits
            if visible and self.on and not fits:
                self._viewer.status = (
                    f"{layer.name} is too large for 3D; a cut-out on the page Traces shows a part of it"
                )
        self.move_to(z)

    def _give_back(self) -> None:
        for layer, (visible, depiction) in self._before.items():
            if layer in self._viewer.layers:
                layer.depiction, layer.visible = depiction, visible
        self._before.clear()


def cut_out(viewer: Any, image: Volume | None, place: Any) -> Callable[[], list[Any]] | None:
    """Return a function that reads a cube around a place in full resolution and returns its layer; None without an image.

    Parameters
    ----------
    viewer
        Where an image is looked for if none is given.
    image
        The image.
    place
        Its middle ``(z, y, x)``, in its unit.
    """
    if image is None:
        shown = [
            layer
            for layer in viewer.layers
            if type(layer).__name__ == "Image" and layer.ndim == 3 and not layer.rgb and "segkit" in layer.metadata
        ]
        shown = [layer for layer in shown if "role" not in layer.metadata["segkit"]]
        if not shown:
            return None
        image = volume_of_layer(shown[0])
    volume = image
    size = np.asarray(volume.voxel_size)
    side = np.maximum(1, np.round(SIDE * size.min() / size)).astype(int)
    middle = np.round((np.asarray(place) - np.asarray(volume.offset)) / size).astype(int)
    box = Box.of_shape(side.tolist(), (middle - side // 2).tolist()) & volume.box

    def read() -> list[Any]:
        if box is None:
            return []
        piece = volume.crop(box)
        piece = piece.with_array(piece.read(), piece.axes)
        [(data, arguments, kind), *_] = layers_of(piece, name="cut-out", kind="image")
        arguments |= {
            "metadata": {"segkit": {"role": "cut-out"}},
            "rendering": "attenuated_mip",
            "colormap": "gray_r",
            "attenuation": 0.1,
            "opacity": 0.8,
            "blending": "translucent_no_depth",
        }
        return create_layers([(data, arguments, kind)])

    return read
