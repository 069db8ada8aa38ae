"""``curves.png``: loss, scores and learning rate of a run, as a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from segkit.durable import replace_file
from segkit.training._run import RunState

__all__ = ["draw_curves"]


# Told apart by people who see colours otherwise (Okabe and Ito 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def draw_curves(state: RunState, path: Path, best: str) -> None:
    """Draw what a run's journal amounts to.

    Parameters
    ----------
    state
        The run.
    path
        The PNG file.
    best
        Metric that decides which weights are best; its best point is marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(11, 3.6), dpi=110)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.05, right=0.98, bottom=0.14, top=0.9, wspace=0.2)
    left, middle, right = figure.subplots(1, 3)
    steps = np.array(sorted(state.rows))
    losses = np.array([state.rows[step]["loss"] or np.nan for step in steps], float)
    left.plot(steps, losses, color="#9ecae1", linewidth=0.8, label="training")
    if len(losses) > 20:
        width = max(5, len(losses) // 50)
        smooth = np.convolve(np.nan_to_num(losses, nan=float(np.nanmean(losses))), np.ones(width) / width, mode="valid")
        left.plot(steps[width - 1 :], smooth, color="#2171b5", label=f"mean of {width}")
    checked = sorted(state.validations)
    left.plot(
        checked,
        [state.validations[s]["loss"] for s in checked],
        "o-",
        color="#d55e00",
        markersize=4,
        label="validation",
    )
    finite = losses[np.isfinite(losses) & (losses > 0)]
    if finite.size and finite.max() > 10 * finite.min():
        left.set_yscale("log")
        left.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter("{x:g}")
    names = sorted({name for s in checked for name in state.validations[s]["metrics"]})
    names = [best, *(name for name in names if name != best)][:6] if best in names else names[:6]
    for name, colour in zip(names, _COLOURS, strict=False):
        values = [np.nan if (v := state.validations[s]["metrics"].get(name)) is None else v for s in checked]
        middle.plot(checked, values, "o-", markersize=4, linewidth=2 if name == best else 1, color=colour, label=name)
    marked = [s for s in checked if state.validations[s]["best"]]
    if marked and best in names:
        value = state.validations[marked[-1]]["metrics"][best]
        middle.plot(
            [marked[-1]], [value], "*", color="black", markersize=12, label=f"best: {value:.3f} at step {marked[-1]}"
        )
    right.plot(steps, [state.rows[step]["learning_rate"] for step in steps], color="#009e73")
    right.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    for axes, title in ((left, "Loss"), (middle, "Validation scores"), (right, "Learning rate")):
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.25)
        if axes is not right and axes.lines:
            axes.legend(fontsize=7)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    replace_file(path, picture.getvalue())
