"""A curve that grows: values by step, in arrays that are made once and doubled when they are full."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Series"]

Array = np.ndarray[Any, np.dtype[np.float64]]


class Series:
    """Values by ascending step, with a running mean; adding one costs the same however many there are.

    Parameters
    ----------
    smoothing
        Share of the running mean that is kept at each value, 0..1.
    """

    def __init__(self, smoothing: float = 0.6) -> None:
        self._smoothing = smoothing
        self._rows = np.empty((3, 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count > 0

    @property
    def steps(self) -> Array:
        """The steps, ascending; a look at the array itself."""
        return self._rows[0, : self._count]

    @property
    def values(self) -> Array:
        """The values; NaN where one was not finite."""
        return self._rows[1, : self._count]

    @property
    def smooth(self) -> Array:
        """The running mean, which begins with the first value and passes over what is not finite."""
        return self._rows[2, : self._count]

    def add(self, step: int, value: float) -> None:
        """Add the value of a step; one that is there already, and all behind it, are replaced."""
        if self._count and step <= self._rows[0, self._count - 1]:
            self.cut(step - 1)
        if self._count == self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)], axis=1)
        before = self._rows[2, self._count - 1] if self._count else math.nan
        mean = value
        if math.isfinite(before):
            mean = self._smoothing * before + (1 - self._smoothing) * value if math.isfinite(value) else before
        self._rows[:, self._count] = step, value, mean
        self._count += 1

    def cut(self, step: int) -> None:
        """Forget what came behind a step."""
        self._count = int(np.searchsorted(self.steps, step, side="right"))

    def at(self, step: int) -> float | None:
        """Return the value of a step; None where there is none."""
        place = int(np.searchsorted(self.steps, step))
        return float(self.values[place]) if place < self._count and self.steps[place] == step else None
