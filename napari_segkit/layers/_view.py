"""What of an image is on the canvas."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.geometry import Box

__all__ = ["view_box"]

CUBE = 128


def view_box(layer: Any, viewer: Any) -> Box:
    """Return what is on the canvas of a 3D layer, in voxels of its finest level: a slice, or in 3D a cube in the middle."""
    shape = [int(n) for n in (layer.level_shapes[0] if layer.multiscale else layer.data.shape)]
    start, stop = [0, 0, 0], list(shape)
    extra = viewer.dims.ndim - 3
    if viewer.dims.ndisplay != 2:
        centre = np.round(layer.world_to_data(viewer.scene.camera.center)).astype(int)
        for axis, length in enumerate(shape):
            side = min(CUBE, length)
            start[axis] = int(np.clip(centre[axis] - side // 2, 0, length - side))
            stop[axis] = start[axis] + side
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    factors = layer.downsample_factors[layer.data_level] if layer.multiscale else np.ones(3)
    corners = np.asarray(layer.corner_pixels) * factors
    at = np.round(layer.world_to_data(viewer.dims.point[-3:])).astype(int)
    displayed = [axis - extra for axis in viewer.dims.displayed]
    for axis, length in enumerate(shape):
        if axis in displayed:
            low = int(np.clip(np.floor(corners[0, axis]), 0, length - 1))
            high = int(np.clip(np.ceil(corners[1, axis] + factors[axis]), low + 1, length))
        else:
            low = int(np.clip(at[axis], 0, length - 1))
            high = low + 1
        start[axis], stop[axis] = low, high
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
