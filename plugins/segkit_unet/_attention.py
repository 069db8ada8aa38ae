"""The additive attention gate of the Attention U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segkit_unet._blocks import Kernel, Layers

__all__ = ["AttentionGate"]


class AttentionGate(nn.Module):
    """Weakens the features of a skip connection where the coarser level sees nothing of interest.

    Equations 1 and 2 of Oktay et al. 2018 (https://arxiv.org/abs/1804.03999), computed at the resolution of the coarser
    level as there.
    """

    def __init__(self, layers: Layers, skip: int, coarse: int, step: Kernel) -> None:
        super().__init__()
        self.layers = layers
        hidden = max(skip // 2, 1)
        self.from_skip = layers.convolution(skip, hidden, step, step, bias=False)
        self.from_coarse = layers.convolution(coarse, hidden, (1, 1, 1), bias=True)
        self.score = layers.convolution(hidden, 1, (1, 1, 1), bias=True)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Return the skip connection ``(N, skip, ...)``, each voxel multiplied by a weight in 0..1."""
        score = self.score(torch.relu(self.from_skip(skip) + self.from_coarse(coarse)))
        return skip * self.layers.enlarge(torch.sigmoid(score), skip.shape[2:])
