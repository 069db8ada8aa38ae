"""The task `affinities`: whether a voxel and another one at an offset belong to the same object.

Most pairs do. What is learnt is therefore which belong *apart*, so that overlap losses and weights of the positive class
are about the few that matter; the prediction says the opposite, as affinities do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segkit.affinities import OBJECT, channel_name, is_nearest
from segkit.contracts import Patch
from segkit.errors import UsageError
from segkit.geometry import Triple
from segkit.metrics import OverlapMetrics
from segkit_tasks._dense import Dense, ids_of, is_object

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Affinities"]

Array = np.ndarray[Any, Any]


class Affinities(Dense):
    """A channel for each offset, after one for objects where it is wanted."""

    best: tuple[str, Literal["max", "min"]] = ("dice_near", "max")
    directional = True

    def __init__(self, offsets: Sequence[Triple], objects: bool, threshold: float) -> None:
        self._offsets, self._objects, self._threshold = tuple(offsets), objects, threshold
        names = (channel_name(offset) for offset in offsets)
        self.channel_names: tuple[str, ...] = (OBJECT, *names) if objects else tuple(names)
        self.out_channels = len(self.channel_names)

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return ``(K, Z, Y, X)``, true for pairs that belong apart, and of the same shape where both ends are known.

        Raises
        ------
        UsageError
            If an offset leads out of the patch from every voxel.
        """
        labels = ids_of(patch)
        target = np.zeros((self.out_channels, *labels.shape), bool)
        mask = np.zeros(target.shape, bool)
        objects = labels != 0
        if self._objects:
            target[0], mask[0] = objects, patch.mask
        complete, full = bool(patch.mask.all()), bool(objects.all())
        for channel, offset in enumerate(self._offsets, self.out_channels - len(self._offsets)):
            if any(abs(step) >= n for step, n in zip(offset, labels.shape, strict=True)):
                raise UsageError(
                    f"{patch.origin}: the offset {offset} leads out of patches of {labels.shape} voxels (z, y, x), so it is "
                    "never learnt. Set sampling.patch_shape larger, or choose other offsets ('planar' for single slices)."
                )
            here, there = _pairs(offset, labels.shape)
            np.not_equal(labels[here], labels[there], out=target[channel][here])
            mask[channel][here] = complete or (patch.mask[here] & patch.mask[there])
            if not full:
                np.copyto(target[channel][here], True, where=~objects[here])
        return target, mask

    def foreground(self, labels: Array) -> Array:
        """Return where the objects are."""
        return is_object(labels)

    def activate(self, logits: Tensor) -> Tensor:
        """Return probabilities: of an object, and that both ends of each pair are in the same one."""
        import torch

        lead = self.out_channels - len(self._offsets)
        return torch.cat([logits[:, :lead].sigmoid(), (-logits[:, lead:]).sigmoid()], 1)

    def metrics(self) -> AffinityMetrics:
        """Return empty overlap scores."""
        return AffinityMetrics(self._offsets, self._objects, self._threshold)


def _pairs(offset: Triple, shape: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the voxels whose partner lies inside, and these partners."""
    here = tuple(slice(max(0, -step), n - max(0, step)) for step, n in zip(offset, shape, strict=True))
    there = tuple(slice(max(0, step), n + min(0, step)) for step, n in zip(offset, shape, strict=True))
    return here, there


class AffinityMetrics(OverlapMetrics):
    """How well pairs are found that belong apart, neighbours (`near`) and others (`far`), and where objects are."""

    def __init__(self, offsets: Sequence[Triple], objects: bool, threshold: float) -> None:
        groups = [OBJECT] * objects + ["near" if is_nearest(offset) else "far" for offset in offsets]
        self._of_group = {
            name: [i for i, group in enumerate(groups) if group == name] for name in dict.fromkeys(groups)
        }
        self._objects = int(objects)
        super().__init__(groups, threshold=threshold)

    def update(self, prediction: Array, target: Array, mask: Array) -> None:
        """Add one batch; see `segkit.contracts.Metrics`."""
        apart = 1 - prediction
        apart[:, : self._objects] = prediction[:, : self._objects]
        super().update(apart, target, mask)

    def compute(self) -> dict[str, float]:
        """Return the scores of each group, and their means; those of ``near`` are there under that name always."""
        summed = OverlapMetrics(tuple(self._of_group))
        summed.sums = np.stack([self.sums[channels].sum(0) for channels in self._of_group.values()])
        scores = summed.compute()
        return scores if len(self._of_group) > 1 else scores | {f"{name}_near": value for name, value in scores.items()}
