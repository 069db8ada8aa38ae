"""The loss curve: training thin, validation with points, the best of them marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_segkit.session._run_progress import RunProgress

__all__ = ["Curves"]

_TRAINING, _VALIDATION, _TEXT = "#6f97d8", "#f2a541", "#9a9a9a"  # readable on dark and on light
_SMOOTHING = 0.8


class Curves(QWidget):  # type: ignore[misc]
    """A plot of one run's losses."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = pyqtgraph.PlotWidget(background=None)
        self.plot.setFixedHeight(200)
        self.plot.setMenuEnabled(True)
        self.plot.hideButtons()
        self.plot.setLabel("bottom", "step")
        self.plot.setLabel("left", "loss")
        for side in ("bottom", "left"):
            self.plot.getAxis(side).enableAutoSIPrefix(False)
        self.plot.showGrid(x=False, y=True, alpha=0.15)
        self.plot.setAccessibleName("loss by step")
        item = self.plot.getPlotItem()
        legend = item.addLegend(offset=(-6, 4), labelTextColor=_TEXT, verSpacing=-6)
        legend.setBrush(None)
        faint = pyqtgraph.mkColor(_TRAINING)
        faint.setAlpha(110)
        self.raw = item.plot(pen=pyqtgraph.mkPen(faint, width=1))
        self.training = item.plot(pen=pyqtgraph.mkPen(_TRAINING, width=1.5), name="training")
        self.validation = item.plot(
            pen=pyqtgraph.mkPen(_VALIDATION, width=1),
            symbol="o",
            symbolSize=6,
            symbolBrush=_VALIDATION,
            symbolPen=None,
            name="validation",
        )
        self.best = item.plot(pen=None, symbol="star", symbolSize=13, symbolBrush=_VALIDATION, symbolPen=_TEXT)
        for curve in (self.raw, self.training):
            curve.setDownsampling(auto=True, method="peak")
            curve.setClipToView(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)

    def show_run(self, run: RunProgress) -> None:
        """Draw what is known of a run."""
        steps = np.fromiter(run.losses, np.float64, len(run.losses))
        losses = np.fromiter(run.losses.values(), np.float64, len(run.losses))
        checks = np.fromiter(run.validations, np.float64, len(run.validations))
        scores = np.asarray([loss for loss, _ in run.validations.values()], np.float64)
        everything = np.concatenate([losses, scores])
        everything = everything[np.isfinite(everything)]
        logarithmic = bool(everything.size and everything.min() > 0 and everything.max() > 10 * everything.min())
        self.plot.setLogMode(x=False, y=logarithmic)
        self.raw.setData(steps, losses)
        self.training.setData(steps, _smooth(losses))
        self.validation.setData(checks, scores)
        best = run.validations.get(-1 if run.best_step is None else run.best_step)
        self.best.setData([] if best is None else [float(run.best_step or 0)], [] if best is None else [best[0]])

    @property
    def points(self) -> tuple[int, int]:
        """Numbers of training and validation points that are drawn."""
        return _count(self.raw), _count(self.validation)


def _count(curve: Any) -> int:
    found = curve.getOriginalDataset()[0]
    return 0 if found is None else len(found)


def _smooth(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the exponential mean, as a causal filter of finite length; short and undefined parts stay as they are."""
    length = min(len(values), 21)  # 0.8 ** 21 is below 1 %
    if length < 3 or not np.isfinite(values).all():
        return values
    weights = _SMOOTHING ** np.arange(length)
    total = np.convolve(values, weights)[: len(values)]
    share: np.ndarray[Any, np.dtype[np.float64]] = np.convolve(np.ones(len(values)), weights)[: len(values)]
    mean: np.ndarray[Any, np.dtype[np.float64]] = total / share
    return mean
