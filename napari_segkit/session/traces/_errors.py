"""Where a segmentation is wrong along true skeletons, as ``segkit evaluate --errors`` wrote it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import DataError

__all__ = ["TraceErrors", "evaluate_arguments", "read_errors"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class TraceErrors:
    """Errors, those that cost the most first.

    Parameters
    ----------
    kinds
        ``split``, ``merger`` or ``omission`` of each.
    positions
        Where each is ``(N, 3)``, in `unit`.
    lost
        Expected run length ``(N,)`` that mending it gives back, in `unit`.
    skeletons, segments
        Ids of the true neurons and of the segments concerned.
    unit
        ``"nm"`` or ``"voxel"``.
    """

    kinds: Sequence[str]
    positions: Array
    lost: Array
    skeletons: Sequence[tuple[int, ...]]
    segments: Sequence[tuple[int, ...]]
    unit: str

    def __len__(self) -> int:
        return len(self.kinds)


def read_errors(folder: Path) -> TraceErrors:
    """Return the errors that are in a folder.

    Raises
    ------
    DataError
        If there are none, or the table is damaged.
    """
    path = folder / "errors.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        header = rows[0]
        unit = header[1].removeprefix("z_")
        numbers = np.array([row[1:5] for row in rows[1:]], np.float64).reshape(-1, 4)
        ids = [[tuple(int(i) for i in cell.split()) for cell in row[6:8]] for row in rows[1:]]
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} cannot be read ({error}). Compare again.") from error
    return TraceErrors(
        [row[0] for row in rows[1:]], numbers[:, :3], numbers[:, 3], [a for a, _ in ids], [b for _, b in ids], unit
    )


def evaluate_arguments(segmentation: str, skeletons: str, errors: Path, trim: float) -> list[str]:
    """Return the command that compares a segmentation with true skeletons."""
    arguments = ["evaluate", segmentation, "--skeletons", skeletons, "--errors", str(errors)]
    return [*arguments, "--trim", f"{trim:g}"] if trim else arguments
