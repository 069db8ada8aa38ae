"""Pictures of a sweep: what each setting does, and heat maps of two."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.report import estimate
from segkit.sweeping._dimension import Dimension, short
from segkit.sweeping._study import Point, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_effects", "draw_heat_maps"]

_PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c564b",
    "#7f7f7f",
    "#bcbd22",
    "#000000",
)  # the first six after Okabe and Ito (2008), told apart by the colour-blind
_ACROSS = 3  # panels in a row
_MOST_PAIRS = 6


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _groups(study: Study, of: Dimension) -> list[tuple[str, str, list[Point]]]:
    """Return the points in the groups that have a colour of their own: name, colour, points."""
    colours = study.colours
    if colours is None:
        return [("", _PALETTE[0], list(study.points))]
    return [
        (
            "" if colours.key == of.key else short(value),
            colour,
            [p for p in study.points if p.trial.values[colours.key] == value],
        )
        for value, colour in zip(colours.values, _PALETTE)
    ]


def _is_number(dimension: Dimension) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in dimension.values)


def _is_log(dimension: Dimension) -> bool:
    return dimension.log or (
        bool(dimension.values) and min(dimension.values) > 0 and max(dimension.values) >= 4 * min(dimension.values)
    )


def draw_effects(study: Study) -> bytes:
    """Draw the score over each setting, with a mean and its 95 % interval where several trainings share a value.

    Parameters
    ----------
    study
        The sweep; it has a completed training.

    Returns
    -------
    bytes
        A PNG file.
    """
    shown = list(study.plan.dimensions)
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = _figure(4.3 * across + 0.6, 3.5 * down)
    panels: Any = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, dimension in zip(panels.flat, shown):
        _draw_effect(axes, study, dimension)
    for axes in panels[:, 0]:
        axes.set_ylabel(f"best validation {study.metric}")
    if study.log:
        panels[0, 0].set_yscale("log")
    handles, labels = max((axes.get_legend_handles_labels() for axes in panels.flat), key=lambda pair: len(pair[1]))
    if labels:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return _png(figure)


def _draw_effect(axes: Axes, study: Study, dimension: Dimension) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    levels = study.is_level(dimension)
    numbers = _is_number(dimension)
    places: dict[Any, float] = {
        value: float(value) if numbers else place for place, value in enumerate(dimension.grid if levels else ())
    }
    groups = [group for group in _groups(study, dimension) if group[2]]
    log = numbers and _is_log(dimension)
    for number, (name, colour, points) in enumerate(groups):
        aside = (number - (len(groups) - 1) / 2) * 0.06 if name else 0.0  # so that intervals do not cover each other
        xs = [places[p.trial.values[dimension.key]] if levels else float(p.trial.values[dimension.key]) for p in points]
        if levels:
            xs = [_moved(x, aside, places, log) for x in xs]
        ys = [p.score for p in points]
        alpha, size = (0.35, 4) if levels else (0.8, 5)
        axes.plot(xs, ys, "o", color=colour, alpha=alpha, markersize=size, markeredgewidth=0)
        if not levels:
            axes.plot([], [], "o", color=colour, label=name or None)
            continue
        by_level = {
            value: [p.score for p in points if p.trial.values[dimension.key] == value] for value in dimension.grid
        }
        means = [(value, scores) for value, scores in by_level.items() if scores]
        axes.errorbar(
            [_moved(places[value], aside, places, log) for value, _ in means],
            *_means([scores for _, scores in means], study.log),
            fmt="o-" if numbers else "o",
            color=colour,
            markersize=6,
            linewidth=1.6,
            capsize=3,
            label=name or None,
        )
    if not levels:
        _draw_pruned(axes, study, dimension)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if levels:
        axes.set_xticks([*places.values()], [short(value) for value in places])
        axes.xaxis.set_minor_locator(NullLocator())
        if not numbers:
            axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_title(dimension.key, fontsize=10)
    axes.grid(alpha=0.25)


def _draw_pruned(axes: Axes, study: Study, dimension: Dimension) -> None:
    """Mark what was ended early, and keep to the range that was searched."""
    ended = [
        (trial.values[dimension.key], outcome.best)
        for trial in study.trials
        for outcome in trial.outcomes.values()
        if outcome.state == "pruned"
    ]
    if ended:
        axes.plot(*zip(*ended), "x", color="#888888", markersize=5, label="ended early", zorder=1)
    margin = (dimension.high / dimension.low) ** 0.03 if dimension.log else 0.03 * (dimension.high - dimension.low)
    if dimension.log:
        axes.set_xlim(dimension.low / margin, dimension.high * margin)
    else:
        axes.set_xlim(dimension.low - margin, dimension.high + margin)


def _moved(x: float, aside: float, places: dict[Any, float], log: bool) -> float:
    ends = sorted(places.values())
    if log:
        return float(x * (ends[-1] / ends[0]) ** (aside / max(1, len(ends))))
    return float(x + aside * (ends[-1] - ends[0]) / max(1, len(ends) - 1))


def _means(groups: Sequence[Sequence[float]], log: bool) -> tuple[list[float], Any]:
    """Return means and the halves of their intervals below and above, both of the logarithm where that is shown."""
    found = [estimate([float(v) for v in (np.log10(scores) if log else scores)]) for scores in groups]
    ends = np.array(
        [[e.mean if e.low is None else e.low, e.mean, e.mean if e.high is None else e.high] for e in found if e]
    )
    low, mean, high = (10**ends if log else ends).T
    return mean.tolist(), np.array([mean - low, high - mean])


def draw_heat_maps(study: Study) -> bytes:
    """Draw the mean score over each two settings that take a few values, with a column for each architecture.

    Learning rate by batch size comes first; six pairs at most are drawn.

    Parameters
    ----------
    study
        The sweep; it has a completed training.

    Returns
    -------
    bytes
        A PNG file; empty where there are no two such settings.
    """
    found = [dimension for dimension in study.settings if study.is_level(dimension)]
    pairs = list(itertools.combinations(found, 2))
    pairs.sort(
        key=lambda pair: {dimension.key for dimension in pair} != {"optimizer.learning_rate", "sampling.batch_size"}
    )
    pairs = pairs[:_MOST_PAIRS]
    if not pairs:
        return b""
    models: list[Any] = list(study.models.values) if study.models else [None]
    widest = max(len(pair[1].grid) for pair in pairs)
    tallest = max(len(pair[0].grid) for pair in pairs)
    figure = _figure(len(models) * (0.85 * widest + 1.4) + 1.2, len(pairs) * (0.55 * tallest + 1.25))
    panels: Any = figure.subplots(len(pairs), len(models), squeeze=False)
    cells = [[_cells(study, pair, model) for model in models] for pair in pairs]
    means = [mean for row in cells for grid in row for mean in grid.ravel() if np.isfinite(mean)]
    norm, colours = _scale(means, study), "viridis" if study.direction == "max" else "viridis_r"
    image = None
    for row, pair in enumerate(pairs):
        for column, model in enumerate(models):
            image = _draw_cells(panels[row, column], study, pair, cells[row][column], norm, colours)
            panels[row, column].set_title("" if model is None else short(model), fontsize=10)
            if column:
                panels[row, column].set_ylabel("")
    assert image is not None
    figure.colorbar(image, ax=panels, label=f"mean of the best validation {study.metric}", shrink=0.8)
    return _png(figure)


def _scale(means: Sequence[float], study: Study) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    return (LogNorm if study.log else Normalize)(low, high if high > low else low * 1.01 + 1e-9)


def _cells(study: Study, pair: tuple[Dimension, Dimension], model: Any) -> np.ndarray[Any, Any]:
    """Return the mean score at each two values, NaN where no training completed."""
    rows, columns = pair
    cells = np.full((len(rows.grid), len(columns.grid)), np.nan)
    for (y, down), (x, right) in itertools.product(enumerate(rows.grid), enumerate(columns.grid)):
        scores = [
            p.score
            for p in study.points
            if p.trial.values[rows.key] == down
            and p.trial.values[columns.key] == right
            and (model is None or p.trial.values["architecture.name"] == model)
        ]
        if scores:
            cells[y, x] = np.mean(scores)
    return cells


def _draw_cells(
    axes: Axes, study: Study, pair: tuple[Dimension, Dimension], cells: np.ndarray[Any, Any], norm: Any, colours: str
) -> Any:
    image = axes.imshow(cells, norm=norm, cmap=colours, aspect="auto", origin="lower")
    axes.set_facecolor("#dddddd")
    for y, x in np.ndindex(cells.shape):
        known = np.isfinite(cells[y, x])
        shade = image.cmap(norm(cells[y, x])) if known else (0.9, 0.9, 0.9, 1.0)
        dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 0.55
        text = f"{cells[y, x]:.3g}" if known else "none"
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    rows, columns = pair
    axes.set_xticks(range(len(columns.grid)), [short(value) for value in columns.grid], fontsize=8)
    axes.set_yticks(range(len(rows.grid)), [short(value) for value in rows.grid], fontsize=8)
    axes.set_xlabel(columns.key, fontsize=9)
    axes.set_ylabel(rows.key, fontsize=9)
    return image
