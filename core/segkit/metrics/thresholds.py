"""Which threshold turns a prediction best into foreground, from one pass over the data.

Voxels are sorted into bins of their predicted value, foreground and background apart; the counts at every threshold
follow from the bins. A threshold chosen on the data it is scored on flatters: choose it on validation data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["ThresholdCurve"]

Array = np.ndarray[Any, Any]


class ThresholdCurve:
    """Overlap of prediction and foreground at evenly spaced thresholds from 0 to 1.

    Parameters
    ----------
    bits
        There are two to this power thresholds; so every floating type holds them exactly. A prediction outside of 0 to
        1 counts as 0 or 1.
    """

    def __init__(self, bits: int = 7) -> None:
        self.steps = 1 << bits
        self._sums = np.zeros((2, self.steps + 1), np.float64)

    @property
    def sums(self) -> Array:
        """Voxels of each bin, of background and of foreground, float64 ``(2, steps + 1)``; adds up across processes."""
        return self._sums

    @sums.setter
    def sums(self, value: Array) -> None:
        self._sums = np.array(value, np.float64).reshape(2, self.steps + 1)

    def update(self, prediction: Array, present: Array) -> None:
        """Add known voxels: their predicted values, and whether they are foreground, two arrays of one shape."""
        # Bin b holds the values above threshold b - 1 and up to threshold b, so that "above" means what it says.
        bins = np.ceil(prediction.ravel().clip(0, 1) * self.steps).astype(np.intp)
        bins += present.ravel().astype(np.intp) * (self.steps + 1)
        self._sums += np.bincount(bins, minlength=2 * (self.steps + 1)).reshape(2, -1)

    @property
    def thresholds(self) -> Array:
        """The thresholds, float64 ``(steps,)``, from 0 up to but without 1."""
        return np.arange(self.steps) / self.steps

    def jaccard(self) -> Array:
        """Return the Jaccard index of what lies above each of the thresholds; NaN without any foreground to find."""
        above = self._sums[:, ::-1].cumsum(1)[:, ::-1][:, 1:]
        false_positives, true_positives = above
        positives = self._sums[1].sum()
        if not positives:
            return np.full(self.steps, math.nan)
        return np.asarray(true_positives / (positives + false_positives))

    def best(self) -> tuple[float, float]:
        """Return the threshold with the largest Jaccard index, and that index; NaN where it is not defined.

        Of several that are equally good it is the one in the middle, farthest from doing worse.
        """
        scores = self.jaccard()
        if np.isnan(scores).any():
            return math.nan, math.nan
        good = np.flatnonzero(scores == scores.max())
        first_run = good[: np.flatnonzero(np.diff(good, append=good[-1] + 2) > 1)[0] + 1]
        return float(self.thresholds[first_run[len(first_run) // 2]]), float(scores.max())
