"""Curves of groups of runs over each other, and their best scores with intervals, as PNG."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from segkit.report._comparison import Comparison
from segkit.report._groups import Group
from segkit.training import Run, RunState

__all__ = ["draw_comparison"]

Array = np.ndarray[Any, Any]

# Okabe and Ito (2008), told apart by everybody; its yellow is too light for lines on white. Dashes tell them apart in grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_DASHES = ("-", "--", "-.", ":", "-", "--", "-.")
_GREY = "#b0b0b0"
_WIDTH = 11  # inches
_MOST = 30  # groups that have a line of their own among the intervals


def draw_comparison(comparison: Comparison) -> bytes:
    """Draw scores and losses of all groups against the step, and the best scores with their 95 % intervals.

    A line is the mean over the seeds of a group, the band reaches from the lowest to the highest. Of more than 7 groups the
    reference and the best are in colour, the others grey.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    looks = _looks(comparison)
    states = {group.name: [Run(run.folder).state() for run in group.runs] for group in comparison.groups}
    shown = comparison.ranked[:_MOST]
    height = max(6.8, 4.4 + 0.26 * len(shown))
    figure = Figure(figsize=(_WIDTH, height), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    (scores, losses), (training, best) = figure.subplots(2, 2)
    sense = "higher is better" if comparison.direction == "max" else "lower is better"
    _curves(scores, states, looks, lambda state: _validated(state, comparison.metric))
    scores.set(title=f"Validation {comparison.metric} ({sense})", xlabel="step", ylabel=comparison.metric)
    _curves(losses, states, looks, lambda state: _validated(state, None))
    # Values of different losses say nothing beside each other, their course does.
    kinds = "es, each its own" if any(key.startswith("loss.") for key in comparison.settings) else ""
    losses.set(title=f"Validation loss{kinds}", xlabel="step", ylabel="loss")
    _curves(training, states, looks, _smoothed)
    training.set(title=f"Training loss{kinds} (running mean)", xlabel="step", ylabel="loss")
    for axes in (losses, training, *([scores] if comparison.direction == "min" else [])):
        _log_where_wide(axes)
    _intervals(best, shown, looks, comparison)
    for axes in (scores, losses, training, best):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    named = [group.name for group in comparison.groups if looks[group.name][0] != _GREY]
    lines = {line.get_label(): line for line in scores.lines}
    handles = [lines[name] for name in named if name in lines]
    columns = max(1, min(4, int(_WIDTH * 108 / (60 + 7.2 * max(map(len, named))))))
    rows = -(-len(handles) // columns)
    figure.tight_layout(rect=(0, 0, 1, 1 - (0.12 + 0.19 * rows) / height))
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.0), ncol=columns, frameon=False, fontsize=9
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _looks(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Return colour and dashes of each group."""
    names = [group.name for group in comparison.groups]
    if len(names) > len(_COLOURS):
        names = list(dict.fromkeys([names[0], *(group.name for group in comparison.ranked)]))[: len(_COLOURS)]
    coloured = dict(zip(names, zip(_COLOURS, _DASHES, strict=True), strict=False))
    return {group.name: coloured.get(group.name, (_GREY, "-")) for group in comparison.groups}


def _validated(state: RunState, metric: str | None) -> Mapping[int, float | None]:
    return {s: row["loss"] if metric is None else row["metrics"].get(metric) for s, row in state.validations.items()}


def _smoothed(state: RunState) -> Mapping[int, float | None]:
    """Return the training loss as a mean over a fiftieth of the steps; what is no number interrupts it."""
    steps = sorted(state.rows)
    values = np.array([np.nan if (loss := state.rows[s]["loss"]) is None else loss for s in steps], float)
    width = max(1, min(len(values), max(5, len(values) // 50)))
    if len(values) < width or not len(values):
        return {}
    means = np.convolve(values, np.ones(width) / width, mode="valid")
    return dict(zip(steps[width - 1 :], means.tolist(), strict=True))


def _curves(
    axes: Any,
    states: Mapping[str, list[RunState]],
    looks: Mapping[str, tuple[str, str]],
    curve: Callable[[RunState], Mapping[int, float | None]],
) -> None:
    # The coloured ones lie over the grey.
    for name in sorted(states, key=lambda name: looks[name][0] != _GREY):
        colour, dashes = looks[name]
        curves = [found for state in states[name] if (found := curve(state))]
        if not curves:
            continue
        steps = sorted(set.intersection(*(set(found) for found in curves)))
        values = np.array([[np.nan if (v := found[s]) is None else v for s in steps] for found in curves], float)
        few = len(steps) <= 1
        axes.plot(
            steps,
            values.mean(0),
            dashes,
            color=colour,
            linewidth=1.8,
            marker="o" if few else None,
            markersize=4,
            label=name,
        )
        if len(curves) > 1:
            axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)
            for found in curves:  # where others have ended, each goes on alone
                rest = [s for s in sorted(found) if steps and s >= steps[-1]]
                tail = [np.nan if (v := found[s]) is None else v for s in rest]
                axes.plot(rest, tail, dashes, color=colour, linewidth=0.7, alpha=0.7)


def _log_where_wide(axes: Any) -> None:
    from matplotlib.ticker import LogLocator

    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")


def _intervals(axes: Any, groups: list[Group], looks: Mapping[str, tuple[str, str]], comparison: Comparison) -> None:
    """Draw the best score of each run as a dot, and mean and interval of each group; the best group on top."""
    low, high = _span(groups)
    values = np.array([run.best for group in groups for run in group.runs if run.best is not None] or [0.0])
    if comparison.direction == "min" and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_xscale("log")
        low, high = values.min() / 1.5, values.max() * 1.5
    for row, group in enumerate(groups):
        best, colour = group.best, looks[group.name][0]
        assert best is not None
        dots = [run.best for run in group.runs if run.best is not None]
        axes.plot(dots, [row - 0.16] * len(dots), "o", color=colour, alpha=0.45, markersize=4, markeredgewidth=0)
        if best.low is not None and best.high is not None:
            axes.plot(
                [max(best.low, low), min(best.high, high)],
                [row, row],
                "-",
                color=colour,
                linewidth=2.2,
                solid_capstyle="butt",
            )
            for beyond, at, mark in ((best.low < low, low, "<"), (best.high > high, high, ">")):
                if beyond:
                    axes.plot([at], [row], mark, color=colour, markersize=7, clip_on=False)
        axes.plot([best.mean], [row], "D", color=colour, markersize=6)
    axes.set_xlim(low, high)
    axes.set_yticks(range(len(groups)), [_short(group.name) for group in groups], fontsize=8 if len(groups) < 10 else 7)
    axes.set_ylim(len(groups) - 0.5, -0.6)
    axes.set(title="Best score: runs, mean and 95 % interval", xlabel=f"best validation {comparison.metric}")


def _span(groups: list[Group]) -> tuple[float, float]:
    """Return what is shown: all runs, and of intervals no more than keeps the runs apart; two runs alone have huge ones."""
    values = np.array([run.best for group in groups for run in group.runs if run.best is not None] or [0.0])
    room = max(0.75 * float(np.ptp(values)), 0.01 * float(np.abs(values).max()), 1e-6)
    ends = [end for g in groups if g.best for end in (g.best.low, g.best.high, g.best.mean) if end is not None]
    low, high = min([values.min(), *ends]), max([values.max(), *ends])
    low, high = max(low, values.min() - room), min(high, values.max() + room)
    margin = 0.04 * max(high - low, room)
    return float(low - margin), float(high + margin)


def _short(name: str) -> str:
    return name if len(name) <= 46 else f"{name[:45]}…"
