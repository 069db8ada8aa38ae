"""The loss curve: training thin with its running mean, validation as points, the best marked, other runs beneath."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph
from pyqtgraph.exporters import ImageExporter
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_segkit.forms import line
from napari_segkit.session import RunProgress

__all__ = ["Curves"]

# Each on dark and on light: at least 3:1 against both of napari's canvases.
_COLOURS = {
    True: {"training": "#7ba7f0", "validation": "#f2a541", "text": "#b4b8be"},
    False: {"training": "#2b63c4", "validation": "#b25b00", "text": "#55595f"},
}
_OTHERS = {True: ("#7fc97f", "#d08bd0", "#e0df70", "#70d6d6"), False: ("#2c7d2c", "#8e3b8e", "#7a7500", "#0f7a7a")}
_LOG_FROM = 10.0


class Curves(QWidget):  # type: ignore[misc]
    """A plot of one run's losses, and those of others to compare."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = pyqtgraph.PlotWidget(background=None)
        self.plot.setFixedHeight(200)
        self.plot.hideButtons()
        self.plot.setLabel("bottom", "step")
        self.plot.getAxis("bottom").setHeight(40)  # the letters of napari's themes are larger than pyqtgraph thinks
        self.plot.setLabel("left", "loss")
        for side in ("bottom", "left"):
            self.plot.getAxis(side).enableAutoSIPrefix(False)
        self.plot.showGrid(x=False, y=True, alpha=0.15)
        self.plot.setAccessibleName("loss by step")
        self.plot.setToolTip("Loss by step. Drag and wheel to zoom, right click to save as CSV or PNG")
        item = self.plot.getPlotItem()
        self._legend = item.addLegend(offset=(-6, 4), verSpacing=-6)
        self._legend.setBrush(None)
        self.raw = item.plot()
        self.training = item.plot(name="training")
        self.validation = item.plot(symbol="o", symbolSize=6, symbolPen=None, name="validation")
        self.best = item.plot(pen=None, symbol="star", symbolSize=13)
        self.others: dict[str, Any] = {}
        for curve in (self.raw, self.training):
            curve.setDownsampling(auto=True, method="peak")
            curve.setClipToView(True)
            curve.setSkipFiniteCheck(False)
        self.logarithmic = False
        self.readout = line(" ")
        self.readout.setAccessibleName("values under the mouse")
        self._run: RunProgress | None = None
        self._dark, self._background = True, ""
        self.plot.scene().sigMouseMoved.connect(self._hovered)
        menu = item.getViewBox().menu
        first = menu.actions()[0] if menu.actions() else None
        for text, action in (("Save as PNG", self._ask_png), ("Save as CSV", self._ask_csv)):
            made = menu.addAction(f"{text}\N{HORIZONTAL ELLIPSIS}")
            made.triggered.connect(lambda _=False, action=action: action())
            menu.insertAction(first, made)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.plot)
        layout.addWidget(self.readout)
        self.set_theme(dark=True)

    def set_theme(self, *, dark: bool, background: str = "") -> None:
        """Draw with pens that can be seen on a dark or a light window, on the window's own colour if it is given."""
        self._dark = dark
        self._background = background or self._background
        if self._background:
            self.plot.setBackground(self._background)
            self.plot.resetCachedContent()  # or the old colour would be painted on
        colours = _COLOURS[dark]
        faint = pyqtgraph.mkColor(colours["training"])
        faint.setAlpha(110)
        self.raw.setPen(pyqtgraph.mkPen(faint, width=1))
        self.training.setPen(pyqtgraph.mkPen(colours["training"], width=1.5))
        self.validation.setPen(pyqtgraph.mkPen(colours["validation"], width=1))
        for points in (self.validation, self.best):
            points.setSymbolBrush(pyqtgraph.mkBrush(colours["validation"]))
        self.best.setSymbolPen(pyqtgraph.mkPen(colours["text"]))
        for side in ("bottom", "left"):
            axis = self.plot.getAxis(side)
            axis.setPen(colours["text"])
            axis.setTextPen(colours["text"])
        self._legend.setLabelTextColor(colours["text"])
        for _, label in self._legend.items:
            label.setText(label.text, color=colours["text"])
        for number, curve in enumerate(self.others.values()):
            curve.setPen(self._pen_of(number))

    def _pen_of(self, number: int) -> Any:
        colours = _OTHERS[self._dark]
        return pyqtgraph.mkPen(colours[number % len(colours)], width=1.2)

    def show_run(self, run: RunProgress, others: Mapping[str, RunProgress] | None = None) -> None:
        """Draw what is known of a run, and the running means of others, by their names."""
        self._run = run
        losses = run.losses
        checks = np.fromiter(run.validations, np.float64, len(run.validations))
        scores = np.asarray([loss for loss, _ in run.validations.values()], np.float64)
        self._choose_scale(losses.values, losses.smooth, scores)
        self.raw.setData(losses.steps, losses.values)
        self.training.setData(losses.steps, losses.smooth)
        self.validation.setData(checks, scores)
        best = run.validations.get(-1 if run.best_step is None else run.best_step)
        self.best.setData([] if best is None else [float(run.best_step or 0)], [] if best is None else [best[0]])
        self._show_others(others or {})

    def _choose_scale(self, losses: Any, smooth: Any, scores: Any) -> None:
        low, high = np.inf, -np.inf
        for values in (losses, smooth, scores):
            if len(values):
                low = min(low, float(np.fmin.reduce(values)))
                high = max(high, float(np.fmax.reduce(values)))
        logarithmic = bool(np.isfinite([low, high]).all() and low > 0 and high > _LOG_FROM * low)
        if logarithmic != self.logarithmic:
            self.logarithmic = logarithmic
            self.plot.setLogMode(x=False, y=logarithmic)

    def _show_others(self, others: Mapping[str, RunProgress]) -> None:
        item = self.plot.getPlotItem()
        for name in [name for name in self.others if name not in others]:
            item.removeItem(self.others.pop(name))
        for name, run in others.items():
            if name not in self.others:
                curve = self.others[name] = item.plot(name=name, pen=self._pen_of(len(self.others)))
                curve.setDownsampling(auto=True, method="peak")
                curve.setClipToView(True)
                curve.setLogMode(False, self.logarithmic)
                self.set_theme(dark=self._dark)
            self.others[name].setData(run.losses.steps, run.losses.smooth)

    @property
    def points(self) -> tuple[int, int]:
        """Numbers of training and validation points that are drawn."""
        return _count(self.raw), _count(self.validation)

    # ---- reading and saving

    def _hovered(self, position: Any) -> None:
        box = self.plot.getPlotItem().getViewBox()
        if self._run is not None and box.sceneBoundingRect().contains(position):
            self.readout.setText(self.values_at(box.mapSceneToView(position).x()))
        else:
            self.readout.setText(" ")

    def values_at(self, step: float) -> str:
        """Say what the values are at the step that is nearest to a position."""
        run = self._run
        if run is None or not run.losses:
            return " "
        losses = run.losses
        place = int(np.clip(np.searchsorted(losses.steps, step), 0, len(losses) - 1))
        if place and abs(losses.steps[place - 1] - step) < abs(losses.steps[place] - step):
            place -= 1
        parts = [f"Step {int(losses.steps[place])}: loss {losses.values[place]:.4g}, mean {losses.smooth[place]:.4g}"]
        if run.validations:
            near = min(run.validations, key=lambda at: abs(at - step))
            loss, metrics = run.validations[near]
            first = "".join(f", {name.replace('_', ' ')} {value:.3g}" for name, value in list(metrics.items())[:1])
            parts.append(f"validation at {near}: {loss:.4g}{first}")
        return " · ".join(parts)

    def write_csv(self, path: Path) -> None:
        """Write the values that are drawn: one row for each step that has any."""
        run = self._run or RunProgress()
        names = list(dict.fromkeys(name for _, metrics in run.validations.values() for name in metrics))
        losses = dict(zip(run.losses.steps.astype(int).tolist(), run.losses.values.tolist(), strict=True))
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["step", "loss", "validation_loss", *names])
            for step in sorted({*losses, *run.validations}):
                loss, metrics = run.validations.get(step, ("", {}))
                table.writerow([step, losses.get(step, ""), loss, *(metrics.get(name, "") for name in names)])

    def write_png(self, path: Path) -> None:
        """Write the plot as a picture."""
        exporter = ImageExporter(self.plot.getPlotItem())
        exporter.parameters()["background"] = self._background or ("#262930" if self._dark else "#f4f5f6")
        exporter.parameters()["width"] = 1200
        exporter.export(str(path))

    def _ask_png(self) -> None:
        path = QFileDialog.getSaveFileName(self, "Save the plot", "curves.png", "PNG (*.png)")[0]
        if path:
            self.write_png(Path(path))

    def _ask_csv(self) -> None:
        path = QFileDialog.getSaveFileName(self, "Save the values", "curves.csv", "CSV (*.csv)")[0]
        if path:
            self.write_csv(Path(path))


def _count(curve: Any) -> int:
    found = curve.getOriginalDataset()[0]
    return 0 if found is None else len(found)
