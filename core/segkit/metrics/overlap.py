"""Scores of thresholded predictions: Jaccard index, Dice coefficient, precision, recall and accuracy.

Voxels are counted over the whole data set and divided once at the end; a mean of the scores of batches would depend on
how the data were cut into batches. A score that is not defined, such as the Jaccard index of a class that is neither
there nor predicted, is NaN, and the mean over classes leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segkit.errors import UsageError

__all__ = ["SCORES", "OverlapMetrics", "overlap_scores"]

Array = np.ndarray[Any, Any]

SCORES = ("jaccard", "dice", "precision", "recall", "accuracy")


def overlap_scores(
    true_positives: float, false_positives: float, false_negatives: float, true_negatives: float
) -> dict[str, float]:
    """Return all `SCORES` of a two-way decision from its four counts, each 0 to 1 or NaN where it is not defined."""
    tp, fp, fn, tn = true_positives, false_positives, false_negatives, true_negatives
    fractions = {
        "jaccard": (tp, tp + fp + fn),
        "dice": (2 * tp, 2 * tp + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "accuracy": (tp + tn, tp + fp + fn + tn),
    }
    return {name: float(part / whole) if whole else math.nan for name, (part, whole) in fractions.items()}


class OverlapMetrics:
    """Overlap scores of each channel or class, and their means; implements `segkit.contracts.Metrics`.

    Parameters
    ----------
    channel_names
        One for each channel. With more than one channel the scores are called ``jaccard_<name>`` and so on, and
        ``jaccard`` is their mean over the channels that define it.
    threshold
        A channel counts as present where the prediction is above this, 0 to 1. Not used for classes that exclude each
        other (an integer target): there the channel with the largest value counts.
    """

    def __init__(self, channel_names: Sequence[str], *, threshold: float = 0.5) -> None:
        self.channel_names = tuple(channel_names)
        self.threshold = threshold
        self._sums = np.zeros((len(self.channel_names), 4), np.float64)

    @property
    def sums(self) -> Array:
        """True positives, false positives, false negatives and true negatives of each channel, float64 ``(K, 4)``."""
        return self._sums

    @sums.setter
    def sums(self, value: Array) -> None:
        self._sums = np.array(value, np.float64).reshape(len(self.channel_names), 4)

    def update(self, prediction: Array, target: Array, mask: Array) -> None:
        """Add one batch.

        Parameters
        ----------
        prediction
            ``(N, K, Z, Y, X)``, activated.
        target
            ``(N, K, Z, Y, X)`` floating, present above 0.5; or ``(N, Z, Y, X)`` integer class indices below K.
        mask
            ``(N, 1, Z, Y, X)``, not 0 where the target is known; or ``(N, K, Z, Y, X)`` with a floating target.
        """
        channels = len(self.channel_names)
        if prediction.shape[1] != channels:
            raise UsageError(
                f"A prediction of shape {prediction.shape} has {prediction.shape[1]} channels; scores were set up for "
                f"{channels}: {', '.join(self.channel_names)}. Pass one channel for each."
            )
        known = mask != 0
        axes = (0, 2, 3, 4)
        voxels = np.count_nonzero(known, axes)
        if np.issubdtype(target.dtype, np.integer):
            known = known[:, 0]
            chosen = prediction.argmax(1)[known]
            truth = target[known]
            positives = np.bincount(truth, minlength=channels)
            claimed = np.bincount(chosen, minlength=channels)
            hits = np.bincount(truth[truth == chosen], minlength=channels)
        else:
            present = (target > 0.5) & known
            found = (prediction > self.threshold) & known
            positives, claimed = np.count_nonzero(present, axes), np.count_nonzero(found, axes)
            hits = np.count_nonzero(present & found, axes)
        self._sums += np.stack([hits, claimed - hits, positives - hits, voxels - positives - claimed + hits], axis=1)

    def compute(self) -> dict[str, float]:
        """Return the mean scores, and those of each channel where there are several."""
        each = [overlap_scores(*counts) for counts in self._sums.tolist()]
        means = {}
        for score in SCORES:
            defined = [scores[score] for scores in each if not math.isnan(scores[score])]
            means[score] = math.fsum(defined) / len(defined) if defined else math.nan
        if len(each) == 1:
            return means
        named = zip(self.channel_names, each, strict=True)
        return means | {f"{score}_{name}": scores[score] for name, scores in named for score in SCORES}
