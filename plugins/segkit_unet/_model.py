"""The U-Net family: encoder, decoder and skip connections; its blocks and gates are in the neighbouring files."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkit_unet._attention import AttentionGate, SelfAttention
from segkit_unet._blocks import Block, Layers, ResidualBlock, Upsampling
from segkit_unet._levels import Levels

__all__ = ["UNet"]


class UNet(nn.Module):
    """A U-Net that takes any extent: it pads at the far borders and crops again.

    Parameters
    ----------
    in_channels, out_channels
        Channels of the image and of the logits.
    layers
        Builds its layers.
    levels
        Its kernels and poolings.
    width
        Channels of the finest level; they double with each level.
    gates
        Whether attention gates weigh the skip connections.
    residual
        Whether blocks are residual.
    interpolated
        Whether features are interpolated to the finer level rather than brought there by a transposed convolution.
    attends
        Whether the coarsest level attends to itself.

    Attributes
    ----------
    planar
        Whether it takes ``(N, C, Y, X)``.
    stride
        Voxels (z, y, x) of the input for each voxel of its coarsest level. Blocks whose starts are multiples of this
        are pooled alike wherever they begin.
    reach
        How far (z, y, x) from itself an output voxel can depend on the input, normalisation and self-attention aside.
    halo
        Context (z, y, x) in voxels, a multiple of `stride`, to read around a block. Without normalisation, or with that of
        batches, it is `reach` rounded up, and blocks equal the whole. Instance and group normalisation and self-attention
        let every output depend on all that is read, so that no halo gives equality; it is then two strides, or `reach`
        where that is less. Influence falls off towards the border of the receptive field like a Gaussian (Luo et al. 2016,
        https://arxiv.org/abs/1701.04128): in fresh networks of this family 75 to 87% of the squared gradient of an output
        voxel lies within two strides.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        layers: Layers,
        levels: Levels,
        width: int,
        *,
        gates: bool,
        residual: bool,
        interpolated: bool,
        attends: bool = False,
    ) -> None:
        super().__init__()
        self.planar = layers.planar
        self.stride = levels.stride
        self.reach = levels.reach(interpolated or gates)
        exact = layers.normalization in ("none", "batch") and not attends
        self.halo = tuple(
            min(-(-far // step) * step, far * step if exact else 2 * step) for far, step in zip(self.reach, self.stride)
        )

        widths = [width * 2**level for level in range(len(levels.kernels))]
        block = ResidualBlock if residual else Block
        self.encoders = nn.ModuleList()
        self.pools = nn.ModuleList(layers.pool(step) for step in levels.poolings)
        for inputs, outputs, kernel in zip([in_channels, *widths], widths, levels.kernels):
            self.encoders.append(block(layers, inputs, outputs, kernel))
        self.attention = SelfAttention(widths[-1]) if attends else nn.Identity()
        self.ups, self.gates, self.decoders = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(levels.poolings))):
            fine, coarse, step = widths[level], widths[level + 1], levels.poolings[level]
            self.ups.append(Upsampling(layers, coarse, fine, step, interpolated))
            if gates:
                self.gates.append(AttentionGate(layers, fine, coarse, step))
            self.decoders.append(block(layers, 2 * fine, fine, levels.kernels[level]))
        self.head = layers.convolution(width, out_channels, (1, 1, 1), bias=True)

    def forward(self, raw: Tensor) -> Tensor:
        """Map ``(N, C, Z, Y, X)``, or ``(N, C, Y, X)`` where `planar`, to logits of the same extent."""
        extent = raw.shape[2:]
        strides = self.stride[1:] if self.planar else self.stride
        missing = [-size % step for size, step in zip(extent, strides)]
        features = raw
        if any(missing):  # the last axis comes first there
            features = F.pad(raw, [n for size in reversed(missing) for n in (0, size)], mode="replicate")

        skips = []
        for encoder, pool in zip(self.encoders, self.pools):
            features = encoder(features)
            skips.append(features)
            features = pool(features)
        features = self.attention(self.encoders[-1](features))
        for index, (up, decoder) in enumerate(zip(self.ups, self.decoders)):
            skip = skips.pop()
            fine = up(features, skip.shape[2:])
            if self.gates:
                skip = self.gates[index](skip, features)
            features = decoder(torch.cat((skip, fine), 1))
        logits: Tensor = self.head(features)
        for axis, size in enumerate(extent, 2):
            logits = logits.narrow(axis, 0, size)
        return logits
