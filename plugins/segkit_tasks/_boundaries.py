"""The task `boundaries`: where objects are, and where one meets another or the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.ndimage import binary_dilation, generate_binary_structure

from segkit.contracts import Patch
from segkit.metrics import OverlapMetrics
from segkit_tasks._dense import Dense, ids_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Boundaries"]

Array = np.ndarray[Any, Any]


class Boundaries(Dense):
    """Two channels: objects, and the voxels beside a face between two ids."""

    best: tuple[str, Literal["max", "min"]] = ("dice_boundary", "max")
    channel_names: tuple[str, ...] = ("object", "boundary")
    out_channels = 2

    def __init__(self, thickness: int, in_plane_only: bool, threshold: float) -> None:
        self._thickness, self._threshold = thickness, threshold
        self._axes = (1, 2) if in_plane_only else (0, 1, 2)
        self._neighbours = generate_binary_structure(3, 1)
        if in_plane_only:
            self._neighbours[[0, 2]] = False

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return ``(2, Z, Y, X)``, and where both channels are known."""
        labels = ids_of(patch)
        boundary = np.zeros(labels.shape, bool)
        hidden = np.zeros(labels.shape, bool)
        for axis in self._axes:
            along = np.moveaxis(labels, axis, 0)
            differ = along[1:] != along[:-1]
            beside = np.moveaxis(boundary, axis, 0)
            beside[1:] |= differ
            beside[:-1] |= differ
            # What lies behind the border of a patch is as unknown as what is not annotated. Along an axis too short to
            # keep anything, the faces inside are all there is to go by.
            if len(along) > 2 * self._thickness:
                border = np.moveaxis(hidden, axis, 0)
                border[: self._thickness] = True
                border[-self._thickness :] = True
        if self._thickness > 1:
            boundary = binary_dilation(boundary, self._neighbours, self._thickness - 1)
        # Known boundaries near unknown voxels are left out too: to keep just those would teach that there are more.
        if not patch.mask.all():
            hidden |= binary_dilation(~patch.mask, self._neighbours, self._thickness)
        return np.stack([labels != 0, boundary]).astype(np.float32), ~hidden

    def foreground(self, labels: Array) -> Array:
        """Return where the objects are."""
        return np.asarray((labels[0] if labels.ndim == 4 else labels) != 0)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the probabilities of object and boundary."""
        return logits.sigmoid()

    def metrics(self) -> OverlapMetrics:
        """Return empty overlap scores of both channels."""
        return OverlapMetrics(self.channel_names, threshold=self._threshold)
