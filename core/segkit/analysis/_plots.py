"""Plots of how sizes, counts and values are spread, and of what the parts of a split share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from segkit.analysis._correlation import AxisCorrelation
from segkit.analysis._parts import Parts
from segkit.analysis._pictures import png
from segkit.analysis._survey import Survey, telling_channels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_distributions", "draw_split"]

_TEAL, _ORANGE, _GREY = "#1b7f79", "#d9822b", "#9aa5ab"
_FEWEST = 3  # samples from which a distribution over samples is worth a picture


def draw_distributions(survey: Survey) -> bytes:
    """Draw how objects, sizes, values, foreground and classes are spread, a panel for each that there is.

    Returns
    -------
    bytes
        A PNG file.
    """
    found = survey.fingerprint
    panels: list[Callable[[Axes], None]] = [lambda axes: _intensity(axes, survey)]
    counts = [row.objects for row in found.rows if row.objects is not None]
    if len(counts) >= _FEWEST:
        panels.append(lambda axes: _histogram(axes, counts, "objects in a sample", "samples"))
    if len(survey.object_voxels) > 1 and np.ptp(survey.object_voxels):
        panels.append(lambda axes: _histogram(axes, survey.object_voxels, "voxels of an object", "objects"))
    if found.labels.positive and len(counts) >= _FEWEST:
        shares = [100 * row.positive for row in found.rows if row.labelled]
        if np.ptp(shares) > 0:
            panels.append(lambda axes: _histogram(axes, shares, "foreground of a sample (%)", "samples"))
    if found.labels.classes:
        panels.append(lambda axes: _classes(axes, survey))
    if len(found.rows) >= _FEWEST:
        panels.append(
            lambda axes: _histogram(axes, [row.mean for row in found.rows], "brightness of a sample", "samples")
        )
    figure, places = _grid(len(panels))
    for axes, panel in zip(places, panels, strict=False):
        panel(axes)
    return png(figure)


def draw_split(parts: Parts | None, correlation: Sequence[AxisCorrelation]) -> bytes:
    """Draw the objects of both parts of a split, and how far the image correlates with itself.

    Returns
    -------
    bytes
        A PNG file; empty where there is nothing to draw.
    """
    panels: list[Callable[[Axes], None]] = []
    if parts is not None and all(len(counts) > 1 for counts in parts.counts):
        panels.append(lambda axes: _parts(axes, parts))
    if correlation:
        panels.append(lambda axes: _correlation(axes, correlation))
    if not panels:
        return b""
    figure, places = _grid(len(panels))
    for axes, panel in zip(places, panels, strict=False):
        panel(axes)
    return png(figure)


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(3, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * lines), dpi=110, layout="constrained")
    places = list(figure.subplots(lines, columns, squeeze=False).ravel())
    for number, axes in enumerate(places):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.set_visible(number < count)
    return figure, places


def _named(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)


def _histogram(axes: Axes, values: Sequence[float] | np.ndarray, across: str, up: str) -> None:
    from matplotlib.ticker import NullFormatter

    array = np.asarray(values, np.float64)
    low, high = float(array.min()), float(array.max())
    decades = low > 0 and high / low > 50
    if decades:
        bins = np.geomspace(low, high * 1.0001, 28)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        whole = bool((array == array.round()).all()) and high - low < 28
        bins = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high if high > low else low + 1, 28)
    axes.hist(array, bins=list(bins), color=_TEAL)
    axes.axvline(float(np.median(array)), color=_ORANGE, linewidth=1.2)
    axes.set_title(f"median {np.median(array):.4g}, mean {array.mean():.4g}", fontsize=8, color=_ORANGE)
    _named(axes, across, up)


def _intensity(axes: Axes, survey: Survey) -> None:
    from matplotlib import colormaps

    channels = survey.fingerprint.intensity
    live = telling_channels(survey)
    low, high = min(channels[n].p0_5 for n in live), max(channels[n].p99_5 for n in live)
    bins = np.linspace(low, high if high > low else low + 1, 60)
    if np.issubdtype(np.dtype(survey.fingerprint.dtype), np.integer):  # as many whole numbers in each bin
        bins = np.arange(np.floor(low) - 0.5, high + 1, max(1, round((high - low) / 60)))
    for order, number in enumerate(live):
        values = survey.values[number]
        values = values[np.isfinite(values)]
        heights, edges = np.histogram(values, bins=bins)
        colour = _TEAL if len(live) == 1 else colormaps["viridis"](order / max(1, len(live) - 1))
        share = 100 * heights / max(1, len(values))
        label = channels[number].name if len(live) > 1 else None
        axes.stairs(share, edges, color=colour, fill=len(live) == 1, linewidth=1.1, label=label)
    if len(live) > 1:
        axes.legend(fontsize=6, title="channel", title_fontsize=6, ncols=1 + len(live) // 7, frameon=False)
    if len(live) > 1 or _peaked(survey, live[0], bins):
        axes.set_yscale("log")
    _named(axes, "value of a voxel", "share of voxels (%)")


def _peaked(survey: Survey, channel: int, bins: np.ndarray) -> bool:
    heights = np.histogram(survey.values[channel], bins=bins)[0]
    return bool(heights.max() > 20 * max(1.0, float(np.median(heights))))


def _classes(axes: Axes, survey: Survey) -> None:
    classes = survey.fingerprint.labels.classes
    names = [str(count.id) for count in classes]
    axes.bar(names, [count.voxels for count in classes], color=[_GREY if c.id == 0 else _TEAL for c in classes])
    axes.set_yscale("log")
    axes.tick_params(axis="x", labelsize=7)
    _named(axes, "class", "labelled voxels")


def _parts(axes: Axes, parts: Parts) -> None:
    for values, name, colour in zip(parts.counts, ("training", "held out"), (_TEAL, _ORANGE), strict=True):
        array = np.sort(np.asarray(values, np.float64))
        share = np.arange(1, len(array) + 1) / len(array)
        axes.step(np.r_[array[0], array], np.r_[0.0, share], where="post", color=colour, label=f"{name} ({len(array)})")
    test = next((test for test in parts.tests if test.what == "objects"), None)
    if test is not None:
        axes.set_title(f"Kolmogorov-Smirnov p = {test.p:.2g}", fontsize=8)
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    _named(axes, "objects of a sample" if parts.unit == "samples" else "objects of a patch", "share below")


def _correlation(axes: Axes, correlation: Sequence[AxisCorrelation]) -> None:
    for found, colour in zip(correlation, (_ORANGE, _TEAL, "#5b4b8a"), strict=False):
        reach = f"{found.axis}: 0.5 at {found.half or '-'}, 0.1 at {found.tenth or '-'}"
        axes.plot((0.7, *found.distances), (1.0, *found.values), marker=".", color=colour, label=reach)
    for level in (0.5, 0.1):
        axes.axhline(level, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_ylim(-0.2, 1.05)
    axes.legend(fontsize=7, frameon=False)
    _named(axes, "distance (voxels)", "correlation")
