"""Draws what score.py found: pictures.py FOLDER, which holds test.csv and gets depths.png, points.png and curves.png."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from score import TEST_DRAW, bounds, dataset_of, points, vectors

import segkit
from segkit.report import estimate
from segkit.training import Run

Row = dict[str, str]
# After Okabe and Ito (2008), told apart by the colour-blind.
SCHEMES = {
    ("kaiming", "none"): ("Kaiming", "#d55e00", "o"),
    ("rezero", "none"): ("ReZero", "#0072b2", "s"),
    ("fixup", "none"): ("Fixup", "#009e73", "D"),
    ("kaiming", "batch"): ("Kaiming, batch norm", "#cc79a7", "v"),
    ("kaiming", "layer"): ("Kaiming, layer norm", "#e69f00", "^"),
}
DEPTH = "16"


def scheme_of(row: Row) -> tuple[str, str]:
    return row["initializer"], row["normalization"]


def figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Sequence[Axes]]:
    drawn = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn, drawn.subplots(1, columns, squeeze=False)[0]


def lines(axes: Axes, limits: dict[str, float]) -> None:
    """Draw what needs no network."""
    for name, aside in (("doing nothing", 3), ("linear", -10), ("best possible", 3)):
        axes.axhline(limits[name], color="0.45", linewidth=1, linestyle="--", zorder=0)
        axes.annotate(
            name,
            (1, limits[name]),
            (-4, aside),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="0.3",
        )


def draw_depths(rows: list[Row], limits: dict[str, float], target: Path) -> None:
    drawn, (axes,) = figure(7.4, 4.6)
    lines(axes, limits)
    for number, (scheme, (name, colour, marker)) in enumerate(SCHEMES.items()):
        chosen = [row for row in rows if scheme_of(row) == scheme]
        aside = 1.03 ** (number - 2)  # so that intervals do not cover each other
        places, means = [], []
        for depth in sorted({int(row["depth"]) for row in chosen}):
            # Of logarithms, as they are drawn: the losses of one configuration can differ by a factor.
            mean = estimate([float(np.log(float(row["test"]))) for row in chosen if int(row["depth"]) == depth])
            assert mean is not None
            places.append(depth * aside)
            means.append(np.exp(mean.mean))
            if mean.low is not None and mean.high is not None:
                axes.plot(2 * [depth * aside], np.exp([mean.low, mean.high]), color=colour, linewidth=1.2)
        axes.plot(places, means, marker, ls="-", color=colour, label=name)
        for row in chosen:
            axes.plot(int(row["depth"]) * aside, float(row["test"]), ".", color=colour, alpha=0.5)
    axes.set(xscale="log", yscale="log", xlabel="residual blocks", ylabel="mean squared error on the test points")
    axes.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"], minor=False)
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=9)
    drawn.savefig(target)


def draw_points(rows: list[Row], target: Path) -> None:
    """Draw two of the coordinates of the same 600 test points."""
    chosen = {scheme_of(row): row for row in rows if row["depth"] == DEPTH and row["seed"] == "0"}
    shown = [scheme for scheme in SCHEMES if scheme in chosen and scheme[1] == "none"]
    recipe = Run(Path(chosen[shown[0]]["run"])).recipe
    test = points(dataset_of(recipe), points=600, draw=TEST_DRAW)
    clean = vectors(test.labels)
    panels = [("noisy", vectors(test.raw), "0.4")]
    for scheme in shown:
        found = segkit.Model.load(chosen[scheme]["run"], device="cpu")(test.raw)
        panels.append((SCHEMES[scheme][0], vectors(found), SCHEMES[scheme][1]))
    drawn, axes = figure(3.1 * len(panels), 3.4, len(panels))
    path = vectors(points(dataset_of(recipe), points=20_000, noise=0.0, draw=TEST_DRAW + 1).labels)
    for panel, (name, found, colour) in zip(axes, panels):
        panel.plot(path[:, 0], path[:, 1], ",", color="0.8", zorder=0)
        panel.plot(found[:, 0], found[:, 1], ".", color=colour, markersize=3)
        panel.set_title(f"{name}: error {np.square(found - clean).mean():.5f}", fontsize=10)
        panel.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), xticks=[], yticks=[], aspect="equal")
    drawn.savefig(target)


def draw_curves(rows: list[Row], limits: dict[str, float], target: Path) -> None:
    drawn, (axes,) = figure(7.4, 4.2)
    lines(axes, limits)
    labelled = set()
    for row in rows:
        if row["depth"] == DEPTH:
            name, colour, _ = SCHEMES[scheme_of(row)]
            steps = Run(Path(row["run"])).state().rows
            losses = np.array([steps[step]["loss"] for step in sorted(steps)])
            smooth = np.exp(np.convolve(np.log(losses), np.full(15, 1 / 15), "valid"))
            axes.plot(
                sorted(steps)[7 : 7 + len(smooth)],
                smooth,
                color=colour,
                linewidth=1,
                label=None if name in labelled else name,
            )
            labelled.add(name)
    axes.set(yscale="log", xlabel="step", ylabel="training loss (geometric mean of 15 steps)")
    axes.legend(frameon=False, fontsize=9)
    drawn.savefig(target)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with (folder / "test.csv").open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row["sweep"] in ("depths", "normalized")]
    limits = bounds(dataset_of(Run(Path(found[0]["run"])).recipe))
    draw_depths(found, limits, folder / "depths.png")
    draw_points(found, folder / "points.png")
    draw_curves(found, limits, folder / "curves.png")
