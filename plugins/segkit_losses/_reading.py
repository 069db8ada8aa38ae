"""What every loss does first: read logits and target as the contract says, and leave out what is not known."""

from __future__ import annotations

import torch
from torch import Tensor

from segkit.errors import DataError, UsageError

__all__ = ["class_counts", "clear_unknown", "exclusive", "known_mean", "probabilities", "weights_for"]


def exclusive(logits: Tensor, target: Tensor, mask: Tensor) -> bool:
    """Return whether `target` holds classes that exclude each other rather than independent channels.

    Raises
    ------
    DataError
        If the three shapes do not belong together.
    """
    classes = not target.is_floating_point()
    wanted = (logits.shape[0], *logits.shape[2:]) if classes else logits.shape
    known = (logits.shape[0], 1, *logits.shape[2:])
    if target.shape != wanted or (mask.shape != known and (classes or mask.shape != logits.shape)):
        raise DataError(
            f"Logits of shape {tuple(logits.shape)} (N, K, Z, Y, X) were given with a {target.dtype} target of shape "
            f"{tuple(target.shape)} and a mask of shape {tuple(mask.shape)}. Such a target must have the shape "
            f"{tuple(wanted)} and the mask {tuple(known)}{'' if classes else ' or that of the target'}: check the task and "
            "the number of output channels."
        )
    return classes


def clear_unknown(target: Tensor, mask: Tensor, classes: bool) -> Tensor:
    """Return `target` with 0 wherever it is not known, so that no NaN or reserved id from there is ever computed with."""
    known = mask[:, 0] > 0 if classes else mask > 0
    return torch.where(known, target, torch.zeros((), dtype=target.dtype, device=target.device))


def class_counts(target: Tensor, mask: Tensor, classes: int) -> Tensor:
    """Return how many known voxels each class has, float32 ``(K,)``; the target is one of classes, cleared."""
    return torch.bincount(target[mask[:, 0] > 0].long(), minlength=classes).float()


def probabilities(logits: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return predicted and true probabilities, both float32 ``(N, K, Z, Y, X)``."""
    classes = exclusive(logits, target, mask)
    target = clear_unknown(target, mask, classes)
    if not classes:
        return torch.sigmoid(logits.float()), target.float()
    probability = torch.softmax(logits.float(), 1)
    # Not `functional.one_hot`, which would make 8 bytes of each of its values.
    return probability, torch.zeros_like(probability).scatter_(1, target.long().unsqueeze(1), 1.0)


def known_mean(values: Tensor, mask: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean of ``(N, K, Z, Y, X)`` over all known voxels and K, weighted; 0 if nothing is known."""
    share = mask.float().expand_as(values) if weights is None else mask.float() * weights
    return (values * share).sum() / share.sum().clamp_min(torch.finfo(torch.float32).tiny)


def weights_for(weights: tuple[float, ...] | None, logits: Tensor, option: str) -> Tensor | None:
    """Return one weight for each channel as ``(1, K, 1, 1, 1)``, or None where all weigh alike.

    Raises
    ------
    UsageError
        If there are not as many as channels.
    """
    if not weights:
        return None
    channels = logits.shape[1]
    if len(weights) != channels:
        raise UsageError(
            f"`loss.{option}` has {len(weights)} numbers, {weights}, but the network has {channels} output channels. "
            f"Give {channels} numbers, or none."
        )
    return torch.tensor(weights, dtype=torch.float32, device=logits.device).reshape(1, -1, *(1,) * (logits.ndim - 2))
