"""Losses that compare two regions as a whole: Dice, Jaccard and Tversky are one formula with two weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from segkit_losses._reading import exclusive, probabilities

__all__ = ["Overlap"]


@dataclass(frozen=True)
class Overlap:
    """``(1 - (TP + s) / (TP + a FP + b FN + s)) ** exponent``, averaged over channels.

    Equation 4 of Salehi et al. 2017 (https://arxiv.org/abs/1706.05721). With a = b = 1/2 it is the Dice loss, with a = b = 1
    the Jaccard loss.

    Parameters
    ----------
    false_positives, false_negatives
        The weights a and b.
    smooth
        The number of voxels s, above 0, that counts as found wherever there is something to compare.
    per_sample
        Whether each sample has a loss of its own, averaged over those in which anything is known.
    background
        Whether class 0 counts, where classes exclude each other.
    exponent
        As in Abraham & Khan 2019.
    """

    false_positives: float
    false_negatives: float
    smooth: float
    per_sample: bool
    background: bool
    exponent: float = 1.0

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the loss."""
        predicted, wanted = probabilities(logits, target, mask)
        if not self.background and logits.shape[1] > 1 and exclusive(logits, target, mask):
            predicted, wanted = predicted[:, 1:], wanted[:, 1:]
        space = tuple(range(2, logits.ndim)) if self.per_sample else (0, *range(2, logits.ndim))
        known = mask.float()
        predicted = predicted * known
        found = (predicted * wanted).sum(space)
        too_much = predicted.sum(space) - found
        missed = (wanted * known).sum(space) - found
        denominator = found + self.false_positives * too_much + self.false_negatives * missed + self.smooth
        loss = 1 - (found + self.smooth) / denominator
        if self.exponent != 1:  # below 1 its slope at 0 is infinite
            loss = loss.clamp_min(1e-7) ** self.exponent
        # (N, K), or (K,): whether there is anything to compare.
        anything = (known.sum(space) > 0).float().expand_as(loss)
        return (loss * anything).sum() / anything.sum().clamp_min(1)
