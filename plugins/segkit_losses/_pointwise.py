"""Losses that judge each voxel by itself and average over those that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segkit_losses._reading import class_counts, clear_unknown, exclusive, known_mean, probabilities, weights_for

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Focal", "Regression"]

Weights = tuple[float, ...] | None


def _of_true_class(per_class: Tensor, target: Tensor) -> Tensor:
    """Pick from ``(..., K, ...)`` what belongs to the class of each voxel ``(N, Z, Y, X)``, as ``(N, 1, Z, Y, X)``."""
    index = target.long().unsqueeze(1)
    return per_class.expand(index.shape[0], -1, *index.shape[2:]).gather(1, index)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """See `segkit_losses.bce`."""

    positive_weight: Weights

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the loss."""
        weights = weights_for(self.positive_weight, logits, "positive_weight")
        classes = exclusive(logits, target, mask)
        target = clear_unknown(target, mask, classes)
        if not classes:
            terms = F.binary_cross_entropy_with_logits(
                logits.float(), target.float(), pos_weight=weights, reduction="none"
            )
            return known_mean(terms, mask)
        terms = -_of_true_class(torch.log_softmax(logits.float(), 1), target)
        return known_mean(terms if weights is None else terms * _of_true_class(weights, target), mask)


@dataclass(frozen=True)
class CrossEntropy:
    """See `segkit_losses.cross_entropy`."""

    class_weights: Weights
    balance: float = 0.0

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the loss."""
        weights = weights_for(self.class_weights, logits, "class_weights")
        classes = exclusive(logits, target, mask)
        target = clear_unknown(target, mask, classes)
        if not classes:
            terms = F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
            return known_mean(terms, mask, weights)
        terms = -_of_true_class(torch.log_softmax(logits.float(), 1), target)
        if self.balance:
            rarity = class_counts(target, mask, logits.shape[1]).clamp_min(1) ** -self.balance
            rarity = rarity.reshape(1, -1, *(1,) * (logits.ndim - 2))
            weights = rarity if weights is None else weights * rarity
        return known_mean(terms, mask, None if weights is None else _of_true_class(weights, target))


@dataclass(frozen=True)
class Focal:
    """See `segkit_losses.focal`."""

    gamma: float
    alpha: float | None
    class_weights: Weights

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the loss."""
        weights = weights_for(self.class_weights, logits, "class_weights")
        classes = exclusive(logits, target, mask)
        target = clear_unknown(target, mask, classes)
        if classes:
            cross_entropy = -_of_true_class(torch.log_softmax(logits.float(), 1), target)
            missed = 1 - torch.exp(-cross_entropy)
            weights = None if weights is None else _of_true_class(weights, target)
        else:
            target = target.float()
            cross_entropy = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
            probability = torch.sigmoid(logits.float())
            missed = probability + target - 2 * probability * target  # 1 - p_t, also for a soft target
            if self.alpha is not None:
                cross_entropy = cross_entropy * (self.alpha * target + (1 - self.alpha) * (1 - target))
        # Below 1, the power has an infinite slope at 0, and infinity times a slope of 0 is NaN.
        return known_mean(missed.clamp_min(1e-8) ** self.gamma * cross_entropy, mask, weights)


@dataclass(frozen=True)
class Regression:
    """See `segkit_losses.mse` and `segkit_losses.l1`."""

    norm: Literal["squared", "absolute"]

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the loss."""
        if exclusive(logits, target, mask):
            predicted, wanted = probabilities(logits, target, mask)
        else:
            predicted, wanted = logits.float(), clear_unknown(target, mask, False).float()
        difference = predicted - wanted
        return known_mean(difference.square() if self.norm == "squared" else difference.abs(), mask)
