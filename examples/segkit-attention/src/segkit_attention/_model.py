"""A U-shaped network of two levels with self-attention at the coarser one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions, each followed by normalization and a nonlinearity."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(1, outputs),
        nn.SiLU(),
        nn.Conv3d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(1, outputs),
        nn.SiLU(),
    )


class SelfAttention(nn.Module):
    """Lets every part of a patch see every other one.

    Features ``(N, C, Z, Y, X)`` are averaged to at most ``tokens`` positions along each axis; these attend to each other,
    and what they learn is interpolated back and added.
    """

    def __init__(self, channels: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.normalization = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        extent = features.shape[2:]
        z, y, x = (min(self.tokens, n) for n in extent)
        coarse = functional.adaptive_avg_pool3d(features, (z, y, x))
        sequence = self.normalization(coarse.flatten(2).transpose(1, 2))
        attended, _ = self.attention(sequence, sequence, sequence, need_weights=False)
        context = attended.transpose(1, 2).reshape(coarse.shape)
        return features + functional.interpolate(context, extent, mode="trilinear", align_corners=False)


class AttentionNet(nn.Module):
    """Maps ``(N, C, Z, Y, X)`` to logits ``(N, K, Z, Y, X)``, for any extent."""

    def __init__(self, in_channels: int, out_channels: int, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        inner = -(-2 * width // heads) * heads  # a multiple of the heads
        self.fine = convolutions(in_channels, width)
        self.coarse = convolutions(width, inner)
        self.attention = SelfAttention(inner, heads, tokens)
        self.join = convolutions(width + inner, width)
        self.head = nn.Conv3d(width, out_channels, 1)

    def forward(self, raw: Tensor) -> Tensor:
        fine = self.fine(raw)
        # Rounding up keeps an axis of one voxel, such as the z of a 2D image.
        halved = functional.max_pool3d(fine, [min(2, n) for n in fine.shape[2:]], ceil_mode=True)
        context = self.attention(self.coarse(halved))
        enlarged = functional.interpolate(context, fine.shape[2:], mode="trilinear", align_corners=False)
        logits: Tensor = self.head(self.join(torch.cat([fine, enlarged], dim=1)))
        return logits
