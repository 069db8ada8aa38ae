"""Run folders as the viewer sees them: what is in them, and the wish for a preview that is left there.

The trainer and the viewer share nothing but this folder. The viewer replaces ``preview/request.json`` when the user has
settled on a slice; the trainer predicts that region between two steps, writes it to a file beside that and says so in its
journal. What the trainer understands is told in `segkit.training`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_segkit.session._writing import writer
from segkit.durable import replace_file
from segkit.errors import DataError
from segkit.geometry import Box

__all__ = [
    "RunContents",
    "ask_for_patch",
    "ask_to_stop",
    "contents_of",
    "is_run",
    "read_patch",
    "read_preview",
    "runs_in",
    "write_request",
]


def is_run(path: Path) -> bool:
    """Return whether `path` is the folder of a run."""
    return (path / "run.json").is_file()


def runs_in(folder: Path) -> list[Path]:
    """Return the run folders directly in `folder`, the latest first."""
    if not folder.is_dir():
        return []
    found = [(run.stat().st_mtime, run) for run in folder.iterdir() if is_run(run)]
    return [run for _, run in sorted(found, reverse=True)]


@dataclass(frozen=True)
class RunContents:
    """What a run folder holds for looking at.

    Parameters
    ----------
    raw, labels
        Sources of the training data; empty where the recipe names no files.
    predictions, segmentations, traces
        Results beside the run's own files.
    """

    raw: str = ""
    labels: str = ""
    predictions: tuple[Path, ...] = ()
    segmentations: tuple[Path, ...] = ()
    traces: tuple[Path, ...] = field(default=())


def contents_of(run: Path) -> RunContents:
    """Look into a run folder, without reading any voxels.

    Raises
    ------
    DataError
        If its recipe cannot be read.
    """
    if not is_run(run):
        raise DataError(
            f"{run} is not the folder of a run: it has no run.json. Choose a folder that 'segkit train' made."
        )
    dataset: Mapping[str, Any] = {}
    recipe = run / "recipe.toml"
    if recipe.is_file():
        try:
            dataset = tomllib.loads(recipe.read_text(encoding="utf-8")).get("dataset", {})
        except ValueError as error:
            raise DataError(f"{recipe} cannot be read: {error}. Correct that place, or copy the run again.") from error
    stores = sorted(path for path in run.iterdir() if path.suffix == ".zarr")
    swc = sorted(path for path in [*run.glob("*.swc"), *run.glob("traces*")] if path.suffix == ".swc" or path.is_dir())
    return RunContents(
        raw=_source(dataset.get("raw")),
        labels=_source(dataset.get("labels")),
        predictions=tuple(path for path in stores if path.name.startswith("prediction")),
        segmentations=tuple(path for path in stores if path.name.startswith("segmentation")),
        traces=tuple(swc),
    )


def _source(value: Any) -> str:
    """Return the first location of an option that may hold one or several."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) and first not in ("", "none") else ""


def write_request(run: Path, source: str, box: Box, request: str, *, every: int = 1, now: bool = False) -> None:
    """Ask the trainer of a run for a preview of a region, in place of what was asked before.

    Parameters
    ----------
    run
        Folder of the run.
    source
        What `segkit.open_volume` takes.
    box
        The region, in voxels of the source.
    request
        A name for this request, which the answer repeats.
    every
        Steps after which it is answered again.
    now
        Whether to answer at once, whatever it costs.
    """
    body = {"request": request, "source": source, "start": list(box.start), "shape": list(box.shape), "every": every}
    _wish(run, "request", body | ({"now": True} if now else {}))


def ask_for_patch(run: Path, request: str) -> None:
    """Ask the trainer of a run to show one training patch."""
    _wish(run, "patch", {"request": request})


def _wish(run: Path, name: str, body: dict[str, Any]) -> None:
    folder = run / "preview"
    folder.mkdir(parents=True, exist_ok=True)
    writer.replace(folder / f"{name}.json", json.dumps(body).encode())


def ask_to_stop(run: Path) -> None:
    """Ask whoever trains a run, on whatever computer, to save everything and end; it looks about once a second.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    replace_file(run / "stop", b"", flush=False)


def read_patch(run: Path, record: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]] | None:
    """Return ``image``, ``target``, ``output`` and ``mask`` of what a ``patch`` record announces; None if it is gone."""
    path = Path(str(record["path"]))
    try:
        with np.load(path if path.is_absolute() else run / path, allow_pickle=False) as parts:
            return {name: parts[name] for name in ("image", "target", "output", "mask")}
    except (OSError, ValueError, EOFError, KeyError):
        return None


def read_preview(run: Path, record: Mapping[str, Any]) -> tuple[Box, np.ndarray[Any, np.dtype[np.uint8]]] | None:
    """Return the region and the prediction that a ``preview`` record announces.

    Returns
    -------
    tuple or None
        The region and ``(K, Z, Y, X)`` uint8, 255 for 1; None where a newer one has replaced it already.
    """
    path = Path(str(record.get("path", "preview/prediction.npy")))
    box = Box.of_shape(record["shape"], record["start"])
    try:
        voxels = np.load(path if path.is_absolute() else run / path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if voxels.ndim != 4 or voxels.shape[1:] != box.shape or voxels.dtype != np.uint8:
        return None
    return box, voxels
