"""The network that flood-fills: residual blocks of two convolutions at full resolution, without any downsampling.

It is shaped as the one of Januszewski et al. (2018, https://doi.org/10.1038/s41592-018-0049-4). What it returns is the
*change* of the object map: whoever calls it adds that to the map, the last of its input channels.
"""

from __future__ import annotations

from math import gcd
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from segkit.geometry import Triple

__all__ = ["FFN", "Normalizing"]

Normalizing = Literal["none", "layer", "group", "batch"]


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of the channels of each voxel by itself, so that no voxel depends on those far from it."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise ``(N, C, Z, Y, X)``."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


def _norm(kind: Normalizing, channels: int) -> nn.Module:
    if kind == "layer":
        return ChannelNorm(channels, eps=1e-6)
    if kind == "group":
        return nn.GroupNorm(gcd(8, channels), channels)
    return nn.BatchNorm3d(channels) if kind == "batch" else nn.Identity()


class Pair(nn.Module):
    """Two convolutions, with a normalisation and a ReLU between them.

    Parameters
    ----------
    inputs, width
        Channels that come in, and that go out.
    flat
        Whether they convolve within slices only.
    normalization, dropout
        As in the factory.
    """

    def __init__(self, inputs: int, width: int, *, flat: bool, normalization: Normalizing, dropout: float) -> None:
        super().__init__()
        kernel, padding = ((1, 3, 3), (0, 1, 1)) if flat else ((3, 3, 3), (1, 1, 1))
        self.a = nn.Conv3d(inputs, width, kernel, padding=padding)
        self.norm = _norm(normalization, width)
        self.drop = nn.Dropout3d(dropout) if dropout else nn.Identity()
        self.b = nn.Conv3d(width, width, kernel, padding=padding)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, inputs, Z, Y, X)`` to ``(N, width, Z, Y, X)``."""
        result: Tensor = self.b(self.drop(F.relu(self.norm(self.a(features)))))
        return result


class Residual(nn.Module):
    """A normalisation, a ReLU and a pair of convolutions, whose result is added to what came in.

    Parameters
    ----------
    width
        Channels.
    flat, normalization, dropout
        As in `Pair`.
    """

    def __init__(self, width: int, *, flat: bool, normalization: Normalizing, dropout: float) -> None:
        super().__init__()
        self.norm = _norm(normalization, width)
        self.pair = Pair(width, width, flat=flat, normalization=normalization, dropout=dropout)

    @property
    def residual_branch(self) -> nn.Module:
        """What is added to the input, where initializers look for it."""
        return self.pair

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, width, Z, Y, X)`` to the same shape."""
        result: Tensor = features + self.pair(F.relu(self.norm(features)))
        return result


class FFN(nn.Module):
    """The network; see the factory `segkit_ffn.ffn` for its parameters.

    Attributes
    ----------
    halo
        Voxels (z, y, x) on each side of a voxel that its output depends on.
    stride
        Always ``(1, 1, 1)``: any extent is accepted.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        normalization: Normalizing,
        dropout: float,
        flat_modules: int,
    ) -> None:
        super().__init__()
        flat = [index < flat_modules for index in range(depth)]
        self.first = Pair(in_channels, width, flat=flat[0], normalization=normalization, dropout=dropout)
        self.residuals = nn.Sequential(
            *(Residual(width, flat=one, normalization=normalization, dropout=dropout) for one in flat[1:])
        )
        self.norm = _norm(normalization, width)
        self.last = nn.Conv3d(width, out_channels, 1)
        self.stride: Triple = (1, 1, 1)
        self.halo: Triple = (2 * flat.count(False), 2 * depth, 2 * depth)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, raw: Tensor) -> Tensor:
        """Map ``(N, C, Z, Y, X)``, the object map as logits in the last channel, to its change ``(N, K, Z, Y, X)``."""
        result: Tensor = self.last(F.relu(self.norm(self.residuals(self.first(raw)))))
        return result
