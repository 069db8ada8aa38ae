"""The task `boundaries`: where objects are, and where one meets another or the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segkit.contracts import Patch
from segkit.metrics import OverlapMetrics
from segkit_tasks._dense import Dense, ids_of, is_object
from segkit_tasks._surroundings import distance_to, spacing_of

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
        self._thickness, self._in_plane_only, self._threshold = thickness, in_plane_only, threshold

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return ``(2, Z, Y, X)``, and where both channels are known."""
        labels = ids_of(patch)
        spacing = spacing_of(patch, self._in_plane_only)
        reach = (self._thickness - 1) * min(spacing) * (1 + 1e-4)
        boundary = np.zeros(labels.shape, bool)
        unsure = ~patch.mask
        unknown = unsure.copy()
        for axis in (1, 2) if self._in_plane_only else (0, 1, 2):
            along, beside = np.moveaxis(labels, axis, 0), np.moveaxis(boundary, axis, 0)
            differ = along[1:] != along[:-1]
            beside[1:] |= differ
            beside[:-1] |= differ
            hidden, behind = np.moveaxis(unsure, axis, 0), np.moveaxis(unknown, axis, 0)
            hidden[1:] |= behind[:-1]
            hidden[:-1] |= behind[1:]
            # What lies behind the border of a patch is as unknown as what is not annotated. Along an axis too short to
            # keep anything, the faces inside are all there is to go by.
            if len(along) > 2 * (1 + int(reach / spacing[axis])):
                hidden[0] = hidden[-1] = True
        if reach:
            boundary = distance_to(boundary, spacing) <= reach
            # Known boundaries near unknown voxels are left out too: to keep just those would teach that there are more.
            unsure = distance_to(unsure, spacing) <= reach
        return np.stack([labels != 0, boundary]), ~unsure

    def foreground(self, labels: Array) -> Array:
        """Return where the objects are."""
        return is_object(labels)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the probabilities of object and boundary."""
        return logits.sigmoid()

    def metrics(self) -> OverlapMetrics:
        """Return empty overlap scores of both channels."""
        return OverlapMetrics(self.channel_names, threshold=self._threshold)
