"""Built-in networks: one configurable U-Net family for volumes and for planes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le, Lt

import segkit

if TYPE_CHECKING:
    from torch import nn

_PARAMETERS = """

    Any extent is accepted. The result has `stride`, `reach` and `halo`, (z, y, x) in voxels, from which prediction
    chooses its blocks. With instance or group normalisation each output depends, weakly, on all of the input, and with
    self-attention not weakly: predict with tiles about as large as the patches, or images as a whole.

    Parameters
    ----------
    in_channels
        Channels of the image.
    out_channels
        Channels of the logits.
    dimensions
        Whether it sees volumes, or each z slice as an image of its own.
    width
        Channels at full resolution; they double whenever the resolution is halved.
    depth
        How often the resolution is halved. Patches should have at least 2 to the power of this voxels along an axis.
    normalization
        What keeps features in range: each channel of each sample, of the whole batch, or groups of channels of a sample.
        Batches of large patches are too small for `batch`.
    activation
        The nonlinearity after each convolution.
    dropout
        Probability that a whole channel is left out, once in each block, in training.
    anisotropy
        How many times longer a voxel is along z than along x. While it is 2 or more, levels neither convolve nor pool along z.
        Planes ignore it.
    upsampling
        How features reach the finer level: by a learnt transposed convolution or by linear interpolation.
    bottleneck
        What the coarsest level is made of: convolutions, or these and self-attention (Vaswani 2017), by which each of its
        voxels sees all others. The time it takes grows with their number squared: for images of up to some ten thousand.

    Returns
    -------
    torch.nn.Module
        Maps `(N, in_channels, Z, Y, X)`, or `(N, in_channels, Y, X)` for `dimensions='2d'`, to logits of the same extent.
    """


def _member(name: str, summary: str, *, gates: bool, residual: bool) -> Callable[..., nn.Module]:
    """Return one factory of the family: all have the same options, which are declared here once."""

    def factory(
        in_channels: int,
        out_channels: int,
        *,
        dimensions: Literal["3d", "2d"] = "3d",
        width: Annotated[int, Ge(1), Le(1024)] = 32,
        depth: Annotated[int, Ge(1), Le(8)] = 4,
        normalization: Literal["instance", "batch", "group", "none"] = "instance",
        activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "leaky_relu",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        anisotropy: Annotated[float, Ge(1)] = 1.0,
        upsampling: Literal["transposed", "linear"] = "transposed",
        bottleneck: Literal["convolution", "self_attention"] = "convolution",
    ) -> nn.Module:
        from segkit_unet._blocks import Layers
        from segkit_unet._levels import Levels
        from segkit_unet._model import UNet

        return UNet(
            in_channels,
            out_channels,
            Layers(dimensions == "2d", normalization, activation, dropout),
            Levels.plan(depth, anisotropy, dimensions == "2d"),
            width,
            gates=gates,
            residual=residual,
            interpolated=upsampling == "linear",
            attends=bottleneck == "self_attention",
        )

    factory.__name__ = factory.__qualname__ = name
    factory.__doc__ = summary + _PARAMETERS
    return factory


unet = _member(
    "unet",
    "U-Net: an encoder and a decoder, joined by skip connections (Ronneberger 2015, Cicek 2016).",
    gates=False,
    residual=False,
)
attention_unet = _member(
    "attention_unet",
    "U-Net whose skip connections are weighed by additive attention gates (Oktay 2018).",
    gates=True,
    residual=False,
)
attention_resunet = _member(
    "attention_resunet",
    "U-Net with attention gates (Oktay 2018) and residual blocks (He 2016, Zhang 2018).",
    gates=True,
    residual=True,
)


@segkit.hookimpl
def segkit_architectures() -> dict[str, Callable[..., nn.Module]]:
    """Offer the family."""
    return {"unet": unet, "attention_unet": attention_unet, "attention_resunet": attention_resunet}
