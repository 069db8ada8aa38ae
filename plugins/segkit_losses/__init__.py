"""Built-in losses. Each is a function of `(logits, target, mask)`; see `segkit.hookspecs.segkit_losses`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le

import segkit

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

Weight = Annotated[float, Ge(0)]


def bce(*, positive_weight: tuple[Weight, ...] | None = None) -> Loss:
    """Binary cross-entropy, the mean over known voxels and channels.

    Where classes exclude each other, it is their cross-entropy.

    Parameters
    ----------
    positive_weight
        A factor on the loss where the target is 1, one for each channel: above 1 finds more, below 1 is more careful.
        None for 1. The mean divides by the number of voxels, not by the weights.
    """
    from segkit_losses._pointwise import BinaryCrossEntropy

    return BinaryCrossEntropy(positive_weight)


def cross_entropy(
    *, class_weights: tuple[Weight, ...] | None = None, balance: Annotated[float, Ge(0), Le(1)] = 0.0
) -> Loss:
    """Cross-entropy of classes that exclude each other, the mean over known voxels weighted by class.

    Independent channels have the binary cross-entropy, weighted by channel.

    Parameters
    ----------
    class_weights
        How much a voxel of each class counts, the background first; None for all alike. The mean divides by the sum of
        the weights, so that only their ratios matter.
    balance
        How strongly rare classes are weighted up by themselves: by the number of known voxels of a class in the batch to
        the power of minus this, times its weight. 0 leaves voxels alike; with 1 each class in the batch has the same share
        of the loss, however few its voxels (King & Zeng 2001, https://doi.org/10.1093/oxfordjournals.pan.a004868); 0.5 lies
        between. Independent channels do not use it.
    """
    from segkit_losses._pointwise import CrossEntropy

    return CrossEntropy(class_weights, balance)


def focal(
    *,
    gamma: Annotated[float, Ge(0), Le(10)] = 2.0,
    alpha: Annotated[float, Ge(0), Le(1)] | None = None,
    class_weights: tuple[Weight, ...] | None = None,
) -> Loss:
    """Focal loss: cross-entropy that turns away from what is easy already (Lin 2017).

    Equation 5 of https://arxiv.org/abs/1708.02002, as the mean over known voxels rather than over objects.

    Parameters
    ----------
    gamma
        How strongly easy voxels are turned down; 0 is the cross-entropy.
    alpha
        Weight of the foreground of independent channels, against 1 minus it for the background (0.25 in the paper).
        None for a weight of 1 on both. Classes that exclude each other do not use it.
    class_weights
        How much each class or channel counts, as in `cross_entropy`; None for all alike.
    """
    from segkit_losses._pointwise import Focal

    return Focal(gamma, alpha, class_weights)


def dice(*, smooth: Annotated[float, Gt(0)] = 1.0, per_sample: bool = False, background: bool = True) -> Loss:
    """Dice loss: 1 minus twice the overlap by the sum of both sizes, the mean over channels (Milletari 2016).

    The form without squares. See https://arxiv.org/abs/1606.04797.

    Parameters
    ----------
    smooth
        Added to numerator and denominator, in voxels: keeps the loss of an empty target finite, and a small one steady.
    per_sample
        Whether to compare in each sample of a batch rather than over the batch, where small samples count less.
    background
        Whether class 0 counts, where classes exclude each other.
    """
    from segkit_losses._overlap import Overlap

    return Overlap(0.5, 0.5, smooth / 2, per_sample, background)


def jaccard(*, smooth: Annotated[float, Gt(0)] = 1.0, per_sample: bool = False, background: bool = True) -> Loss:
    """Jaccard loss: 1 minus the overlap by the union, the mean over channels (Rahman & Wang 2016).

    See https://doi.org/10.1007/978-3-319-50835-1_22.

    Parameters
    ----------
    smooth
        Added to numerator and denominator, in voxels: keeps the loss of an empty target finite, and a small one steady.
    per_sample
        Whether to compare in each sample of a batch rather than over the batch, where small samples count less.
    background
        Whether class 0 counts, where classes exclude each other.
    """
    from segkit_losses._overlap import Overlap

    return Overlap(1.0, 1.0, smooth, per_sample, background)


def tversky(
    *,
    false_positives: Annotated[float, Ge(0)] = 0.3,
    false_negatives: Annotated[float, Ge(0)] = 0.7,
    exponent: Annotated[float, Gt(0)] = 1.0,
    smooth: Annotated[float, Gt(0)] = 1.0,
    per_sample: bool = False,
    background: bool = True,
) -> Loss:
    """Tversky loss: Dice with separate weights for what is missed and what is too much (Salehi 2017).

    See https://arxiv.org/abs/1706.05721; with an `exponent`, the focal Tversky loss (https://arxiv.org/abs/1810.07842).

    Parameters
    ----------
    false_positives
        Weight of what is predicted and not there.
    false_negatives
        Weight of what is there and not predicted.
    exponent
        Power of the loss of each channel: the inverse of gamma in Abraham & Khan 2019, who take 0.75.
    smooth
        Added to numerator and denominator, in voxels: keeps the loss of an empty target finite, and a small one steady.
    per_sample
        Whether to compare in each sample of a batch rather than over the batch, where small samples count less.
    background
        Whether class 0 counts, where classes exclude each other.
    """
    from segkit_losses._overlap import Overlap

    return Overlap(false_positives, false_negatives, smooth, per_sample, background, exponent)


def mse() -> Loss:
    """Mean squared error of outputs as they are, for restored images and other quantities.

    A floating target is compared with the logits themselves, without a sigmoid; classes that exclude each other with
    their probabilities (the Brier score, Brier 1950).
    """
    from segkit_losses._pointwise import Regression

    return Regression("squared")


def l1() -> Loss:
    """Mean absolute error of outputs as they are: less swayed by outliers than `mse`.

    A floating target is compared with the logits themselves, without a sigmoid; classes that exclude each other with
    their probabilities.
    """
    from segkit_losses._pointwise import Regression

    return Regression("absolute")


@segkit.hookimpl
def segkit_losses() -> dict[str, Callable[..., Loss]]:
    """Offer all of them."""
    return {
        "bce": bce,
        "cross_entropy": cross_entropy,
        "dice": dice,
        "focal": focal,
        "jaccard": jaccard,
        "l1": l1,
        "mse": mse,
        "tversky": tversky,
    }
