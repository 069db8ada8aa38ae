"""The format ``precomputed``: which sources are one, and from its ``info`` to a `Volume`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segkit.errors import DataError, UsageError
from segkit.geometry import Box
from segkit.store import Folder, find_json, locate, read_file
from segkit.volume import Spacing, Volume
from segkit_chunked._info import Info, Scale, read_info
from segkit_chunked._scale import open_scale

__all__ = ["Precomputed"]

_MOST_METADATA = 64 * 2**20
_PREFIX = "precomputed://"
_REACHED = re.compile(r"(https?|gs|s3|file)://")
_OTHERS = re.compile(r"(zarr[23]?|n5)://|\.(zarr|n5)([/?]|$)")


@dataclass(frozen=True, slots=True)
class Precomputed:
    """See `segkit_chunked.precomputed`."""

    scale: int | None = None
    box: str = ""
    missing: Literal["error", "fill"] = "error"
    timeout: float = 60.0

    def accepts(self, source: str) -> bool:
        """Return whether it is called so, or its ``info`` is one of a volume."""
        if source.startswith(_PREFIX):
            return True
        known = _REACHED.match(source)
        if _OTHERS.search(source) or not (known or ("://" not in source and Path(source).is_dir())):
            return False
        place = locate(source, self.timeout) / "info"
        try:
            text = read_file(place, _MOST_METADATA)
        except DataError as error:
            if "PERMISSION_DENIED" in str(error):  # how object stores say that there is no such file
                return False
            raise
        try:
            info = json.loads(text or b"")
        except (ValueError, RecursionError):
            return False
        return isinstance(info, dict) and ("scales" in info or info.get("@type") == "neuroglancer_multiscale_volume")

    def open(self, source: str) -> Volume:
        """Open it, reading ``info`` only."""
        root = locate(source.removeprefix(_PREFIX), self.timeout)
        content = find_json(root / "info")
        if content is None:
            raise DataError(
                f"There is no precomputed volume at {root}: it holds no file 'info'. Give the folder or URL that does, "
                "not one of its scales."
            )
        info = read_info(content, str(root))
        chosen = _choose(root, info, self.scale)
        first = info.scales[chosen[0]]
        opened = [self._level(root, info, index, first, source) for index in chosen]
        volume = replace(opened[0], levels=tuple(opened[1:]))
        return volume.crop(_global_box(self.box, first, str(root))) if self.box else volume

    def _level(self, root: Folder, info: Info, index: int, first: Scale, source: str) -> Volume:
        scale = info.scales[index]
        array = open_scale(root, info, index, self.missing == "error", self.timeout)
        # A global position is that of a voxel's corner in all scales, so the centres of coarse voxels lie further in.
        offset = [o * r + (r - f) / 2 for o, r, f in zip(scale.offset, scale.resolution, first.resolution, strict=True)]
        return Volume(
            array,
            "zyx" if info.channels == 1 else "czyx",
            voxel_size=_spacing(scale.resolution),
            offset=_spacing(offset),
            unit="nm",
            chunks=array.chunks,
            source=source,
            metadata={"precomputed": {"type": info.kind, "key": scale.key, "voxel_offset": list(scale.offset)}},
        )


def _spacing(xyz: Any) -> Spacing:
    x, y, z = xyz
    return float(z), float(y), float(x)


def _choose(root: Folder, info: Info, wanted: int | None) -> list[int]:
    """Return the scales that make the volume: the finest, and those coarser than it, each more than the one before."""
    known = range(len(info.scales))
    names = ", ".join(f"{index} ({scale.key})" for index, scale in enumerate(info.scales))
    if wanted is not None and wanted not in known:
        raise UsageError(f"`scale` is {wanted}, and {root} has the scales {names}. Choose one of them.")
    there = [index for index in known if not isinstance(root, Path) or (root / info.scales[index].key).is_dir()]
    there = [index for index in there if wanted is None or index >= wanted]
    if not there or (wanted is not None and there[0] != wanted):
        which = "none of the scales" if wanted is None else f"no data of scale {wanted} among"
        raise DataError(f"{root} holds {which} {names}, which its 'info' lists. Copy the volume again, whole.")
    chosen = [there[0]]
    for index in there[1:]:
        if math.prod(info.scales[index].resolution) > math.prod(info.scales[chosen[-1]].resolution):
            chosen.append(index)
    return chosen


def _global_box(text: str, scale: Scale, source: str) -> Box:
    """Return a region given in global voxels, in voxels of the volume."""
    extent = Box.of_shape(scale.size[::-1], scale.offset[::-1])
    axes = {match[0] for match in re.findall(r"([zyx])\s*(-?\d*)\s*:", text) if match[1]}
    if min(extent.start) < 0 and axes:
        raise UsageError(
            f"`box` cannot be used with {source}, whose voxels begin at {extent}. Crop the volume instead."
        )
    asked = Box.parse(text, Box((0, 0, 0), extent.stop))
    start = [a if axis in axes else b for axis, a, b in zip("zyx", asked.start, extent.start, strict=True)]
    stop = asked.stop
    if any(a < b or c <= a for a, b, c in zip(start, extent.start, stop, strict=True)):
        raise UsageError(f"`box` is {text!r}, and {source} has the global voxels {extent}. Choose a part of them.")
    return Box((start[0], start[1], start[2]), stop).relative_to(extent.start)
