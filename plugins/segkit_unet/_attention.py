"""Attention: the additive gate of the Attention U-Net, and self-attention of its coarsest level."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkit_unet._blocks import Kernel, Layers

__all__ = ["AttentionGate", "SelfAttention"]

_HEAD = 64


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


class SelfAttention(nn.Module):
    """Lets every voxel of the coarsest level take from all others what is like what it looks for, and adds that to it.

    Scaled dot-product attention of several heads (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762), normalised before
    it as in Xiong et al. 2020 (https://arxiv.org/abs/2002.04745), within each sample. Positions are not encoded: features
    tell what is where already, since convolutions made them, and so any extent is accepted. PyTorch computes it in memory
    that grows with the number of voxels; the time grows with its square.

    Parameters
    ----------
    channels
        Channels of the features; heads have about 64 each.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = gcd(channels, max(1, channels // _HEAD))
        self.norm = nn.LayerNorm(channels)
        self.looked_for = nn.Linear(channels, 3 * channels)
        self.taken = nn.Linear(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, channels, ...)`` to the same shape."""
        voxels = features.flatten(2).transpose(1, 2)
        three = self.looked_for(self.norm(voxels)).unflatten(-1, (3, self.heads, -1))
        query, key, value = three.permute(2, 0, 3, 1, 4)  # each (N, heads, voxels, channels of a head)
        found = F.scaled_dot_product_attention(query, key, value)
        added = self.taken(found.transpose(1, 2).flatten(2))
        result: Tensor = features + added.transpose(1, 2).reshape(features.shape)
        return result
