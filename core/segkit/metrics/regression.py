"""Scores of predicted numbers: mean squared error, mean absolute error and peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from segkit.errors import UsageError

__all__ = ["RegressionMetrics"]

Array = np.ndarray[Any, Any]


class RegressionMetrics:
    """Errors over all known voxels and channels of a data set; implements `segkit.contracts.Metrics`.

    Parameters
    ----------
    data_range
        Largest minus smallest value that a prediction should take, above 0; the peak of the signal-to-noise ratio.
    centre, scale
        What a target of 0 is in the numbers of the prediction, and what a step of 1 is.
    """

    def __init__(self, *, data_range: float = 1.0, centre: float = 0.0, scale: float = 1.0) -> None:
        if not data_range > 0:
            raise UsageError(
                f"The data range {data_range} is the span of the values of the target; use a number above 0."
            )
        self.data_range, self.centre, self.scale = data_range, centre, scale
        self._sums = np.zeros(3, np.float64)

    @property
    def sums(self) -> Array:
        """Number of values, sum of squared errors, sum of absolute errors, float64 ``(3,)``."""
        return self._sums

    @sums.setter
    def sums(self, value: Array) -> None:
        self._sums = np.array(value, np.float64).reshape(3)

    def update(self, prediction: Array, target: Array, mask: Array) -> None:
        """Add one batch: two arrays ``(N, K, Z, Y, X)``, and where the target is known, ``(N, 1 or K, Z, Y, X)``."""
        known = np.broadcast_to(mask != 0, prediction.shape)
        errors = prediction[known] - (target[known].astype(np.float64) * self.scale + self.centre)
        self._sums += (errors.size, np.square(errors).sum(), np.abs(errors).sum())

    def compute(self) -> dict[str, float]:
        """Return ``mse``, ``mae`` and ``psnr`` (decibels; infinite without any error); NaN where nothing is known."""
        count, squares, absolutes = self._sums.tolist()
        if not count:
            return dict.fromkeys(("mse", "mae", "psnr"), math.nan)
        mse = squares / count
        psnr = 10 * math.log10(self.data_range**2 / mse) if mse else math.inf
        return {"mse": mse, "mae": absolutes / count, "psnr": psnr}
