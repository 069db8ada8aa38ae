"""Pictures of slices and of traces, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.tracing import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["colours_of", "draw_slices", "draw_traces"]

Array = np.ndarray[Any, Any]

_NAMED = 12  # traces that have a line each in the legend


def colours_of(ids: Array) -> Array:
    """Return a colour for each id, ``(..., 3)`` in 0..1; the same id always has the same one, and 0 is black."""
    mixed = (ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    hue = (mixed % np.uint64(1021)).astype(np.float64) / 1021
    lightness = 0.55 + 0.4 * ((mixed // np.uint64(1021)) % np.uint64(7)).astype(np.float64) / 6
    wheel = np.abs((hue[..., None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    return np.where(ids[..., None] == 0, 0, lightness[..., None] * (0.25 + 0.75 * wheel.clip(0, 1)))


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def draw_slices(panels: Sequence[tuple[str, Array]], raw: Array) -> bytes:
    """Draw one slice in several ways, side by side.

    Parameters
    ----------
    panels
        Title and slice ``(Y, X)`` of each: integers of more than 8 bits are ids, drawn in colour over the image; a
        floating slice is a probability, drawn from black to yellow; bytes are drawn in grey.
    raw
        The image below ids, ``(Y, X)``.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = raw.shape
    figure = Figure(figsize=(3.6 * len(panels), 3.6 * height / width + 0.35), dpi=110)
    FigureCanvasAgg(figure)
    low, high = np.percentile(raw, [0.5, 99.5])
    grey = ((raw - low) / max(float(high - low), 1e-9)).clip(0, 1)[..., None].repeat(3, axis=2)
    for number, (title, values) in enumerate(panels):
        axes = figure.add_axes(
            (number / len(panels) + 0.004, 0.0, 1 / len(panels) - 0.008, 1 - 0.3 / figure.get_figheight())
        )
        axes.set_axis_off()
        axes.set_title(title, fontsize=10, pad=3)
        if values.dtype.kind == "f":
            axes.imshow(values, cmap="inferno", vmin=0, vmax=1, interpolation="nearest")
        elif values.dtype.itemsize > 1:
            over = np.where(values[..., None] == 0, grey, 0.45 * grey + 0.55 * colours_of(values))
            axes.imshow(over, interpolation="nearest")
        else:
            axes.imshow(grey, interpolation="nearest")
    return _png(figure)


def draw_traces(traces: Sequence[Trace], *, largest: int = 200, of: int | None = None) -> bytes:
    """Draw traces in three dimensions, coloured by object and as thick as they are, with somata as discs.

    Parameters
    ----------
    traces
        What is drawn.
    largest
        Number of traces drawn, those with the longest cable. Up to 12 are named in a legend.
    of
        How many traces there are in all, for the title; None for as many as are given.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    total = len(traces) if of is None else of
    nm = not traces or traces[0].unit == "nm"
    unit, scale = ("\N{GREEK SMALL LETTER MU}m", 1e-3) if nm else ("voxels", 1.0)
    drawn = [t for t in sorted(traces, key=lambda t: t.cable_length, reverse=True)[:largest] if len(t.edges)]
    named = len(drawn) <= _NAMED
    figure = Figure(figsize=(9, 5.6), dpi=110)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0.0, 0.0, 0.8 if named else 1.0, 0.95), projection="3d", computed_zorder=False)
    thickest = max([1e-9, *(float(np.delete(t.radii, t.soma or []).max(initial=0)) for t in drawn)])
    handles = []
    for trace in drawn:
        ends = scale * trace.nodes[:, ::-1][trace.edges]
        width = 0.6 + 2.5 * (trace.radii[trace.edges].min(axis=1) / thickest).clip(0, 1)
        colour = tuple(0.9 * colours_of(np.array([trace.id]))[0])
        axes.add_collection3d(Line3DCollection(list(ends), colors=[colour], linewidths=width))
        if trace.soma is not None:
            z, y, x = scale * trace.nodes[trace.soma]
            axes.scatter([x], [y], [z], s=90, color=[colour], edgecolors="white", depthshade=False, zorder=5)
        length = f"{scale * trace.cable_length:.4g} {unit}"
        handles.append(Line2D([], [], color=colour, linewidth=2, label=f"{trace.id}  {length}"))
    if drawn:
        nodes = scale * np.concatenate([trace.nodes for trace in drawn])
        for name, axis in (("x", 2), ("y", 1), ("z", 0)):
            getattr(axes, f"set_{name}lim")(nodes[:, axis].min(), nodes[:, axis].max() + 1e-9)
            getattr(axes, f"set_{name}label")(f"{name} ({unit})")
            getattr(axes, f"{name}axis").set_major_locator(MaxNLocator(4))
        extent = np.ptp(nodes[:, ::-1], axis=0)
        axes.set_box_aspect(np.maximum(extent, 0.15 * max(1e-9, float(extent.max()))), zoom=0.95 if named else 1.2)
        if named:
            figure.legend(handles=handles, loc="center right", fontsize=8, frameon=False, title="object, cable")
    shown = f", the longest {len(drawn)} of them drawn" if len(drawn) < total else ""
    figure.text(0.5, 0.96, f"{total} traces{shown}", ha="center", fontsize=11)
    return _png(figure)
