"""What is right and wrong along the skeletons of the truth: a map as PNG, and sections of a page."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from segkit.metrics import EDGE_KINDS, EXPLANATIONS
from segkit.report._page import Section
from segkit.tracing import TraceEvaluation

__all__ = ["draw_errors", "error_sections"]

Array = np.ndarray[Any, Any]

_COLOURS = {"correct": "#2f9e6e", "split": "#e08a00", "omitted": "#9a9a9a", "merged": "#c8283c"}
_MARKS = {"split": "D", "merger": "o", "omission": "s"}
_MARK_COLOURS = {"split": "#e08a00", "merger": "#c8283c", "omission": "#6f6f6f"}


def error_sections(evaluation: TraceEvaluation, *, worst: int = 12) -> list[Section]:
    """Return sections for `write_page`: the map of errors, the worst of them, and the scores along skeletons.

    Parameters
    ----------
    evaluation
        Outcome of `segkit.evaluate_traces`.
    worst
        How many errors are marked and listed.
    """
    unit = evaluation.unit
    errors: list[tuple[str | float | int, ...]] = [
        ("", "error", f"z, y, x ({unit})", f"run length lost ({unit})", f"cable ({unit})", "skeletons", "segments")
    ]
    for place, error in enumerate(evaluation.errors[:worst], 1):
        ids = (", ".join(map(str, ids)) for ids in (error.skeletons, error.segments))
        position = ", ".join(f"{value:.0f}" for value in error.position)
        errors.append((place, error.kind, position, error.lost, error.cable, *ids))
    scores: list[tuple[str | float | int, ...]] = [("score", "value", "better", "meaning")]
    for name, value in evaluation.scores.items():
        scores.append((name.replace("_", " "), value, EXPLANATIONS[name].better, EXPLANATIONS[name].meaning))
    return [
        Section(
            "Along the skeletons of the truth",
            "The errors that cost the most, and below them where they are.",
            draw_errors(evaluation, worst=worst),
            errors if evaluation.errors else (),
        ),
        Section("Scores along skeletons", f"Lengths are in {unit}.", rows=scores),
    ]


def draw_errors(evaluation: TraceEvaluation, *, worst: int = 12) -> bytes:
    """Draw skeletons by whether they were segmented right, flat and in three dimensions, and number the worst errors.

    Parameters
    ----------
    evaluation
        Outcome of `segkit.evaluate_traces`.
    worst
        How many errors are marked with their place in the list; all others are dots.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6.6), dpi=110)
    FigureCanvasAgg(figure)
    scale, unit = (1e-3, "µm") if evaluation.unit == "nm" else (1.0, "voxels")
    nodes = evaluation.runs.skeletons.nodes * scale
    extent = np.ptp(nodes, axis=0) if len(nodes) else np.ones(3)
    along = int(extent.argmin())
    down, across = (axis for axis in range(3) if axis != along)
    flat: Any = figure.add_axes((0.05, 0.14, 0.43, 0.76))
    _draw_flat(flat, evaluation, nodes, (across, down), scale, worst)
    flat.set_xlabel(f"{'zyx'[across]} ({unit})")
    flat.set_ylabel(f"{'zyx'[down]} ({unit})")
    flat.set_title(f"seen along {'zyx'[along]}", fontsize=10)
    solid: Any = figure.add_axes((0.49, 0.1, 0.47, 0.82), projection="3d")
    _draw_solid(solid, evaluation, nodes, extent, scale, unit, worst)
    scores = evaluation.scores
    figure.text(
        0.5,
        0.955,
        f"NERL {scores['nerl']:.3f}: expected run length {scores['erl'] * scale:.3g} of {scores['erl_perfect'] * scale:.3g} {unit}, "
        f"{scores['skeletons']:.0f} skeletons, {scores['cable'] * scale:.4g} {unit} of cable",
        ha="center",
        fontsize=12,
    )
    _draw_legend(figure, evaluation)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_flat(
    axes: Any, evaluation: TraceEvaluation, nodes: Array, plane: tuple[int, int], scale: float, worst: int
) -> None:
    from matplotlib.collections import LineCollection

    edges, kinds = evaluation.runs.skeletons.edges, evaluation.runs.kinds
    for kind, name in enumerate(EDGE_KINDS):
        lines = nodes[edges[kinds == kind]][:, :, plane]
        axes.add_collection(LineCollection(list(lines), colors=_COLOURS[name], linewidths=1.3))
    # The least first, so that marks of the worst lie on top; numbers keep clear of their marks.
    for place, error in reversed(list(enumerate(evaluation.errors))):
        x, y = (error.position[axis] * scale for axis in plane)
        marked = place < worst
        size = 60 if marked else 5
        colour = _MARK_COLOURS[error.kind]
        face = "white" if marked else colour
        axes.scatter(
            x, y, s=size, marker=_MARKS[error.kind], c=face, edgecolors=colour, linewidths=1.2, zorder=3 + marked
        )
        if marked:
            text = {"fontsize": 9, "weight": "bold", "color": colour, "zorder": 5}
            axes.annotate(str(place + 1), (x, y), xytext=(5, 5), textcoords="offset points", **text)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.invert_yaxis()  # as slices are shown


def _draw_solid(
    axes: Any, evaluation: TraceEvaluation, nodes: Array, extent: Array, scale: float, unit: str, worst: int
) -> None:
    from matplotlib.ticker import MaxNLocator
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    edges, kinds = evaluation.runs.skeletons.edges, evaluation.runs.kinds
    for kind, name in enumerate(EDGE_KINDS):
        lines = nodes[edges[kinds == kind]][:, :, ::-1]
        if len(lines):
            axes.add_collection3d(Line3DCollection(list(lines), colors=_COLOURS[name], linewidths=0.9))
    for place, error in enumerate(evaluation.errors[:worst]):
        z, y, x = (value * scale for value in error.position)
        colour = _MARK_COLOURS[error.kind]
        axes.scatter(
            x, y, z, s=45, marker=_MARKS[error.kind], c="white", edgecolors=colour, linewidths=1.2, depthshade=False
        )
        axes.text(x, y, z, f" {place + 1}", fontsize=9, weight="bold", color=colour)
    for name, axis in (("x", 2), ("y", 1), ("z", 0)):
        low, high = (nodes[:, axis].min(), nodes[:, axis].max()) if len(nodes) else (0, 1)
        getattr(axes, f"set_{name}lim")(low, high + 1e-9)
        getattr(axes, f"set_{name}label")(f"{name} ({unit})")
        getattr(axes, f"{name}axis").set_major_locator(MaxNLocator(4))
    axes.set_box_aspect(extent[::-1] + 1e-6 + 0.15 * extent.max(), zoom=1.0)


def _draw_legend(figure: Any, evaluation: TraceEvaluation) -> None:
    from matplotlib.lines import Line2D

    scores = evaluation.scores
    lines = [
        Line2D([], [], color=_COLOURS[name], linewidth=3, label=f"{name} {scores[f'{name}_share']:.1%}")
        for name in EDGE_KINDS
    ]
    counts = {kind: sum(error.kind == kind for error in evaluation.errors) for kind in _MARKS}
    marks = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=_MARKS[kind],
            markerfacecolor="white",
            color=_MARK_COLOURS[kind],
            label=f"{kind}: {count}",
        )
        for kind, count in counts.items()
    ]
    figure.legend(handles=[*lines, *marks], loc="lower center", ncol=7, frameon=False, fontsize=10)
