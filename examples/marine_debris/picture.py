"""Scenes in colours that people see, their labels, and what was found, side by side."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import segkit

Array = np.ndarray[Any, Any]

# A colour for each class that can be told from those it is often taken for.
COLOURS = [
    "#e6194b",
    "#3cb44b",
    "#aaffc3",
    "#808000",
    "#f58231",
    "#d9d9d9",
    "#0b3c8c",
    "#c49a6c",
    "#f032e6",
    "#469990",
    "#42d4f4",
    "#4363d8",
    "#404040",
    "#fabed4",
    "#9a6324",
]


def rgb(raw: Array) -> Array:
    """Return bands 4, 3 and 2 of ``(11, 1, Y, X)`` as ``(Y, X, 3)`` in 0..1, between their darkest and brightest percents."""
    bands = np.moveaxis(np.nan_to_num(raw[[3, 2, 1], 0]), 0, -1)
    low, high = np.percentile(bands, [1, 99])
    return np.asarray(((bands - low) / max(high - low, 1e-6)).clip(0, 1) ** 0.7)


def draw_scenes(
    samples: Sequence[segkit.Sample],
    found: Mapping[str, Callable[[segkit.Sample], Array]],
    names: Mapping[int, str],
    count: int = 4,
) -> bytes:
    """Draw those images in which most classes are labelled, each of another day while there are days, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    ids = list(names)
    colours = np.ones((max(ids) + 1, 3))
    colours[ids] = [to_rgb(colour) for colour in COLOURS[: len(ids)]]
    labels = {sample.name: sample.labels.read()[0, ...] for sample in samples if sample.labels is not None}
    rich = sorted(samples, key=lambda s: -len(np.unique(labels[s.name])))
    days = {s.name.split("_")[1]: s for s in reversed(rich)}
    chosen = [*days.values(), *(s for s in rich if s not in days.values())][:count]
    figure = Figure(figsize=(2.6 * (2 + len(found)), 2.75 * len(chosen) + 0.8), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(chosen), 2 + len(found), squeeze=False)
    seen: set[int] = set()
    for row, sample in zip(panels, chosen, strict=True):
        known = labels[sample.name].reshape(sample.raw.spatial_shape[1:])
        maps = {way: call(sample) for way, call in found.items()}
        seen |= set(np.unique(known)) | {int(i) for each in maps.values() for i in np.unique(each)}
        marked = rgb(sample.raw.read()) * 0.35
        marked[known != 0] = colours[known[known != 0]]
        pictures = {sample.name.removesuffix(".tif"): rgb(sample.raw.read()), "labels": marked}
        pictures |= {way: colours[each] for way, each in maps.items()}
        for axes, (title, picture) in zip(row, pictures.items(), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
    handles = [Patch(color=colours[i], label=names[i]) for i in ids if i in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()
