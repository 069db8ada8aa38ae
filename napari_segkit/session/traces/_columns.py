"""What is said of each trace in a table: columns of numbers, with titles and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_segkit.session.traces._neurons import Neurons

__all__ = ["BOX", "Column", "columns_of", "read_table", "spaced"]

Array = np.ndarray[Any, Any]

FROM_TABLE = {
    "strahler_order": ("Strahler", "Highest Strahler order", 0),
    "tortuosity": ("tortuosity", "Length along the longest path over the straight line between its ends", 2),
    "voxels": ("voxels", "Voxels of the object", 0),
    "volume_um3": ("volume \N{MICRO SIGN}m\N{SUPERSCRIPT THREE}", "Volume of the object", 3),
    "soma": ("soma", "1 where the trace has a soma", 0),
}
BOX = tuple(f"{axis}_{end}_voxel" for end in ("start", "stop") for axis in "zyx")
"""Columns of a table that say where the object lies; they are kept, and not shown."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Parameters
    ----------
    key
        Name that never changes.
    title
        Heading, with the unit.
    help
        What it says, for a tooltip.
    values
        One number a row; NaN where it is not known.
    digits
        Decimals that are shown.
    shown
        Whether it is shown before anybody chose.
    """

    key: str
    title: str
    help: str
    values: Array
    digits: int = 0
    shown: bool = False


def columns_of(neurons: Neurons) -> list[Column]:
    """Return the columns of a set of traces; lengths in µm, or in voxels where their size is not known."""
    count, owners = len(neurons), neurons.edge_owners
    unit, scale = ("\N{MICRO SIGN}m", 1e-3) if neurons.unit == "nm" else ("voxels", 1.0)
    ends = neurons.nodes[neurons.edges]
    cable = np.bincount(owners, np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), count) * scale
    degrees = np.bincount(neurons.edges.ravel(), minlength=len(neurons.nodes))
    nodes = np.diff(neurons.node_starts)

    def number(of: Array) -> Array:
        return np.bincount(neurons.node_owners[of], minlength=count)

    starts = neurons.node_starts[:-1]
    mean = np.add.reduceat(neurons.radii, starts) / nodes * scale if count else np.zeros(0)
    most = np.maximum.reduceat(neurons.radii, starts) * scale if count else np.zeros(0)
    low, high = neurons.boxes
    found = [
        Column("id", "id", "The object in the segmentation", neurons.ids, 0, True),
        Column("cable", f"cable {unit}", "Length of all edges together", cable, 1, True),
        Column("branches", "branch", "Nodes with three edges or more", number(degrees > 2), 0, True),
        Column("tips", "tips", "Nodes with one edge", number(degrees == 1), 0, True),
        Column("nodes", "nodes", "Nodes of the trace", nodes, 0),
        Column("pieces", "pieces", "Parts that are not connected", nodes - np.diff(neurons.edge_starts), 0),
        Column("mean_radius", f"mean radius {unit}", "Mean distance from the nodes to the surface", mean, 3),
        Column("max_radius", f"max radius {unit}", "Largest distance from a node to the surface", most, 3),
    ]
    for axis, name in enumerate("zyx"):
        size = (high - low)[:, axis] * scale
        found.append(Column(f"size_{name}", f"{name} extent {unit}", f"Extent of the trace along {name}", size, 1))
    for key, (title, help, digits) in FROM_TABLE.items():
        if key in neurons.known:
            found.append(Column(key, title, help, neurons.known[key], digits))
    return found


def spaced(value: float, digits: int = 0) -> str:
    """Return a number for people, with narrow spaces between thousands."""
    return f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def read_table(path: Path) -> Mapping[str, Mapping[int, float]]:
    """Return what ``table.csv`` says beside what follows from the nodes, by column and id; nothing where there is none."""
    import csv

    if not path.is_file():
        return {}
    found: dict[str, dict[int, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for key in (*FROM_TABLE, *BOX):
                if key in row and str(row.get("id", "")).isdecimal():
                    found.setdefault(key, {})[int(row["id"])] = _number(row[key])
    return found


def _number(text: str) -> float:
    if text in ("yes", "no"):
        return float(text == "yes")
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
