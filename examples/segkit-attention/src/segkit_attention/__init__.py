"""A network with self-attention and a loss, for segkit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le

import segkit

if TYPE_CHECKING:
    from torch import Tensor, nn


def attention_net(
    in_channels: int,
    out_channels: int,
    *,
    width: Annotated[int, Ge(4), Le(256)] = 16,
    heads: Annotated[int, Ge(1), Le(16)] = 4,
    tokens: Annotated[int, Ge(1), Le(16)] = 4,
) -> nn.Module:
    """Small U-shaped network with self-attention at its coarsest level (Vaswani 2017).

    Parameters
    ----------
    in_channels
        Channels of the image.
    out_channels
        Channels of the output.
    width
        Channels at full resolution; twice as many, rounded up to a multiple of `heads`, at half of it.
    heads
        Attention heads.
    tokens
        The coarsest level is summarised by at most this many positions along each axis before all of them attend to
        each other, so that memory does not grow with the patch.

    Returns
    -------
    torch.nn.Module
        Maps ``(N, C, Z, Y, X)`` to logits ``(N, K, Z, Y, X)``, for any extent.
    """
    from segkit_attention._model import AttentionNet

    return AttentionNet(in_channels, out_channels, width, heads, tokens)


def tversky_squared(*, miss: Annotated[float, Gt(0), Le(10)] = 1.0) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Overlap of two sets, in which a missed voxel may cost more than a false one (Tversky 1977).

    Parameters
    ----------
    miss
        Cost of a missed voxel, where a false one costs 1.
    """
    from segkit_attention._loss import TverskySquared

    return TverskySquared(miss)


@segkit.hookimpl
def segkit_architectures() -> Mapping[str, Callable[..., object]]:
    return {"attention_net": attention_net}


@segkit.hookimpl
def segkit_losses() -> Mapping[str, Callable[..., object]]:
    return {"tversky_squared": tversky_squared}
