"""What is measured of a trace, and the table of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["measures", "table"]


def measures(trace: Trace) -> dict[str, Any]:
    """Measure a trace, in its unit; everything can be said in JSON."""
    tortuosity = trace.tortuosity
    soma = trace.soma
    return {
        "length": trace.cable_length,
        "branches": trace.branches,
        "tips": trace.tips,
        "strahler": trace.strahler,
        "tortuosity": tortuosity if math.isfinite(tortuosity) else None,
        "radius": float(trace.radii.mean()) if len(trace.radii) else 0.0,
        "thickest": float(trace.radii.max(initial=0.0)),
        "pieces": trace.components,
        "soma": None if soma is None else [float(trace.radii[soma]), *trace.nodes[soma].tolist()],
    }


def table(rows: Sequence[tuple[int, Mapping[str, Any]]], volume: Volume) -> str:
    """Return the table of some objects as CSV.

    Parameters
    ----------
    rows
        The id of each, and its `measures` with ``voxels`` and ``box``.
    volume
        The segmentation; lengths are in um where its voxel size is known, else in voxels.
    """
    nm = volume.unit == "nm"
    unit, scale = ("um", 1e-3) if nm else ("voxel", 1.0)
    voxel = math.prod(volume.voxel_size) * scale**3
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["id", f"cable_length_{unit}", "branches", "tips", "strahler_order", "tortuosity"]
    header += [f"mean_radius_{unit}", f"max_radius_{unit}", "pieces"]
    header += ["soma", *(f"soma_{what}_{unit}" for what in ("radius", "z", "y", "x")), "voxels"]
    header += ["volume_um3"] if nm else []
    header += [f"{axis}_{end}_voxel" for end in ("start", "stop") for axis in "zyx"]
    writer.writerow(header)
    for id, row in rows:
        length, radius, thickest = (f"{row[key] * scale:.6g}" for key in ("length", "radius", "thickest"))
        tortuosity = "" if row["tortuosity"] is None else f"{row['tortuosity']:.6g}"
        soma = ["no", "", "", "", ""]
        if row["soma"] is not None:
            soma = ["yes", *(f"{value * scale:.9g}" for value in row["soma"])]
        cells = [id, length, row["branches"], row["tips"], row["strahler"], tortuosity, radius, thickest, row["pieces"]]
        volume_um3 = [f"{row['voxels'] * voxel:.6g}"] if nm else []
        writer.writerow([*cells, *soma, row["voxels"], *volume_um3, *row["box"]])
    return text.getvalue()
