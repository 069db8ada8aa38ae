"""An image in one or two lines, as people say it."""

from __future__ import annotations

from segkit.volume import Volume

__all__ = ["card", "size_text"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"


def size_text(count: int) -> str:
    """Return a number of bytes with its unit: ``"1.4 TB"``."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def card(volume: Volume) -> str:
    """Return extent, type, voxel size, levels, chunk and size of a volume."""
    kind = "channels, image of " if volume.axes == "czyx" else ""
    lead = f"{volume.channels} {kind}" if kind else ""
    shape = _TIMES.join(str(n) for n in volume.spatial_shape)
    size = _TIMES.join(f"{v:.4g}" for v in volume.voxel_size)
    parts = [
        f"{lead}{shape}\N{NO-BREAK SPACE}voxels",
        str(volume.dtype),
        f"{size}\N{NO-BREAK SPACE}{'nm' if volume.unit == 'nm' else '(size unknown)'}",
    ]
    count = 1 + len(volume.levels)
    parts.append(f"{count} levels" if count > 1 else "1 level")
    if volume.chunks:
        parts.append("chunks of " + _TIMES.join(str(n) for n in volume.chunks[-3:]))
    parts.append(size_text(volume.nbytes).replace(" ", "\N{NO-BREAK SPACE}"))
    return " · ".join(parts)
