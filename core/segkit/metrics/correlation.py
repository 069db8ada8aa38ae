"""The correlation of two arrays that are seen part by part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Correlation"]

Array = np.ndarray[Any, Any]

_EPSILON = float(np.finfo(np.float64).eps)


class Correlation:
    """Pearson's correlation of pairs of numbers, whose deviations from their means are joined part by part.

    Sums of squares of the numbers themselves would lose what is small beside their mean (Chan, Golub and LeVeque 1983,
    <https://doi.org/10.1080/00031305.1983.10483115>).
    """

    def __init__(self) -> None:
        self._count = 0
        self._means = np.zeros(2)
        self._products = np.zeros(3)  # of deviations, summed up: the squares of both, and one times the other

    def update(self, first: Array, second: Array) -> None:
        """Add pairs: two arrays of one shape, of finite numbers."""
        if not first.size:
            return
        pairs = np.stack([first.ravel(), second.ravel()]).astype(np.float64)
        means = pairs.mean(1)
        pairs -= means[:, None]
        apart, count = means - self._means, self._count + first.size
        within = [(pairs[i] * pairs[j]).sum() for i, j in ((0, 0), (1, 1), (0, 1))]
        between = np.array([apart[0] ** 2, apart[1] ** 2, apart[0] * apart[1]])
        self._products += within + between * (self._count * first.size / count)
        self._means += apart * (first.size / count)
        self._count = count

    @property
    def value(self) -> float:
        """-1 to 1; NaN where one side is the same everywhere."""
        squares, product = self._products[:2], self._products[2]
        if not (squares > self._count * (_EPSILON * self._means) ** 2).all():
            return math.nan
        return float(np.clip(product / math.sqrt(squares[0] * squares[1]), -1, 1))
