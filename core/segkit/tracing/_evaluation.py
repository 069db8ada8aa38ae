"""`evaluate_traces`: compare a segmentation of any size with skeletons of the truth, and say where it is wrong."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit.durable import replace_file
from segkit.errors import DataError, UsageError
from segkit.geometry import Box
from segkit.metrics import RunLength, Skeletons, TraceError, locate_errors
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.tracing._places import inside, segments_at
from segkit.tracing._survey import check_segmentation
from segkit.tracing._swc import read_swc
from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["TraceEvaluation", "evaluate_traces", "read_traces"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class TraceEvaluation:
    """The outcome of a comparison with skeletons.

    Parameters
    ----------
    scores
        Value of each score; NaN for one that is not defined. `segkit.metrics.EXPLANATIONS` says what they mean.
    errors
        Splits, mergers and omissions, those that cost the most first.
    runs
        The skeletons, and what each of their edges is.
    unit
        Of lengths and positions, ``"nm"`` or ``"voxel"``.
    outside
        Number of nodes that lie outside and were left out, with the edges that lead there.
    settings
        What was compared, and how.
    """

    scores: Mapping[str, float]
    errors: Sequence[TraceError]
    runs: RunLength
    unit: Literal["nm", "voxel"]
    outside: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """Number of nodes that counted."""
        return len(self.runs.skeletons.nodes)

    def as_dict(self) -> dict[str, Any]:
        """Return the scores and settings as plain values that JSON can say; a score that is not defined is None."""
        scores = {name: value if math.isfinite(value) else None for name, value in self.scores.items()}
        counted = {"nodes": self.nodes, "outside": self.outside, "unit": self.unit}
        return {"scores": scores, **counted, "settings": dict(self.settings)}

    def write_errors(self, path: str | Path) -> None:
        """Write a table of the errors, CSV, those that cost the most first.

        Its columns are those of `segkit.metrics.TraceError`; several ids stand in one cell with spaces between.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        lengths = [f"{name}_{self.unit}" for name in ("z", "y", "x", "lost", "cable")]
        writer.writerow(["kind", *lengths, "skeletons", "segments"])
        for error in self.errors:
            numbers = [f"{value:.6g}" for value in (*error.position, error.lost, error.cable)]
            writer.writerow(
                [error.kind, *numbers, *(" ".join(map(str, ids)) for ids in (error.skeletons, error.segments))]
            )
        replace_file(Path(path), text.getvalue().encode())


def read_traces(source: str | Path, *, scale: float = 1.0) -> list[Trace]:
    """Read all traces of a folder of SWC files, or of one such file.

    Parameters
    ----------
    source
        The folder or file.
    scale
        What one unit of the files is, in nm; used where a file does not say it.

    Raises
    ------
    DataError
        If there is nothing, or a file is not SWC.
    """
    path = Path(source)
    if not path.is_dir():
        return read_swc(path, scale=scale)
    files = sorted((file for file in path.iterdir() if file.suffix.lower() == ".swc"), key=_by_number)
    if not files:
        raise DataError(f"There is no SWC file in {path}. Name a folder that 'segkit trace' wrote, or an SWC file.")
    return [trace for file in files for trace in read_swc(file, scale=scale)]


def _by_number(file: Path) -> tuple[int, str]:
    return (int(file.stem) if file.stem.isdecimal() else -1, file.name)


