"""Traces in files, for ``segkit info`` and ``segkit convert``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.errors import DataError, OutputExistsError, UsageError

if TYPE_CHECKING:
    from segkit.tracing import Trace
    from segkit.volume import Spacing

__all__ = ["convert_traces", "describe_traces", "holds_traces", "rows_of_traces"]

_IDS = "#ids="


def holds_traces(source: str) -> bool:
    """Return whether a source is an SWC file, a folder with such files, or a folder or URL of precomputed skeletons."""
    path = Path(source)
    if path.suffix.lower() == ".swc" or (path.is_dir() and any(path.glob("*.swc"))):
        return True
    place = source.partition(_IDS)[0]
    if "://" not in place and not (Path(place) / "info").is_file():
        return False
    if any(mark in place for mark in (".zarr", ".n5", "zarr://", "n5://")):
        return False
    from segkit.tracing import is_precomputed

    return is_precomputed(place)


def _read(source: str, scale: Spacing | None) -> Iterator[Trace]:
    from segkit.tracing import read_precomputed, read_swc

    path = Path(source)
    files = sorted(path.glob("*.swc")) if path.is_dir() else [path] if path.suffix.lower() == ".swc" else []
    for file in files:
        yield from read_swc(file, scale=1.0 if scale is None else scale)
    if not files:
        if scale is not None:
            raise UsageError(f"--voxel-size is for SWC files, and {source} is in nm already. Leave it out.")
        place, _, ids = source.partition(_IDS)
        if not all(part.strip().isdecimal() for part in ids.split(",") if ids):
            raise UsageError(f"The ids {ids!r} cannot be read. Write numbers with commas between them: {_IDS}17,18.")
        yield from read_precomputed(place, [int(part) for part in ids.split(",")] if ids else None)


def convert_traces(source: str, target: Path, scale: Spacing | None, *, overwrite: bool) -> None:
    """Write SWC files as precomputed skeletons, or precomputed skeletons as SWC files, and say what was written."""
    from segkit.tracing import is_precomputed, write_precomputed, write_swc

    found: list[tuple[int, int, float]] = []

    def noted() -> Iterator[Trace]:
        for trace in _read(source, scale):
            found.append((trace.id, trace.components, trace.cable_length))
            yield trace

    if is_precomputed(source.partition(_IDS)[0]):
        if target.is_dir() and any(target.iterdir()) and not overwrite:
            raise OutputExistsError(f"{target} holds something already. Choose another folder, or add '--overwrite'.")
        from segkit.durable import make_dirs

        make_dirs(target)
        for trace in noted():
            write_swc(trace, target / f"{trace.id}.swc")
    else:
        write_precomputed(noted(), target, overwrite=overwrite)
    length = sum(length for _, _, length in found)
    click.echo(f"{target}: {len(found)} traces, {length / 1000:.6g} um of cable in all")
    _note_pieces((id, pieces) for id, pieces, _ in found)


def _note_pieces(traces: Iterable[tuple[int, int]]) -> None:
    """Say which traces, given as id and number of pieces, are not connected."""
    apart = [f"{id} ({pieces} pieces)" for id, pieces in traces if pieces > 1]
    if apart:
        more = f" and {len(apart) - 10} more" if len(apart) > 10 else ""
        click.echo(f"note: not connected, each piece with a root of its own: {', '.join(apart[:10])}{more}", err=True)


def describe_traces(source: str) -> dict[str, Any]:
    """Return what ``segkit info`` says of traces; lengths as the files have them, in nm where they say no unit."""
    traces = list(_read(source, None))
    if not traces:
        raise DataError(f"{source} holds no traces. Give another folder or file.")
    apart = {str(trace.id): trace.components for trace in traces if trace.components > 1}
    units = sorted({trace.unit for trace in traces})
    return {
        "kind": "traces",
        "source": source,
        "traces": len(traces),
        "nodes": sum(len(trace.nodes) for trace in traces),
        "branches": sum(trace.branches for trace in traces),
        "tips": sum(trace.tips for trace in traces),
        "pieces": sum(trace.components for trace in traces),
        "in_several_pieces": apart,
        "somata": sum(trace.soma is not None for trace in traces),
        "cable_length": f"{sum(trace.cable_length for trace in traces):.9g} {' and '.join(units)}",
    }


def rows_of_traces(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a card shows of `describe_traces`."""
    apart = ", ".join(f"{id} ({pieces} pieces)" for id, pieces in found["in_several_pieces"].items())
    shown = ("traces", "nodes", "branches", "tips", "pieces", "somata", "cable_length")
    rows = [(name.replace("_", " "), str(found[name])) for name in shown]
    return rows + ([("not connected", f"{apart}; each piece has a root of its own")] if apart else [])
