"""Builds a network of segmentation-models-pytorch and lets it take any extent and number of channels."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkit.errors import DataError, StorageError, UnknownNameError, did_you_mean
from segkit_smp._torchvision import import_smp

__all__ = ["Planar", "build"]

WIDTHS = (256, 128, 64, 32, 16)  # of the decoder, coarsest first; these are the defaults of the library at depth 5
DOWNLOADERS = ("huggingface_hub", "httpx", "httpcore", "requests", "urllib3")


class Planar(nn.Module):
    """A network for planes of any extent: it pads at the far borders and crops again.

    Parameters
    ----------
    network
        Maps ``(N, C, Y, X)`` to logits of the same extent, where that is a multiple of its output stride.
    name
        What to call it in messages.
    smallest
        Smallest extent along y and x that it can take; it is given two strides at least, so that there is something to
        normalise.

    Attributes
    ----------
    stride
        (z, y, x) voxels of the input for each of its coarsest features; blocks should start at multiples of it.
    halo
        (z, y, x) voxels of context to read around a block: two strides. The receptive field is far larger, in some the
        whole image, but what lies further away matters little.
    """

    planar = True

    def __init__(self, network: nn.Module, name: str, smallest: int) -> None:
        super().__init__()
        step = int(network.encoder.output_stride)  # type: ignore[union-attr,arg-type]
        self.network = network
        self.name = name
        self.smallest = max(smallest, 2 * step)
        self.stride = (1, step, step)
        self.halo = (0, 2 * step, 2 * step)

    def forward(self, raw: Tensor) -> Tensor:
        """Map ``(N, C, Y, X)`` to logits ``(N, K, Y, X)``."""
        y, x = raw.shape[2:]
        step = self.stride[1]
        down, right = (-(-max(size, self.smallest) // step) * step - size for size in (y, x))
        padded = F.pad(raw, (0, right, 0, down), mode="replicate") if down or right else raw
        try:
            logits: Tensor = self.network(padded)
        except ValueError as error:
            if "Expected more than 1 value per channel" not in str(error):
                raise
            raise DataError(
                f"Architecture '{self.name}' was given a single plane of {y} x {x} voxels (y, x) to train on, but it "
                "normalises features of the whole image over the batch, which takes 2 planes or more. Use a larger batch, "
                "or another architecture, such as 'smp_unet'."
            ) from error
        return logits[..., :y, :x]


def build(
    name: str, kind: str, in_channels: int, out_channels: int, encoder: str, weights: str | None, depth: int
) -> Planar:
    """Build one; see the factories of `segkit_smp`."""
    smp = import_smp()
    _check_encoder(smp, encoder)
    _check_weights(smp, encoder, weights)
    # These do not follow from the depth in the library itself.
    options: dict[str, Any] = {
        "Unet": {"decoder_channels": WIDTHS[-depth:]},
        "UnetPlusPlus": {"decoder_channels": WIDTHS[-depth:]},
        "MAnet": {"decoder_channels": WIDTHS[-depth:]},
        "FPN": {"upsampling": 2 ** (depth - 3)},
        "PSPNet": {"upsampling": 2**depth},
        "DPT": {"decoder_intermediate_channels": (256, 512, 1024, 1024)[-depth:], "dynamic_img_size": True},
    }.get(kind, {})
    asked: Any = True if weights and encoder.startswith("tu-") else weights
    try:
        network: nn.Module = getattr(smp, kind)(
            encoder_name=encoder,
            encoder_depth=depth,
            encoder_weights=asked,
            in_channels=in_channels,
            classes=out_channels,
            **options,
        )
    except Exception as error:
        download = isinstance(error, OSError) or type(error).__module__.partition(".")[0] in DOWNLOADERS
        if weights is None or not download:
            raise
        raise StorageError(
            f"`architecture.weights` is {weights!r}, but these weights of encoder '{encoder}' could not be downloaded "
            f"({type(error).__name__}: {' '.join(str(error).split())}). Leave it out to start from random ones, or connect "
            "to the network once: the Hugging Face cache (HF_HOME) keeps them."
        ) from error
    planar = Planar(network, name, 128 if kind == "PAN" else 1)
    _freeze_unused(planar, in_channels)
    return planar


def _freeze_unused(network: Planar, in_channels: int) -> None:
    """Stop gradients of weights without influence, such as the stages of an encoder below `depth`.

    Training in several processes would wait for their gradients for ever.
    """
    network.eval()  # which draws no random numbers and keeps the running statistics as they are
    with torch.enable_grad():
        logits = network(torch.zeros(1, in_channels, network.smallest, network.smallest))
    weights = list(network.parameters())
    gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.requires_grad_(gradient is not None)
    network.train()


def _check_encoder(smp: ModuleType, encoder: str) -> None:
    """Refuse an encoder that the library does not know."""
    import timm

    names: list[str] = smp.encoders.get_encoder_names()
    if encoder in names or (encoder.startswith("tu-") and timm.is_model(encoder[3:].partition(".")[0])):
        return
    known = [*names, *(f"tu-{model}" for model in timm.list_models())]
    raise UnknownNameError(
        f"`architecture.encoder` is {encoder!r}, and segmentation-models-pytorch has no encoder of that name."
        f"{did_you_mean(encoder, known)} There are {', '.join(names[:6])} and {len(names) - 6} more, and 'tu-' with the name "
        "of any model of timm."
    )


def _check_weights(smp: ModuleType, encoder: str, weights: str | None) -> None:
    """Refuse weights that the library does not offer for an encoder; those of timm are part of its own name."""
    if weights is None or encoder.startswith("tu-"):
        return
    known: list[str] = list(smp.encoders.encoders[encoder]["pretrained_settings"])
    if weights not in known:
        raise UnknownNameError(
            f"`architecture.weights` is {weights!r}, and encoder '{encoder}' has no weights of that name."
            f"{did_you_mean(weights, known)} It has {', '.join(known) or 'none'}; leave it out to start from random ones."
        )
