"""A picture of a range test."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.durable import replace_file

if TYPE_CHECKING:
    from segkit.planning._range import RangeTest

__all__ = ["draw_range"]


def draw_range(test: RangeTest, path: Path) -> None:
    """Draw losses over rates, with the suggestion and where the loss rose, and write the picture as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    axes.plot(test.rates, test.losses, ".", color="#9a9a9a", markersize=4, label="loss of a step")
    axes.plot(test.rates, test.smoothed, color="#0b7285", linewidth=2, label="smoothed")
    axes.axvline(
        test.suggestion, color="#2f9e6e", linewidth=2, linestyle="--", label=f"suggested: {test.suggestion:.0e}"
    )
    if test.diverged is not None:
        axes.axvline(test.diverged, color="#c8283c", linewidth=1.5, label=f"rises again: {test.diverged:.0e}")
    axes.set_xscale("log")
    low, high = min(test.losses), max(max(test.smoothed), sorted(test.losses)[int(0.97 * (len(test.losses) - 1))])
    axes.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low) + 1e-9)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    replace_file(path, picture.getvalue())
