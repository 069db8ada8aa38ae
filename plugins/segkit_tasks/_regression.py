"""The task `regression`: numbers for each voxel, such as an image without noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segkit.contracts import Patch
from segkit.errors import DataError
from segkit.metrics import RegressionMetrics
from segkit_tasks._dense import Dense

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Regression"]

Array = np.ndarray[Any, Any]


class Regression(Dense):
    """The labels themselves, moved and scaled to numbers that suit a network."""

    best: tuple[str, Literal["max", "min"]] = ("mse", "min")

    def __init__(self, channels: int, centre: float, scale: float, data_range: float | None) -> None:
        self.out_channels = channels
        self.channel_names = tuple(f"value_{channel}" for channel in range(channels)) if channels > 1 else ("value",)
        self._centre, self._scale, self._data_range = centre, scale, data_range or scale

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return the labels as the network should give them, ``(K, Z, Y, X)``; what is not finite is not known.

        Raises
        ------
        DataError
            If the labels have another number of channels.
        """
        labels = patch.labels.reshape(-1, *patch.labels.shape[-3:])
        if len(labels) != self.out_channels:
            raise DataError(
                f"{patch.origin}: the labels have {len(labels)} channels, and the task 'regression' was set up for "
                f"{self.out_channels}. Set `channels` to {len(labels)}, or give other labels."
            )
        target = ((labels.astype(np.float64) - self._centre) / self._scale).astype(np.float32)
        finite = np.isfinite(target)
        return np.where(finite, target, np.float32(0)), patch.mask & finite.all(0)

    def foreground(self, labels: Array) -> Array:
        """Return true everywhere: no place is better to look at than another."""
        return np.ones(labels.shape[-3:], bool)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the predicted values, in the numbers of the labels."""
        import torch

        return torch.add(torch.tensor(self._centre, dtype=logits.dtype), logits, alpha=self._scale)  # in one pass

    def metrics(self) -> RegressionMetrics:
        """Return empty errors, in the numbers of the labels."""
        return RegressionMetrics(data_range=self._data_range, centre=self._centre, scale=self._scale)
