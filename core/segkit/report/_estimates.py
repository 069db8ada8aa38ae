"""Means of a few runs with intervals, and the difference between two such means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Estimate", "difference_of", "estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and where the true one is with 95 % confidence.

    Parameters
    ----------
    mean
        The mean.
    low, high
        Ends of the interval; None where a single value says nothing about it.
    deviation
        Standard deviation of the values (n - 1); None for a single value and for differences.
    count
        Values it is made of; of a difference, the smaller number.
    """

    mean: float
    low: float | None
    high: float | None
    deviation: float | None
    count: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean of values with its 95 % interval, from Student's t distribution; None of no values."""
    if not values:
        return None
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return Estimate(mean, None, None, None, 1)
    deviation = float(np.std(values, ddof=1))
    half = _quantile(count - 1) * deviation / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half, deviation, count)


def difference_of(a: Estimate, b: Estimate) -> Estimate:
    """Return ``b - a`` with its 95 % interval.

    With several values on both sides it is Welch's, which lets both spread differently (Welch 1947). Of a single value
    nobody knows the spread: it is taken to be that of the other side (Student). Two single values have no interval.
    """
    mean, count = b.mean - a.mean, min(a.count, b.count)
    if a.deviation is None and b.deviation is None:
        return Estimate(mean, None, None, None, count)
    if a.deviation is None or b.deviation is None:
        known = a if b.deviation is None else b
        assert known.deviation is not None
        error, freedom = known.deviation * math.sqrt(1 + 1 / known.count), known.count - 1.0
    else:
        parts = (a.deviation**2 / a.count, b.deviation**2 / b.count)
        error = math.sqrt(sum(parts))
        weighed = sum(part**2 / (e.count - 1) for part, e in zip(parts, (a, b), strict=True))
        freedom = error**4 / weighed if weighed else 1.0
    half = _quantile(freedom) * error
    return Estimate(mean, mean - half, mean + half, None, count)


def _quantile(freedom: float) -> float:
    """Return the value below which 97.5 % of a t distribution lie."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))
