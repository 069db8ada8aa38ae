"""Fully connected networks, shallow and very deep: each voxel's channels are a vector, and vectors know nothing of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le, Lt

import segkit

if TYPE_CHECKING:
    from torch import nn

    from segkit.hookspecs import Factories

Width = Annotated[int, Ge(1), Le(16384)]
Depth = Annotated[int, Ge(1), Le(1000)]
Norm = Literal["none", "batch", "layer"]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]


def deep_fc(
    in_channels: int,
    out_channels: int,
    *,
    width: Width = 64,
    depth: Depth = 16,
    normalization: Norm = "none",
    activation: Activation = "relu",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Very deep fully connected network of residual blocks, each with a factor of its own, for vectors such as points.

    A block adds ``gate * branch(x)`` to its input ``x``; gates begin at 1. Its branch has two linear layers, each after
    the optional normalisation. Choose the initializer with care where there are many blocks and no normalisation:
    `fixup` or `rezero`.

    Parameters
    ----------
    in_channels
        Length of a vector.
    out_channels
        Length of the vector that is made of it.
    width
        Features in each layer.
    depth
        Residual blocks, of two linear layers each.
    normalization
        What keeps features in range: each feature over the batch, or all features of a vector.
    activation
        The nonlinearity.
    dropout
        Probability that a feature is left out between the layers of a block, in training.

    Returns
    -------
    torch.nn.Module
        Maps `(N, in_channels, Z, Y, X)` to `(N, out_channels, Z, Y, X)`, voxel by voxel.
    """
    from segkit_mlp._networks import DeepFC, Features

    return DeepFC(in_channels, out_channels, width, depth, Features(normalization, activation, dropout))


def simple_fc(
    in_channels: int,
    out_channels: int,
    *,
    width: Width = 64,
    depth: Depth = 3,
    normalization: Norm = "none",
    activation: Activation = "relu",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Plain fully connected network without shortcuts, to compare deep ones with.

    Parameters
    ----------
    in_channels
        Length of a vector.
    out_channels
        Length of the vector that is made of it.
    width
        Features in each layer.
    depth
        Hidden layers.
    normalization
        What keeps features in range: each feature over the batch, or all features of a vector.
    activation
        The nonlinearity.
    dropout
        Probability that a feature is left out after a layer, in training.

    Returns
    -------
    torch.nn.Module
        Maps `(N, in_channels, Z, Y, X)` to `(N, out_channels, Z, Y, X)`, voxel by voxel.
    """
    from segkit_mlp._networks import Features, SimpleFC

    return SimpleFC(in_channels, out_channels, width, depth, Features(normalization, activation, dropout))


@segkit.hookimpl
def segkit_architectures() -> Factories:
    """Offer both networks."""
    return {"deep_fc": deep_fc, "simple_fc": simple_fc}
