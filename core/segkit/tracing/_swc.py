"""SWC files: the format in which neuron skeletons are exchanged (Cannon et al. 1998).

A line is a node: number, type, x, y, z, radius, number of its parent or -1. Types are kept as they are. Lengths are written in the unit of the
trace, which a comment names, because the format itself has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit import __version__
from segkit.durable import replace_file
from segkit.errors import DataError, UsageError
from segkit.tracing._trace import Trace
from segkit.volume import Spacing

__all__ = ["read_swc", "write_swc"]

Array = np.ndarray[Any, Any]

_TRACE = re.compile(r"#\s*trace\s+(\d+)\s*$")
_UNIT = re.compile(r"#\s*units?\s*[:=]?\s*(nm|nanomet\w*|um|µm|micro\w*|micron\w*|voxels?)\s*$", re.IGNORECASE)


def write_swc(traces: Trace | Iterable[Trace], path: str | Path, *, unit: Literal["nm", "um"] | None = None) -> None:
    """Write traces to one SWC file, durably: the file at `path` is either the old or the complete new one.

    Parameters
    ----------
    traces
        One trace or several of one unit; each may have several roots.
    path
        Where to; its folder exists.
    unit
        What lengths are written in; None writes them as they are. The first lines of the file name it.

    Raises
    ------
    DataError
        If the traces differ in unit, or one is asked for and they are in voxels.
    StorageError
        If the disk refuses.
    """
    chosen = [traces] if isinstance(traces, Trace) else list(traces)
    units = {each.unit for each in chosen} or {"nm"}
    if len(units) > 1:
        raise DataError("The traces are in nm and in voxels, and an SWC file has one unit. Write two files.")
    known = units.pop()
    if unit is not None and known != "nm":
        raise DataError(
            f"The traces are in voxels of unknown size, and cannot be written in {unit}. Trace a segmentation that says its voxel "
            "size, or write them as they are."
        )
    factor, digits = (1e-3, 6) if unit == "um" else (1.0, 3)
    lines = [f"# segkit {__version__}", f"# unit {unit or known}", "# node type x y z radius parent"]
    before = 0
    for each in chosen:
        lines.append(f"# trace {each.id}")
        order, parents = each.rooted()
        number = np.zeros(len(order) + 1, np.int64)
        number[order] = np.arange(before + 1, before + len(order) + 1)
        number[-1] = -1  # what the parent -1 of a root looks up
        for node in order:
            z, y, x = each.nodes[node] * factor
            lengths = " ".join(f"{length:.{digits}f}" for length in (x, y, z, each.radii[node] * factor))
            lines.append(f"{number[node]} {each.types[node]} {lengths} {number[parents[node]]}")
        before += len(order)
    replace_file(Path(path), ("\n".join(lines) + "\n").encode())


def read_swc(path: str | Path, *, scale: float | Spacing = 1.0, radius_scale: float | None = None) -> list[Trace]:
    """Read the traces of an SWC file, of segkit or any other program.

    Parameters
    ----------
    path
        The file.
    scale
        What one unit of the file is in nm, one number or ``(z, y, x)``, such as the voxel size where positions are in
        voxels; used where no comment of the file names its unit.
    radius_scale
        What one unit of a radius is in nm; None takes `scale`, and of three different numbers the smallest.

    Returns
    -------
    list of Trace
        One for each trace that segkit wrote; a file of another program is one trace with as many pieces as it has
        roots (`Trace.components`), and the number in its name as `Trace.id` (0 without one).

    Raises
    ------
    DataError
        If the file is missing or not SWC; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(
            f"There is no file {path}. Check the spelling (relative paths start from {Path.cwd()})."
        ) from error
    unit: Literal["nm", "voxel"] = "nm"
    factors = np.broadcast_to(np.asarray(scale, np.float64), 3)
    factors = np.append(factors, factors.min() if radius_scale is None else radius_scale)
    if not (np.isfinite(factors).all() and factors.min() > 0):
        raise UsageError(f"`scale` is {scale} and `radius_scale` {radius_scale}; lengths in nm above 0 are due.")
    stem = re.match(r"\d+", path.stem)
    sections: list[tuple[int, list[tuple[int, list[str]]]]] = [(int(stem[0]) if stem else 0, [])]
    head, quick = _plain_file(text)
    for number, line in enumerate(head.splitlines(), 1):
        content = line.strip()
        if content.startswith("#"):
            if found := _UNIT.match(content):
                word = found[1].lower()
                unit = "voxel" if word.startswith("voxel") else "nm"
                factors = np.full(4, 1.0 if word.startswith(("n", "voxel")) else 1000.0)
            elif found := _TRACE.match(content):
                sections.append((int(found[1]), []))
        elif content:
            sections[-1][1].append((number, content.partition("#")[0].split()))
    if quick is not None:
        return [_scaled(quick, factors, sections[-1][0], unit)]
    if not sections[0][1] and len(sections) > 1:
        del sections[0]
    elif not sections[0][1]:
        raise DataError(f"{path} holds no node: it is not an SWC file, or an empty one.")
    return [_parse(path, rows, factors, name, unit) for name, rows in sections]


