"""The task `centre_offsets`: where objects are, and from each of their voxels the way to the centre of its object."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import cc3d
import numpy as np

from segkit.affinities import OBJECT
from segkit.contracts import Batch, Loss, Patch, call_network
from segkit.metrics import OverlapMetrics
from segkit_tasks._dense import ids_of, is_object

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["CentreOffsets"]

Array = np.ndarray[Any, Any]


class CentreOffsets:
    """A channel of probability, and one for each axis of the way to the centre."""

    best: tuple[str, Literal["max", "min"]] = ("centre_error", "min")
    directional = True

    def __init__(self, scale: float, in_plane_only: bool, offset_weight: float, threshold: float) -> None:
        self._scale, self._weight, self._threshold = scale, offset_weight, threshold
        self._axes = (1, 2) if in_plane_only else (0, 1, 2)
        self.channel_names: tuple[str, ...] = (OBJECT, *(f"to_centre_{'zyx'[axis]}" for axis in self._axes))
        self.out_channels = len(self.channel_names)

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return ``(K, Z, Y, X)``, and of the same shape where it is known: offsets where an object is whole."""
        labels = ids_of(patch)
        ids = _parts(np.where(patch.mask, labels, 0), by_slice=len(self._axes) == 2)
        whole = _whole(ids, patch.mask, self._axes)
        centres = cc3d.statistics(ids)["centroids"]
        target = np.zeros((self.out_channels, *labels.shape), np.float32)
        mask = np.broadcast_to(whole[ids], target.shape).copy()
        target[0], mask[0] = labels != 0, patch.mask
        finest = min(patch.voxel_size[axis] for axis in self._axes)
        for channel, axis in enumerate(self._axes, 1):
            place = np.arange(labels.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
            step = patch.voxel_size[axis] / (finest * self._scale)
            away = (centres[:, axis] * step).astype(np.float32)[ids] - (place * step).astype(np.float32)
            np.copyto(target[channel], away, where=mask[channel])
        return target, mask

    def foreground(self, labels: Array) -> Array:
        """Return where the objects are."""
        return is_object(labels)

    def step(self, network: nn.Module, batch: Batch, loss: Loss) -> Tensor:
        """Return the loss of the object channel, plus the mean absolute error of the offsets."""
        logits = call_network(network, batch.raw)
        known = batch.mask[:, 1:]
        errors = (logits[:, 1:].float() - batch.target[:, 1:]).abs() * known
        offsets = errors.sum() / known.sum().clamp_min(1)
        return loss(logits[:, :1], batch.target[:, :1], batch.mask[:, :1]) + self._weight * offsets

    def activate(self, logits: Tensor) -> Tensor:
        """Return the probability of an object, and offsets in voxels of the finest axis."""
        import torch

        return torch.cat([logits[:, :1].sigmoid(), logits[:, 1:] * self._scale], 1)

    def metrics(self) -> CentreMetrics:
        """Return empty scores."""
        return CentreMetrics(self._scale, self._threshold)


def _parts(labels: Array, by_slice: bool) -> Array:
    """Return the connected parts of ids, numbered from 1 in uint32; within each slice by itself where that is asked.

    An id may come back elsewhere in the volume, so that only of a connected part a patch can tell that it is complete.
    """
    if not by_slice:
        return np.asarray(cc3d.connected_components(np.ascontiguousarray(labels), connectivity=26).astype(np.uint32))
    ids, count = np.zeros(labels.shape, np.uint32), 0
    for z, plane in enumerate(labels):
        parts, found = cc3d.connected_components(np.ascontiguousarray(plane), connectivity=8, return_N=True)
        ids[z] = np.where(parts, parts + np.uint32(count), 0)
        count += found
    return ids


def _whole(ids: Array, mask: Array, axes: tuple[int, ...]) -> Array:
    """Return for each id whether all of the object is in the patch and known; false for the background."""
    cut = np.zeros(int(ids.max()) + 1, bool)
    cut[0] = True
    near = ~mask  # what is unknown and all around it, across edges and corners too, as parts are connected
    for axis in axes:
        grown = near.copy()
        before, after = np.moveaxis(near, axis, 0), np.moveaxis(grown, axis, 0)
        after[1:] |= before[:-1]
        after[:-1] |= before[1:]
        near = grown
        along = np.moveaxis(ids, axis, 0)
        if axis > 0 or len(along) > 1:  # a single slice has no neighbours that its objects could go on in
            cut[along[0]] = cut[along[-1]] = True
    cut[ids[near]] = True
    return ~cut


class CentreMetrics:
    """Overlap scores of the objects, and how far predicted centres are off; implements `segkit.contracts.Metrics`."""

    def __init__(self, scale: float, threshold: float) -> None:
        self._scale = scale
        self._objects = OverlapMetrics([OBJECT], threshold=threshold)
        self._errors = np.zeros(2, np.float64)

    @property
    def sums(self) -> Array:
        """Counts of the overlap, number of offsets, and sum of their errors, float64 ``(6,)``."""
        return np.concatenate([self._objects.sums.ravel(), self._errors])

    @sums.setter
    def sums(self, value: Array) -> None:
        self._objects.sums, self._errors = value[:4], np.array(value[4:], np.float64)

    def update(self, prediction: Array, target: Array, mask: Array) -> None:
        """Add one batch; see `segkit.contracts.Metrics`."""
        self._objects.update(prediction[:, :1], target[:, :1], mask[:, :1])
        known = mask[:, 1] != 0
        away = np.linalg.norm(prediction[:, 1:].astype(np.float64) - target[:, 1:] * self._scale, axis=1)
        self._errors += (np.count_nonzero(known), away[known].sum())

    def compute(self) -> dict[str, float]:
        """Return overlap scores, and ``centre_error`` in voxels of the finest axis; NaN without a whole object."""
        count, total = self._errors.tolist()
        return {"centre_error": total / count if count else math.nan, **self._objects.compute()}
