"""Flood-filling networks: an object is followed from a seed through the image (Januszewski et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le, Lt

import segkit

if TYPE_CHECKING:
    from torch import nn

    from segkit.hookspecs import Factories


def ffn(
    in_channels: int,
    out_channels: int,
    *,
    width: Annotated[int, Ge(1), Le(512)] = 64,
    depth: Annotated[int, Ge(1), Le(64)] = 3,
    normalization: Literal["none", "layer", "group", "batch"] = "none",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    flat_modules: Annotated[int, Ge(0), Le(64)] = 0,
) -> nn.Module:
    """Flood-filling network: residual convolutions at full resolution (Januszewski et al. 2018).

    Its output is added to the map of the object, the last of its input channels, so it is meant for the task
    `flood_filling`. With `width` 32, `depth` 12 and no normalisation it is the network published for FIB-25. Weights
    begin as Glorot and Bengio (2010) propose, biases at 0. The result has `stride` and `halo`, (z, y, x) in voxels.

    Parameters
    ----------
    in_channels
        Channels of the image, and one for the map of the object.
    out_channels
        Channels of the logits.
    width
        Channels of the features.
    depth
        Pairs of convolutions, of which all but the first are residual. Each sees two voxels further in every direction.
    normalization
        What keeps features in range before each nonlinearity: the channels of each voxel (`layer`), groups of channels of a
        sample, or each channel of the batch. Statistics of batches shift between training and filling; prefer `layer`.
    dropout
        Probability that a whole channel is left out, once in each pair of convolutions, in training.
    flat_modules
        How many of the first pairs convolve within slices only, for images whose voxels are long along z.

    Returns
    -------
    torch.nn.Module
        Maps `(N, in_channels, Z, Y, X)` to logits of the same extent.
    """
    from segkit.errors import UsageError
    from segkit_ffn._network import FFN

    if flat_modules > depth:
        raise UsageError(f"`flat_modules` is {flat_modules}, more than the `depth` of {depth}. Take at most {depth}.")
    return FFN(in_channels, out_channels, width, depth, normalization, dropout, flat_modules)


@segkit.hookimpl
def segkit_architectures() -> Factories:
    """Offer the networks."""
    return {"ffn": ffn}


@segkit.hookimpl
def segkit_tasks() -> Factories:
    """Offer the task."""
    return {}


@segkit.hookimpl
def segkit_segmenters() -> Factories:
    """Offer the segmenter."""
    return {}