def evaluate_traces(
    segmentation: str | Path | Volume | Array,
    skeletons: str | Path | Sequence[Trace],
    *,
    merge_nodes: int = 0,
    trim: float = 0.0,
    scale: float = 1.0,
    region: str = "",
    workers: int | None = None,
    progress: Progress = silent,
) -> TraceEvaluation:
    """Compare a segmentation with skeletons of the truth: expected run length, splits, mergers and omissions.

    Of the segmentation only the blocks that nodes lie in are read, one for each thread at a time, so that it may have any
    size.

    Parameters
    ----------
    segmentation
        Integer ids ``(z, y, x)``, or anything that `segkit.open_volume` takes; 0 is no segment.
    skeletons
        Skeletons of the truth: a folder of SWC files, one such file, or traces. Each is a neuron of its own; if two have the
        same id, all are numbered from 1 in their order.
    merge_nodes
        How many nodes of a skeleton must lie in a segment before the segment counts as touching it; 0 and 1 mean a single
        one, as it was published. More forgives grazes, and reads higher.
    trim
        Ends of skeletons are cut back to where their radius is at least this, in their unit. A skeleton drawn from labels
        ends at the surface of its object, where a segmentation that is one voxel off already counts as a merger; about two
        voxels are enough. What is thinner throughout is left out. 0 keeps all.
    scale
        What one unit of the SWC files is, in nm; used where a file does not say it.
    region
        Part of the segmentation, such as ``"z0:100"``; empty for all of it. Nodes elsewhere are left out.
    workers
        How many threads read; None takes up to 4.
    progress
        Called with the blocks read and the blocks in all.

    Returns
    -------
    TraceEvaluation
        Scores, and the errors with their places.

    Raises
    ------
    DataError
        If the segmentation does not hold ids, units differ, or no node lies inside.
    UsageError
        If `region`, `merge_nodes` or `trim` make no sense.

    Examples
    --------
    >>> import numpy as np, segkit
    >>> labels = np.zeros((9, 9, 40), np.uint64)
    >>> labels[3:6, 3:6, 2:38] = 7
    >>> skeletons = segkit.trace(labels, "skeleton")
    >>> labels[:, :, 20:] *= 2
    >>> len(segkit.evaluate_traces(labels, skeletons).errors)
    1
    """
    volume = open_volume(segmentation)
    check_segmentation(volume)
    if region.strip():
        volume = volume.crop(Box.parse(region, volume.box))
    traces = read_traces(skeletons, scale=scale) if isinstance(skeletons, (str, Path)) else list(skeletons)
    if not trim >= 0:
        raise UsageError(f"`trim` is {trim}; it takes a radius of 0 or more.")
    flat, names = _flat([_trimmed(trace, trim) for trace in traces], volume)
    within = inside(volume, flat.nodes)
    if not within.any():
        low, high = flat.nodes.min(axis=0), flat.nodes.max(axis=0)
        raise DataError(
            f"None of the {len(flat.nodes)} nodes of the skeletons lies in {volume.source}: they span {_span(low, high)} {volume.unit} "
            f"(z, y, x), and it spans {_span(*_extent(volume))}. Check its voxel size and offset, and the unit of the SWC files "
            "('scale')."
        )
    counted = flat.without(~within)
    segments = segments_at(volume, counted.nodes, workers=workers, progress=progress)
    runs = RunLength(counted, segments, merge_nodes)
    errors = [replace(e, skeletons=tuple(names[owner] for owner in e.skeletons)) for e in locate_errors(runs)]
    settings = {
        "segmentation": volume.source,
        "skeletons": str(skeletons) if isinstance(skeletons, (str, Path)) else "traces",
        "merge_nodes": merge_nodes,
        "trim": trim,
        "region": region.strip(),
    }
    return TraceEvaluation(runs.scores(volume.unit), errors, runs, volume.unit, int((~within).sum()), settings)


def _trimmed(trace: Trace, least: float) -> Trace:
    """Return a trace without the ends that are thinner than `least`."""
    while least:
        thin = (trace.degrees <= 1) & (trace.radii < least)
        if not thin.any():
            break
        trace = trace.kept(~thin)
    return trace


def _flat(traces: Sequence[Trace], volume: Volume) -> tuple[Skeletons, list[int]]:
    """Return traces as flat arrays, and the id of each."""
    if not any(len(trace.nodes) for trace in traces):
        raise DataError(
            "There are no skeletons to compare with: none has a node that is left. Trace the ground truth first, or trim less."
        )
    for trace in traces:
        if trace.unit != volume.unit:
            raise DataError(
                f"The skeletons are in {trace.unit}, and {volume.source} is in {volume.unit}. Open the one in voxels with its "
                "'voxel_size', in nm, so that both are in the same unit."
            )
    starts = np.cumsum([0, *(len(trace.nodes) for trace in traces)])
    edges = [trace.edges + start for trace, start in zip(traces, starts, strict=False)]
    owners = np.repeat(np.arange(len(traces)), np.diff(starts))
    names = [trace.id for trace in traces]
    if len(set(names)) < len(names):
        names = list(range(1, len(names) + 1))
    return Skeletons(np.concatenate([trace.nodes for trace in traces]), np.concatenate(edges), owners), names


def _extent(volume: Volume) -> tuple[Array, Array]:
    low = np.array(volume.offset)
    return low, low + (np.array(volume.spatial_shape) - 1) * np.array(volume.voxel_size)


def _span(low: Array, high: Array) -> str:
    return ", ".join(f"{a:g}..{b:g}" for a, b in zip(low, high, strict=True))
