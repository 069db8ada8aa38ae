"""The confusion matrix as a picture."""

from __future__ import annotations

import io

import numpy as np

from segkit.metrics import Confusion

__all__ = ["draw_confusion"]


def draw_confusion(confusion: Confusion) -> bytes:
    """Draw which class is taken for which: each row adds up to 100 %, and says how many voxels it stands for.

    Classes that are not labelled anywhere have no row, only columns where they were found.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = np.flatnonzero(confusion.present)
    columns = np.flatnonzero(confusion.present | (confusion.counts.sum(0) > 0))
    counts = confusion.counts[np.ix_(rows, columns)]
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    figure = Figure(figsize=(3.2 + 0.42 * len(columns), 2.6 + 0.34 * len(rows)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        text = "<1" if share < 0.01 else f"{100 * share:.0f}"
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    named = [f"{confusion.names[row]} ({total:,})" for row, total in zip(rows, counts.sum(1).tolist(), strict=True)]
    axes.set_yticks(range(len(rows)), named, fontsize=8)
    axes.set_xticks(range(len(columns)), [confusion.names[column] for column in columns], fontsize=8, rotation=90)
    axes.set_xlabel("found, % of the row")
    axes.set_ylabel("labelled (voxels)")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
