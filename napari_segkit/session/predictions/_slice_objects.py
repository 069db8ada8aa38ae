"""What a segmenter makes of a slice of a prediction, to see what a threshold does before anything large is run."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_segkit.session.predictions._ledger import has_ledger, is_complete
from segkit.geometry import Box, Triple

__all__ = ["SliceObjects", "Slicer", "size_histogram"]

MOST_VOXELS = 1_500_000
MOST_CONTEXT = 6


@dataclass(frozen=True)
class SliceObjects:
    """Objects of a slice.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` uint32, one voxel along the axis of the slice.
    box
        Where that is.
    sizes
        Voxels of each object in the slice.
    """

    ids: np.ndarray[Any, np.dtype[np.uint32]]
    box: Box
    sizes: np.ndarray[Any, Any]

    def line(self) -> str:
        """Return count and size in words."""
        if not len(self.sizes):
            return "No objects in this slice"
        count = f"{len(self.sizes):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        return f"{count} object{'s' * (len(self.sizes) > 1)} in this slice, median {np.median(self.sizes):.0f} pixels"


class Slicer:
    """Cuts slices; what was read last is kept, so that another threshold reads nothing. For one thread at a time."""

    def __init__(self) -> None:
        self._held: tuple[tuple[str, Box], Any, Any] | None = None
        self._lock = threading.Lock()

    def cut(self, source: str, box: Box, table: Mapping[str, Any]) -> SliceObjects:
        """Cut the slice of a prediction.

        Parameters
        ----------
        source
            The prediction.
        box
            The slice: one voxel along one axis. Its sides are cut to their middle where it is too large to be quick.
        table
            The segmenter and its options.

        Raises
        ------
        SegkitError
            If the prediction cannot be read, or is not what the segmenter reads.
        """
        from segkit.opening import open_volume
        from segkit.registry import registries

        component = registries["segmenters"][str(table["name"])]
        cutter = component(**component.bind({key: value for key, value in table.items() if key != "name"}))
        with self._lock:
            written = has_ledger(Path(source)) and not is_complete(Path(source))
            if self._held is None or self._held[0][0] != source or written:
                self._held = None  # what is still written is read anew each time
                volume = open_volume(f"{source}#live=true" if written else source)
            else:
                volume = self._held[1]
            fitted = getattr(cutter, "for_channels", None)
            cutter = fitted(volume.channel_names) if fitted is not None else cutter
            inside = box & volume.box
            if inside is None:
                inside = Box.of_shape((1, *volume.spatial_shape[1:]), (volume.spatial_shape[0] // 2, 0, 0))
            axis = int(np.argmin(inside.shape))
            plane, seen = _around(inside, axis, min(int(cutter.halo[axis]), MOST_CONTEXT), volume.spatial_shape)
            if self._held is None or self._held[0] != (source, seen):
                self._held = ((source, seen), volume, volume.read(seen).reshape(-1, *seen.shape))
            voxels = self._held[2]
        ids = np.asarray(cutter(voxels, volume.voxel_size))
        cut = np.ascontiguousarray(ids[plane.relative_to(seen.start).slices])
        values, inverse, counts = np.unique(cut, return_inverse=True, return_counts=True)
        fresh = np.cumsum(values != 0) * (values != 0)
        return SliceObjects(fresh.astype(np.uint32)[inverse].reshape(cut.shape), plane, counts[values != 0])


def _around(box: Box, axis: int, context: int, shape: Triple) -> tuple[Box, Box]:
    """Return the slice, cut to its middle where it is too large, and with its context."""
    room = math.isqrt(MOST_VOXELS // (1 + 2 * context))
    start, stop = list(box.start), list(box.stop)
    for other in range(3):
        if other != axis and stop[other] - start[other] > room:
            start[other] = (start[other] + stop[other] - room) // 2
            stop[other] = start[other] + room
    plane = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    margin = [context if each == axis else 0 for each in range(3)]
    seen = plane.grow(margin) & Box.of_shape(shape)
    assert seen is not None
    return plane, seen


def size_histogram(sizes: np.ndarray[Any, Any], bins: int = 24) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return how many objects have which size: counts and the edges of bins of equal width in the logarithm."""
    largest = max(10.0, float(sizes.max())) if len(sizes) else 10.0
    edges = np.geomspace(1.0, largest * 1.001, bins + 1)
    return np.histogram(sizes, edges)[0], edges
