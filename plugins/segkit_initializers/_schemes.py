"""Schemes that set the weights of convolutions and linear layers, and leave every norm at 1 and 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, prod, sqrt
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from segkit.errors import UsageError

__all__ = ["Norm", "Orthogonal", "Scaled", "ZeroLast", "weighted"]

Weighted = _ConvNd | nn.Linear
Norm = _NormBase | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm


def weighted(module: nn.Module) -> list[Weighted]:
    """Return the convolutions and linear layers, in the order in which they were registered."""
    return [layer for layer in module.modules() if isinstance(layer, Weighted)]


@torch.no_grad()
def _initialize(module: nn.Module, fill: Callable[[Weighted], object]) -> None:
    """Fill all weights of a module in place, and set every bias to 0 and every norm to 1 and 0."""
    for layer in weighted(module):
        fill(layer)
        if layer.bias is not None:
            layer.bias.zero_()
    for norm in module.modules():
        if isinstance(norm, Norm):
            if norm.weight is not None:
                norm.weight.fill_(1)
            bias = getattr(norm, "bias", None)
            if bias is not None:
                bias.zero_()


def _fans(layer: Weighted) -> tuple[float, float]:
    """Return how many inputs an output has on average, and how many outputs an input has."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    reads = layer.in_channels / layer.groups * prod(layer.kernel_size)
    feeds = layer.out_channels / layer.groups * prod(layer.kernel_size)
    # torch's own count takes the stored shape at its word: that of a transposed convolution has in and out swapped, and
    # each of its outputs is reached by only one in `stride` of the kernel's elements.
    return (reads / prod(layer.stride), feeds) if isinstance(layer, _ConvTransposeNd) else (reads, feeds)


@dataclass(frozen=True)
class Scaled:
    """Independent random weights of variance ``gain ** 2 / fan``.

    Parameters
    ----------
    gain
        Growth of the signal that each layer makes up for.
    fan
        What the variance is divided by.
    distribution
        Of the weights.
    """

    gain: float
    fan: Literal["in", "out", "mean"]
    distribution: Literal["normal", "uniform"]

    def __call__(self, module: nn.Module) -> None:
        """Initialise in place."""
        _initialize(module, self._fill)

    def _fill(self, layer: Weighted) -> None:
        reads, feeds = _fans(layer)
        fan = {"in": reads, "out": feeds, "mean": (reads + feeds) / 2}[self.fan]
        deviation = self.gain / sqrt(fan)
        if self.distribution == "normal":
            layer.weight.normal_(0, deviation)
        else:
            layer.weight.uniform_(-sqrt(3) * deviation, sqrt(3) * deviation)


@dataclass(frozen=True)
class Orthogonal:
    """See `segkit_initializers.orthogonal`."""

    gain: float

    def __call__(self, module: nn.Module) -> None:
        """Initialise in place."""
        _initialize(module, lambda layer: nn.init.orthogonal_(layer.weight, self.gain))


@dataclass(frozen=True)
class ZeroLast:
    """See `segkit_initializers.zero_last`."""

    foreground: float | None
    others: Callable[[nn.Module], None] | None

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> None:
        """Initialise in place."""
        if self.others is not None:
            self.others(module)
        last = next(reversed(weighted(module)), None)
        if last is None:
            raise UsageError(
                f"Initializer 'zero_last' was given a {type(module).__name__} without any convolution or linear layer, so "
                "there is no last one. Choose another initializer."
            )
        last.weight.zero_()
        bias = 0.0 if self.foreground is None else log(self.foreground / (1 - self.foreground))
        if last.bias is not None:
            last.bias.fill_(bias)
        elif self.foreground is not None:
            raise UsageError(
                f"`initializer.foreground` is {self.foreground}, but the last layer of {type(module).__name__} has no bias "
                "to hold it. Leave it out, or use a network whose last layer has a bias."
            )
