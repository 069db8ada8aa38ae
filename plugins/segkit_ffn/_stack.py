"""The network `ffn` computed by fast convolutions, for processors without units for matrices."""

from __future__ import annotations

import threading
from typing import TypeGuard

import torch
from torch import nn

from segkit_ffn._network import FFN, ChannelNorm, Pair
from segkit_ffn._winograd import Grid, Weights, as_tensor, convolve

__all__ = ["Stack"]


class Stack:
    """Calls an `FFN` without normalisation; several threads may do so at once.

    Parameters
    ----------
    network
        The network.
    half
        Whether products are computed in bfloat16.
    """

    def __init__(self, network: FFN, half: bool) -> None:
        self._half = half
        first = network.first.a.weight.detach()
        self._first = first.to(torch.bfloat16 if half else torch.float32, memory_format=torch.channels_last_3d)
        self._first_bias = None if network.first.a.bias is None else network.first.a.bias.detach().to(self._first.dtype)
        pairs = [m for m in network.modules() if isinstance(m, Pair)]
        self._seconds = [Weights(pair.b, half) for pair in pairs]
        self._firsts = [Weights(pair.a, half) for pair in pairs[1:]]
        self._width = self._seconds[0].products.shape[1]
        self._last = torch.zeros(self._width)
        self._last[: network.last.in_channels] = network.last.weight.detach().flatten()
        self._bias = float(network.last.bias.detach()[0]) if network.last.bias is not None else 0.0
        self._own = threading.local()

    @staticmethod
    def takes(network: nn.Module) -> TypeGuard[FFN]:
        """Return whether a network can be computed here."""
        if not isinstance(network, FFN) or network.last.out_channels != 1:
            return False
        kernels = {m.kernel_size for m in network.modules() if isinstance(m, nn.Conv3d) and m is not network.last}
        norms = (ChannelNorm, nn.GroupNorm, nn.BatchNorm3d)
        return kernels == {(3, 3, 3)} and not any(isinstance(m, norms) for m in network.modules())

    def __call__(self, seen: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, Z, Y, X)`` to ``(N, 1, Z, Y, X)``, both float32."""
        return torch.stack([self._one(one) for one in seen])[:, None]

    def _one(self, seen: torch.Tensor) -> torch.Tensor:
        shape = tuple(seen.shape[1:])
        kept = self._own.__dict__.setdefault("rooms", {})
        if shape not in kept:
            grid = Grid(shape, self._width, self._half)  # type: ignore[arg-type]
            kept[shape] = (grid, *(grid.features() for _ in range(3)))
        grid, features, between, other = kept[shape]
        few = seen[None].to(
            self._first.dtype, memory_format=torch.channels_last_3d
        )  # too few channels for the others' way
        begun = torch.nn.functional.conv3d(few, self._first, self._first_bias, padding=1)
        as_tensor(grid.inner(between))[..., : begun.shape[1]] = begun[0].permute(1, 2, 3, 0)
        convolve(grid, self._seconds[0], between, features)
        for first, second in zip(self._firsts, self._seconds[1:], strict=True):
            convolve(grid, first, features, between)
            convolve(grid, second, between, other, features)
            features, other = other, features
        positive = as_tensor(grid.inner(features)).float().clamp_(min=0)
        return positive @ self._last + self._bias
