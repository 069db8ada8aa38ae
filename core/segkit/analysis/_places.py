"""Where samples lie: which image or map they were cut from, where in it, and which group their name puts them in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from segkit.contracts import Sample
from segkit.geometry import Box, Triple
from segkit.volume import Volume, _Window

__all__ = ["Place", "groups_of", "place_of", "start_of"]

_CUT = re.compile(r"\s*\[[^\]]*\]$")
_SUFFIX = re.compile(r"\.(ome\.)?[A-Za-z]\w{1,4}(:.*)?$")
_COORDINATE = re.compile(r"(?<=.)[ _\-.][xyzXYZ]-?\d+$")
_NUMBER = re.compile(r"(?<=.)[ _\-.][A-Za-z]{0,5}\d+$")


class Place(NamedTuple):
    """Where a sample lies.

    Parameters
    ----------
    origin
        What it was cut from: the same text for two samples of one image or of one map.
    box
        Its region there, in voxels.
    mapped
        Whether the place is one on a map, so that two images of different days can share it.
    """

    origin: str
    box: Box
    mapped: bool = False


def start_of(sample: Sample) -> Triple:
    """Return where a sample begins in its source, in voxels (z, y, x)."""
    raw = sample.raw
    z, y, x = (round(o / v) for o, v in zip(raw.offset, raw.voxel_size, strict=True))
    return z, y, x


def place_of(sample: Sample) -> Place:
    """Return where a sample lies: on the map its file names, or else in its source."""
    raw, start = sample.raw, start_of(sample)
    map_, corner = _on_map(raw)
    if map_:
        moved = (start[0], start[1] + corner[0], start[2] + corner[1])
        return Place(map_, Box.of_shape(raw.spatial_shape, moved), True)
    return Place(_origin(raw), Box.of_shape(raw.spatial_shape, start))


def _origin(raw: Volume) -> str:
    if raw.source != "array":
        return raw.source
    array: Any = raw.array  # arrays in memory are told apart by what they are, not by the name they share
    while isinstance(array, _Window):
        array = array.array
    return f"array {id(array)}"


def _on_map(raw: Volume) -> tuple[str, tuple[int, int]]:
    reference = raw.metadata.get("georeference")
    try:
        a, b, c, d, e, f = (float(number) for number in reference["transform"][:6])  # type: ignore[index]
        if not (reference["crs"] and a and e) or b or d:  # type: ignore[index]
            return "", (0, 0)
    except (KeyError, TypeError, ValueError):
        return "", (0, 0)
    return f"map {reference['crs']} at {abs(e):g} x {abs(a):g}", (round(f / e), round(c / a))  # type: ignore[index]


def groups_of(names: Sequence[str]) -> list[str]:
    """Return the group that each name belongs to: the name without the number or coordinates at its end.

    Names that begin all alike are not in groups: each is then a group of its own.
    """
    found = []
    for name in names:
        stem = _SUFFIX.sub("", _CUT.sub("", name))
        while (shorter := _COORDINATE.sub("", stem)) != stem:
            stem = shorter
        found.append(_NUMBER.sub("", stem) if stem == _SUFFIX.sub("", _CUT.sub("", name)) else stem)
    return list(names) if len(set(found)) < 2 else found
