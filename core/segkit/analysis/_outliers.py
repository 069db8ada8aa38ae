"""Samples that stand apart from the others in a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["outlying", "robust_scores"]

Array = np.ndarray[Any, Any]

_LIMIT = 3.5
_APART = 0.2
_FEWEST = 8


def robust_scores(values: Sequence[float] | Array) -> Array:
    """Return how many robust standard deviations each value lies from the median (Iglewicz and Hoaglin 1993).

    Where more than half of the values are equal, the mean deviation stands for the median one; equal values score 0.
    """
    array = np.asarray(values, np.float64)
    apart = array - np.median(array)
    scale = 1.4826 * float(np.median(np.abs(apart))) or 1.2533 * float(np.mean(np.abs(apart)))
    return apart / scale if scale > 0 else np.zeros_like(array)


def outlying(values: Sequence[float]) -> list[tuple[int, float]]:
    """Return the outliers, farthest first: the number of each value, and its score.

    A value is one only if its score is beyond 3.5 both on a linear and, where all values are above 0, on a logarithmic
    scale, because counts and brightness often spread over decades, and if it is a fifth below or above the median. Of fewer
    than 8 values none is.
    """
    if len(values) < _FEWEST:
        return []
    scores = robust_scores(values)
    array = np.asarray(values, np.float64)
    if (array > 0).all():
        other = robust_scores(np.log(array))
        scores = np.where(np.abs(other) < np.abs(scores), other, scores)
    middle = float(np.median(array))
    far = (np.abs(scores) > _LIMIT) & (np.abs(array - middle) >= _APART * abs(middle))
    return [(int(n), float(scores[n])) for n in np.argsort(-np.abs(scores)) if far[n]]
