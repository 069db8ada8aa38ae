"""Traces for other programs: SWC files, neuroglancer's skeletons, a table, a graph or meshes. Knows no Qt."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_segkit.session.traces._columns import BOX, columns_of
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._review import Review
from segkit.durable import make_dirs, replace_file
from segkit.errors import DataError, OutputExistsError, UsageError
from segkit.geometry import Box
from segkit.tracing import write_precomputed, write_swc
from segkit.volume import Volume

__all__ = ["FORMATS", "Export"]

Format = Literal["swc", "forest", "precomputed", "csv", "json", "meshes"]
FORMATS: dict[Format, str] = {
    "swc": "SWC, one file each",
    "forest": "SWC, one file",
    "precomputed": "Neuroglancer skeletons",
    "csv": "Table (CSV)",
    "json": "Graph (JSON)",
    "meshes": "Meshes (PLY)",
}
MOST_SEARCHED = 2**28
_SUFFIXES = {"forest": ".swc", "csv": ".csv", "json": ".json"}


@dataclass(frozen=True, eq=False)
class Export:
    """What is exported, and how; called in a thread, it writes and returns where.

    Parameters
    ----------
    neurons
        The traces.
    rows
        Which of them.
    format
        What is written, a key of `FORMATS`.
    target
        The folder or file; one that holds something is not replaced.
    unit
        What lengths in SWC files are written in.
    review
        Status and notes, for tables; None leaves them out.
    segmentation
        What meshes are drawn of.
    """

    neurons: Neurons
    rows: Sequence[int]
    format: Format
    target: Path
    unit: Literal["nm", "um"] = "nm"
    review: Review | None = None
    segmentation: str = ""

    @staticmethod
    def suffix(format: Format) -> str:
        """Return the suffix of a file; empty where a folder is written."""
        return _SUFFIXES.get(format, "")

    def __call__(self) -> Path:
        """Write.

        Raises
        ------
        UsageError
            If nothing is chosen, or meshes are wanted without a segmentation.
        OutputExistsError
            If there is something at the target.
        DataError
            If the format needs a voxel size that is not known.
        StorageError
            If the disk refuses.
        """
        if not len(self.rows):
            raise UsageError("There is nothing to export: no trace is selected, or none passes the filter.")
        if self.target.is_file() or (self.target.is_dir() and any(self.target.iterdir())):
            raise OutputExistsError(f"{self.target} holds something already. Choose another name.")
        make_dirs(self.target.parent)
        write: dict[Format, Callable[[], None]] = {
            "swc": self._files,
            "forest": lambda: write_swc((self.neurons.trace(row) for row in self.rows), self.target, unit=self._unit),
            "precomputed": self._skeletons,
            "csv": self._table,
            "json": self._graph,
            "meshes": self._meshes,
        }
        write[self.format]()
        return self.target

    @property
    def _unit(self) -> Literal["nm", "um"] | None:
        return self.unit if self.neurons.unit == "nm" else None

    def _files(self) -> None:
        make_dirs(self.target)
        for row in self.rows:
            write_swc(self.neurons.trace(row), self.target / f"{int(self.neurons.ids[row])}.swc", unit=self._unit)

    def _skeletons(self) -> None:
        write_precomputed((self.neurons.trace(row) for row in self.rows), self.target)

    def _table(self) -> None:
        columns = columns_of(self.neurons)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(_plain(column.title) for column in columns), "status", "note"])
        for row in self.rows:
            id = int(self.neurons.ids[row])
            said = [self.review.status(id), self.review.note(id)] if self.review else ["", ""]
            writer.writerow([*(_cell(column.values[row]) for column in columns), *said])
        replace_file(self.target, text.getvalue().encode())

    def _graph(self) -> None:
        traces = []
        for row in self.rows:
            trace = self.neurons.trace(row)
            said = {"status": self.review.status(trace.id), "note": self.review.note(trace.id)} if self.review else {}
            traces.append(
                {
                    "id": trace.id,
                    **{key: value for key, value in said.items() if value},
                    "nodes_zyx": np.round(trace.nodes, 3).tolist(),
                    "radii": np.round(trace.radii, 3).tolist(),
                    "types": trace.types.tolist(),
                    "edges": trace.edges.tolist(),
                }
            )
        body = {"unit": self.neurons.unit, "traces": traces}
        replace_file(self.target, json.dumps(body, allow_nan=False).encode())

    def _meshes(self) -> None:
        from segkit.opening import open_volume
        from segkit.tracing import write_object_mesh

        if not self.segmentation:
            raise UsageError("Meshes are drawn of the segmentation. Choose the one that the traces were drawn of.")
        volume = open_volume(self.segmentation)
        for row in self.rows:
            id = int(self.neurons.ids[row])
            if (self.neurons.piece(row).origin != id).any():
                raise DataError(
                    f"Neuron {id} was merged or split, and the segmentation does not know that. Apply the edits to it and trace the "
                    "result, or leave the neuron out."
                )
            write_object_mesh(volume, id, self._box(row, volume), self.target / f"{id}.ply")

    def _box(self, row: int, volume: Volume) -> Box:
        """Return where an object lies: what the table says, or else everywhere."""
        ends = [self.neurons.known.get(name, np.full(len(self.neurons), np.nan))[row] for name in BOX]
        if np.isfinite(ends).all():
            found = Box.of_shape(
                [int(b - a) for a, b in zip(ends[:3], ends[3:], strict=True)], [int(a) for a in ends[:3]]
            )
            return found & volume.box or volume.box
        if math.prod(volume.spatial_shape) > MOST_SEARCHED:
            raise UsageError(
                f"Nothing says where object {int(self.neurons.ids[row])} lies, and {volume.source} is too large to search. Draw the "
                "meshes with 'segkit trace ... --also meshes'."
            )
        return volume.box


def _plain(title: str) -> str:
    return title.replace(" ", "_").replace("\N{MICRO SIGN}", "u").replace("\N{SUPERSCRIPT THREE}", "3")


def _cell(value: Any) -> str:
    if isinstance(value, np.integer):
        return str(int(value))
    return "" if np.isnan(value) else f"{value:.9g}"
