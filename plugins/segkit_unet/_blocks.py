"""The layers a U-Net is made of, for planes and for volumes."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Block", "Layers", "ResidualBlock", "Upsampling"]

Kernel = tuple[int, ...]


class GroupNorm(nn.GroupNorm):
    """Group normalisation that accepts groups of a single element too: these become the bias, as the formula says."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise ``(N, C, ...)``."""
        # `functional.group_norm` refuses groups of one element, which the coarsest level of a tiny patch is made of.
        return torch.group_norm(features, self.num_groups, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Layers:
    """Builds single layers, all in the same dimensions and manner.

    Parameters
    ----------
    planar
        Whether they take ``(N, C, Y, X)`` instead of ``(N, C, Z, Y, X)``.
    normalization, activation, dropout
        As in the factories of this plugin.
    """

    planar: bool
    normalization: Literal["instance", "batch", "group", "none"]
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"]
    dropout: float

    def size(self, kernel: Kernel) -> Kernel:
        """Return the part of a (z, y, x) size that the layers have."""
        return kernel[1:] if self.planar else kernel

    def convolution(
        self, inputs: int, outputs: int, kernel: Kernel, stride: Kernel = (1, 1, 1), *, bias: bool
    ) -> nn.Module:
        """Return a convolution that keeps the extent, or divides it by `stride`."""
        kind = nn.Conv2d if self.planar else nn.Conv3d
        size = self.size(kernel)
        padding = tuple(k // 2 if s == 1 else 0 for k, s in zip(size, self.size(stride)))
        return kind(inputs, outputs, size, self.size(stride), padding, bias=bias)  # type: ignore[arg-type]

    def normalized(self, inputs: int, outputs: int, kernel: Kernel) -> nn.Sequential:
        """Return a convolution and its normalisation."""
        convolution = self.convolution(inputs, outputs, kernel, bias=self.normalization == "none")
        return nn.Sequential(convolution, self.norm(outputs))

    def norm(self, channels: int) -> nn.Module:
        """Return the normalisation."""
        if self.normalization == "none":
            return nn.Identity()
        if self.normalization == "batch":
            return (nn.BatchNorm2d if self.planar else nn.BatchNorm3d)(channels)
        return GroupNorm(channels if self.normalization == "instance" else gcd(8, channels), channels)

    def act(self) -> nn.Module:
        """Return the activation."""
        kinds: dict[str, type[nn.Module]] = {"elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU}
        if self.activation in kinds:
            return kinds[self.activation]()
        return nn.LeakyReLU(0.01, inplace=True) if self.activation == "leaky_relu" else nn.ReLU(inplace=True)

    def drop(self) -> nn.Module:
        """Return the dropout of whole channels."""
        if self.dropout == 0:
            return nn.Identity()
        return (nn.Dropout2d if self.planar else nn.Dropout3d)(self.dropout)

    def pool(self, step: Kernel) -> nn.Module:
        """Return the pooling."""
        return (nn.MaxPool2d if self.planar else nn.MaxPool3d)(self.size(step))

    def enlarge(self, features: Tensor, extent: torch.Size) -> Tensor:
        """Interpolate linearly to the given extent."""
        return F.interpolate(
            features, list(extent), mode="bilinear" if self.planar else "trilinear", align_corners=False
        )


class Block(nn.Module):
    """Two convolutions, each with normalisation and activation."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, kernel: Kernel) -> None:
        super().__init__()
        self.first = layers.normalized(inputs, outputs, kernel)
        self.second = layers.normalized(outputs, outputs, kernel)
        self.drop = layers.drop()
        self.activate = layers.act()

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, inputs, ...)`` to ``(N, outputs, ...)``."""
        features = self.drop(self.activate(self.first(features)))
        result: Tensor = self.activate(self.second(features))
        return result


class ResidualBlock(Block):
    """The same two convolutions, to which the input is added before the last activation (He et al. 2016)."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, kernel: Kernel) -> None:
        super().__init__(layers, inputs, outputs, kernel)
        self.shortcut = nn.Identity() if inputs == outputs else layers.normalized(inputs, outputs, (1, 1, 1))

    @property
    def residual_branch(self) -> nn.Module:
        """What is added to the input, where initializers look for it."""
        return nn.Sequential(self.first, self.activate, self.drop, self.second)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, inputs, ...)`` to ``(N, outputs, ...)``."""
        change = self.second(self.drop(self.activate(self.first(features))))
        result: Tensor = self.activate(change + self.shortcut(features))
        return result


class Upsampling(nn.Module):
    """Brings features to the next finer level, with as many channels as that level has."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, step: Kernel, interpolated: bool) -> None:
        super().__init__()
        self.layers = layers
        self.interpolated = interpolated
        size = layers.size(step)
        transposed = nn.ConvTranspose2d if layers.planar else nn.ConvTranspose3d
        self.convolution = (
            layers.convolution(inputs, outputs, (1, 1, 1), bias=True)
            if interpolated
            else transposed(inputs, outputs, size, size)  # type: ignore[arg-type]
        )

    def forward(self, features: Tensor, extent: torch.Size) -> Tensor:
        """Map ``(N, inputs, ...)`` to ``(N, outputs, *extent)``."""
        features = self.convolution(
            features
        )  # before the interpolation, with which a 1x1x1 kernel commutes: it is cheaper
        return self.layers.enlarge(features, extent) if self.interpolated else features
