"""The task `distances`: how far inside of its object a voxel lies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import edt
import numpy as np

from segkit.contracts import Batch, Loss, Patch
from segkit.errors import UsageError
from segkit.metrics import RegressionMetrics
from segkit_tasks._dense import Dense, ids_of, is_object
from segkit_tasks._surroundings import apart_from_unknown, distance_to, distance_to_unknown, spacing_of

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Distances"]

Array = np.ndarray[Any, Any]


class Distances(Dense):
    """One channel: the distance to the next voxel of another id, up to a largest one."""

    best: tuple[str, Literal["max", "min"]] = ("mse", "min")
    channel_names: tuple[str, ...] = ("distance",)
    out_channels = 1

    def __init__(
        self, scale: float | None, signed: bool, in_plane_only: bool, activation: Literal["linear", "sigmoid"]
    ) -> None:
        if signed and activation == "sigmoid":
            raise UsageError(
                "`signed` distances reach from -1 to 1, and `activation` 'sigmoid' gives 0 to 1. Set `activation` to "
                "'linear', with the loss mse or l1."
            )
        self._scale, self._signed, self._in_plane_only, self._activation = scale, signed, in_plane_only, activation
        self._fits: Loss | None = None

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return ``(1, Z, Y, X)``, and where what is outside of the patch or not annotated cannot change it."""
        spacing = spacing_of(patch, self._in_plane_only)
        scale = self._scale or 10 * min(spacing)
        labels = apart_from_unknown(ids_of(patch), patch.mask)
        distance = edt.edt(np.ascontiguousarray(labels), anisotropy=spacing, black_border=False, parallel=1)
        background = labels == 0
        if self._signed:
            distance = np.where(background, -distance_to(~background, spacing), distance)
        free = distance_to_unknown(patch.mask, spacing)
        known = (free >= scale) | (np.abs(distance) < free)
        target = np.clip(distance / scale, -1, 1).astype(np.float32)
        return target[None], known & patch.mask

    def foreground(self, labels: Array) -> Array:
        """Return where the objects are."""
        return is_object(labels)

    def step(self, network: nn.Module, batch: Batch, loss: Loss) -> Tensor:
        """Return the loss of the network on a batch.

        Raises
        ------
        UsageError
            If the loss reads the outputs in another way than the activation does.
        """
        if self._fits is not loss:
            self._refuse_if_unfit(loss)
            self._fits = loss
        return super().step(network, batch, loss)

    def _refuse_if_unfit(self, loss: Loss) -> None:
        """Ask the loss which output it takes for a distance of 0.25: 0.25 itself, or what has it as its sigmoid."""
        import torch

        def cost(output: float) -> float:
            shape = (1, 1, 1, 1, 2)
            return float(loss(torch.full(shape, output), torch.full(shape, 0.25), torch.ones(shape)))

        with torch.no_grad():
            linear = cost(0.25) < cost(math.log(0.25 / 0.75))
        if linear != (self._activation == "linear"):
            raise UsageError(
                f"`task.activation` is '{self._activation}', which the losses of this recipe do not fit: they are lowest where "
                f"{'the output itself' if linear else 'the sigmoid of the output'} is the distance. Choose 'linear' with mse "
                "or l1, 'sigmoid' with bce."
            )

    def activate(self, logits: Tensor) -> Tensor:
        """Return the distances, as parts of the largest."""
        return logits.sigmoid() if self._activation == "sigmoid" else logits.clamp(-1.0 if self._signed else 0.0, 1.0)

    def metrics(self) -> RegressionMetrics:
        """Return empty errors."""
        return RegressionMetrics(data_range=2.0 if self._signed else 1.0)
