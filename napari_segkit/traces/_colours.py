"""Which colour each neuron has: its own, or one that says a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_segkit.session.traces._columns import Column

__all__ = ["STATUS_COLOURS", "colours_of"]

Array = np.ndarray[Any, Any]

STATUS_COLOURS = {
    "": (0.55, 0.6, 0.7),
    "ok": (0.35, 0.8, 0.45),
    "split": (0.95, 0.6, 0.25),
    "merge": (0.9, 0.35, 0.4),
    "check": (0.95, 0.85, 0.3),
}


def colours_of(by: str, ids: Array, columns: Sequence[Column], statuses: Sequence[str]) -> Array:
    """Return a colour ``(N, 4)`` for each neuron.

    Parameters
    ----------
    by
        ``"neuron"``, ``"status"``, or the key of a column.
    ids
        The neurons.
    columns
        What is known of them.
    statuses
        The status of each.
    """
    if by == "status":
        return np.array([(*STATUS_COLOURS.get(status, (1, 1, 1)), 1.0) for status in statuses]).reshape(-1, 4)
    column = next((column for column in columns if column.key == by), None)
    if column is None or by == "id":
        # Of the id and not of the row, so that a neuron keeps its colour when others come and go. The product is that of
        # the golden ratio and wraps around, which puts neighbours far apart.
        return _bright((ids * np.uint64(11400714819323198485)) / 2.0**64)
    from napari.utils.colormaps import ensure_colormap

    values = np.asarray(column.values, np.float64)
    known = np.isfinite(values)
    if not known.any():
        return np.full((len(ids), 4), (0.5, 0.5, 0.5, 1.0))
    low, high = np.percentile(values[known], (2, 98))
    if low > 0 and high / low > 50:  # a few long ones among many short ones
        values, low, high = np.log(np.maximum(values, low)), np.log(low), np.log(high)
    part = np.clip((np.where(known, values, low) - low) / max(high - low, 1e-12), 0, 1)
    colours: Array = np.asarray(ensure_colormap("viridis").map(part), np.float64)
    colours[~known] = (0.5, 0.5, 0.5, 1.0)
    return colours


def _bright(hue: Array) -> Array:
    """Return colours ``(N, 4)`` of these hues that stand out from grey tissue and from black."""
    part = hue[:, None] * 6 + np.array([5.0, 3.0, 1.0])
    part = part % 6
    value = 1 - 0.72 * np.clip(np.minimum(part, 4 - part), 0, 1)
    return np.column_stack([value, np.ones(len(hue))])