def _parse(
    path: Path,
    rows: list[tuple[int, list[str]]],
    factors: Array,
    name: int,
    unit: Literal["nm", "voxel"],
) -> Trace:
    try:
        quick = _parse_plain(np.array([fields[:7] for _, fields in rows], np.float64))
    except ValueError:
        quick = None
    if quick is not None:
        return _scaled(quick, factors, name, unit)
    lines: dict[int, int] = {}  # node: its place among the rows
    values = np.zeros((len(rows), 4))
    parents = np.zeros(len(rows), np.int64)
    types = np.zeros(len(rows), np.int64)
    for place, (line, fields) in enumerate(rows):
        try:
            node, parent = int(fields[0]), int(float(fields[6]))
            values[place] = [float(part) for part in fields[2:6]]
            types[place] = int(float(fields[1]))
        except (ValueError, IndexError, OverflowError) as error:
            raise DataError(
                f"Line {line} of {path} reads {' '.join(fields)[:60]!r}, which is not a node: seven numbers are due, node type x y z "
                "radius parent. Repair or remove the line."
            ) from error
        if not np.isfinite(values[place]).all():
            raise DataError(f"Line {line} of {path} has a position or radius that is not finite. Remove the node.")
        if node in lines:
            raise DataError(
                f"Line {line} of {path} gives node {node} again, after line {rows[lines[node]][0]}. Remove one."
            )
        lines[node], parents[place] = place, parent
    edges = []
    for place, parent in enumerate(parents.tolist()):
        if parent < 0:
            continue
        if parent not in lines:
            raise DataError(
                f"Line {rows[place][0]} of {path} has the parent {parent}, which no line gives. Use -1 for a root, or restore "
                "the missing node."
            )
        edges.append((lines[parent], place))
    table = np.array(edges, np.int64).reshape(-1, 2)
    looped = _on_cycle(table, len(rows))
    if looped is not None:
        raise DataError(
            f"Line {rows[looped][0]} of {path} is its own ancestor: its parents lead back to it. Give one node of the cycle the "
            "parent -1."
        )
    nodes = values[:, 2::-1] * factors[:3]
    return Trace(nodes, table, np.maximum(values[:, 3], 0) * factors[3], name, unit, types)


_Plain = tuple[Array, Array, Array]


def _scaled(found: _Plain, factors: Array, name: int, unit: Literal["nm", "voxel"]) -> Trace:
    values, edges, types = found
    return Trace(values[:, 2::-1] * factors[:3], edges, np.maximum(values[:, 3], 0) * factors[3], name, unit, types)


def _plain_file(text: str) -> tuple[str, _Plain | None]:
    """Return the lines before the nodes, and what `_parse_plain` says of the nodes; the whole text and None if it is not plain.

    A plain file has all comments at its top, and seven numbers with single spaces between them in every other line.
    """
    last = text.rfind("#")
    start = text.find("\n", last) + 1 if last >= 0 else 0
    body = text[start:] if start or last < 0 else ""
    if any(line.strip()[:1] not in ("", "#") for line in text[:start].splitlines()):
        return text, None  # nodes between the comments: several traces
    signs = np.frombuffer(body.encode(errors="replace"), np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    if not len(ends) or ends[-1] != len(signs) - 1:
        return text, None
    spaces = np.cumsum(signs == ord(" "))[ends]
    if (np.diff(spaces, prepend=0) != 6).any():
        return text, None
    try:
        numbers = np.fromstring(body, np.float64, sep=" ")
    except (ValueError, DeprecationWarning):  # numpy's two ways to say that something is no number
        return text, None
    found = _parse_plain(numbers.reshape(-1, 7)) if len(numbers) == 7 * len(ends) else None
    return (text, None) if found is None else (text[:start], found)


def _parse_plain(numbers: Array) -> _Plain | None:
    """Return positions with radii, edges and types of rows in which parents come first, as programs write them; else None.

    What is wrong with other rows is for a slower look to say.
    """
    if numbers.ndim != 2 or numbers.shape[1] != 7 or not np.isfinite(numbers).all() or np.abs(numbers).max() > 2**53:
        return None
    ids, parents = numbers[:, 0], np.trunc(numbers[:, 6])
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    if (ids != np.trunc(ids)).any() or (np.diff(ranked) == 0).any():
        return None
    children = np.flatnonzero(parents >= 0)
    at = np.minimum(np.searchsorted(ranked, parents[children]), len(ids) - 1)
    above = order[at]
    if (ids[above] != parents[children]).any() or (above >= children).any():
        return None
    return (
        numbers[:, 2:6],
        np.stack([above, children], axis=1).astype(np.int64),
        np.trunc(numbers[:, 1]).astype(np.int64),
    )


def _on_cycle(edges: Array, count: int) -> int | None:
    """Return the first node whose ancestors include itself, or None: what stays when leaves are removed for ever."""
    parent = np.full(count, -1, np.int64)
    parent[edges[:, 1]] = edges[:, 0]
    children = np.bincount(edges[:, 0], minlength=count)
    leaves = np.flatnonzero(children == 0).tolist()
    left = np.ones(count, bool)
    while leaves:
        leaf = leaves.pop()
        left[leaf] = False
        above = int(parent[leaf])
        if above >= 0:
            children[above] -= 1
            if children[above] == 0:
                leaves.append(above)
    # Roots go too, once all below them has gone.
    return int(np.flatnonzero(left)[0]) if left.any() else None
