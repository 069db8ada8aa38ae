"""Networks for planes from segmentation-models-pytorch: each architecture with any of its encoders.

Needs the extra `smp`: `pip install 'segkit-sdk[smp]'`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

import segkit

if TYPE_CHECKING:
    from torch import nn

_PARAMETERS = """

    It sees each z slice as an image of its own, of any extent and with any number of channels.

    Parameters
    ----------
    in_channels
        Channels of the image.
    out_channels
        Channels of the logits.
    encoder
        Name of the encoder in segmentation-models-pytorch, or `tu-` and the name of a model in timm{only}.
    weights
        Name of pretrained weights for the encoder, such as `imagenet`, downloaded when the network is built; for a `tu-`
        encoder, any text asks for those that its own name says. None starts from random ones and downloads nothing.
    depth
        Number of encoder stages to use; None for {depth}.

    Returns
    -------
    torch.nn.Module
        Maps `(N, in_channels, Y, X)` to logits of the same extent.

    Raises
    ------
    UnknownNameError
        If there is no such encoder, or no such weights for it.
    StorageError
        If weights cannot be downloaded.
    """


def _member(
    name: str, kind: str, summary: str, default_depth: int = 5, default_encoder: str = "resnet18", only: str = ""
) -> Callable[..., nn.Module]:
    """Return the factory of one architecture; all have the same options, which are declared here once."""

    def factory(
        in_channels: int,
        out_channels: int,
        *,
        encoder: str = default_encoder,
        weights: str | None = None,
        depth: Annotated[int, Ge(3), Le(5)] | None = None,
    ) -> nn.Module:
        from segkit_smp._model import build

        return build(name, kind, in_channels, out_channels, encoder, weights, depth or default_depth)

    factory.__name__ = factory.__qualname__ = name
    factory.__doc__ = summary + _PARAMETERS.format(depth=default_depth, only=only)
    return factory


# The names are written out, so that listing them imports neither torch nor the library; a test compares them with its own.
KINDS = {
    "Unet": "U-Net with a ready-made encoder (Ronneberger 2015).",
    "UnetPlusPlus": "U-Net++: nested, densely connected skip connections (Zhou 2018).",
    "MAnet": "MA-Net: U-Net with attention over positions and over channels (Fan 2020).",
    "Linknet": "LinkNet: a light U-Net that adds skip connections instead of concatenating them (Chaurasia 2017).",
    "FPN": "Feature pyramid network: sums what it sees at four scales (Kirillov 2017).",
    "PSPNet": "Pyramid scene parsing: pools over the whole image at four scales (Zhao 2017).",
    "DeepLabV3": "DeepLab v3: convolutions with gaps of several widths (Chen 2017).",
    "DeepLabV3Plus": "DeepLab v3+: DeepLab v3 with a decoder that sharpens borders (Chen 2018).",
    "PAN": "Pyramid attention network: attention over several scales (Li 2018).",
    "UPerNet": "UPerNet: pyramid pooling and a feature pyramid together (Xiao 2018).",
    "Segformer": "SegFormer's light decoder of linear layers (Xie 2021), also for encoders that are no transformers.",
    "DPT": "Dense prediction transformer: a vision transformer and a convolutional decoder (Ranftl 2021).",
}
_SPECIAL: dict[str, tuple[int, str, str]] = {
    "PSPNet": (3, "resnet18", ""),
    "DPT": (4, "tu-vit_tiny_patch16_224", "; here, only one of its vision transformers"),
}


@segkit.hookimpl
def segkit_architectures() -> dict[str, Callable[..., nn.Module]]:
    """Offer each architecture of the library as `smp_` and its name in small letters."""
    return {
        name: _member(name, kind, summary, *_SPECIAL.get(kind, ()))
        for kind, summary in KINDS.items()
        for name in [f"smp_{kind.lower()}"]
    }
