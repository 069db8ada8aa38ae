"""What is summed up of predicted numbers, as foreground or as values, in blocks of both volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segkit.errors import DataError, UsageError
from segkit.geometry import Box
from segkit.metrics.correlation import Correlation
from segkit.metrics.overlap import OverlapMetrics
from segkit.metrics.regression import RegressionMetrics
from segkit.metrics.thresholds import ThresholdCurve
from segkit.volume import Volume

__all__ = ["Errors", "Overlap", "check_finite"]

Array = np.ndarray[Any, Any]


class Overlap:
    """Counts voxels of foreground."""

    def __init__(self, found: Volume, truth: Volume, threshold: float, channel: int | None) -> None:
        self._chosen, names = _channels(found, truth, channel, "foreground")
        self._metrics = OverlapMetrics(names, threshold=threshold if found.dtype.kind == "f" else 0.5)
        self._curve = ThresholdCurve() if found.dtype.kind == "f" and len(self._metrics.channel_names) == 1 else None
        self.settings = {"channels": list(self._metrics.channel_names), "threshold": threshold}

    def update(self, block: Box, found: Array, truth: Array, known: Array) -> None:
        found = found[self._chosen]
        if found.dtype.kind == "f":
            check_finite(block, found, known)
        else:
            found = found != 0
        present = truth != 0
        self._metrics.update(found[None], present[None], known[None, None])
        if self._curve is not None:
            everywhere = known.all()
            self._curve.update(*(voxels[0] if everywhere else voxels[0][known] for voxels in (found, present)))

    def scores(self) -> dict[str, float]:
        scores = self._metrics.compute()
        if self._curve is not None:
            scores["best_threshold"], scores["best_jaccard"] = self._curve.best()
        return scores


class _Channel:
    """Sums up how far the numbers of one channel are off."""

    def __init__(self, name: str) -> None:
        self.name, self.low, self.high = name, math.inf, -math.inf
        self.metrics, self.correlation = RegressionMetrics(), Correlation()

    def update(self, found: Array, truth: Array) -> None:
        self.metrics.update(found, truth, np.ones(found.shape, bool))
        self.correlation.update(found, truth)
        self.low, self.high = min(self.low, float(truth.min())), max(self.high, float(truth.max()))


class Errors:
    """Sums up how far numbers are off, over all channels and in each."""

    def __init__(self, found: Volume, truth: Volume, data_range: float | None, channel: int | None) -> None:
        self._chosen, names = _channels(found, truth, channel, "regression")
        if data_range is not None:
            RegressionMetrics(data_range=data_range)  # says what is wrong with it
        self._range = data_range
        self._channels = [_Channel(name) for name in names]
        self.settings: dict[str, Any] = {"channels": list(names), "data_range": data_range}

    def update(self, block: Box, found: Array, truth: Array, known: Array) -> None:
        found = found[self._chosen]
        check_finite(block, found, known)
        for channel, mine, theirs in zip(self._channels, found, truth, strict=True):
            channel.update(mine[known].astype(np.float64), theirs[known].astype(np.float64))

    def scores(self) -> dict[str, float]:
        scores = self._scores(self._channels)
        for channel in self._channels if len(self._channels) > 1 else ():
            scores |= {f"{score}_{channel.name}": value for score, value in self._scores([channel]).items()}
        return scores

    def _scores(self, channels: Sequence[_Channel]) -> dict[str, float]:
        """Return the errors over some channels, and the mean of their correlations."""
        span = self._range or max(c.high for c in channels) - min(c.low for c in channels)
        metrics = RegressionMetrics(data_range=span or 1.0)
        metrics.sums = np.sum([c.metrics.sums for c in channels], axis=0)
        correlation = {"correlation": float(np.mean([c.correlation.value for c in channels]))}
        return metrics.compute() | ({} if span else {"psnr": math.nan}) | correlation


def _channels(found: Volume, truth: Volume, channel: int | None, what: str) -> tuple[slice, tuple[str, ...]]:
    """Return which channels of the result are compared, and their names."""
    names = found.channel_names or tuple(str(number) for number in range(found.channels))
    if channel is None and found.channels != truth.channels:
        hint = ", or compare as 'classes' if the channels are classes" if what == "foreground" else ""
        raise UsageError(
            f"{found.source} has {found.channels} channels ({', '.join(names)}), and the labels have {truth.channels}. Say "
            f"which channel is the {what} with 'channel'{hint}."
        )
    if channel is not None and (not 0 <= channel < found.channels or truth.channels != 1):
        raise UsageError(
            f"`channel` is {channel}; {found.source} has the channels 0 to {found.channels - 1} ({', '.join(names)}), and "
            f"the labels have {truth.channels}. Choose one of them, for labels of one channel."
        )
    chosen = slice(None) if channel is None else slice(channel, channel + 1)
    return chosen, names[chosen]


def check_finite(block: Box, found: Array, known: Array) -> None:
    finite = np.isfinite(found).all(0)
    if not (finite | ~known).all():
        raise DataError(
            f"The prediction holds values that are not finite at {block}. Predict it again, or leave that region out."
        )
