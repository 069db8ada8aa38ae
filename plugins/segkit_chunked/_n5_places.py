"""Where the voxels of an N5 dataset lie, out of the several ways in which attributes say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from segkit.errors import DataError
from segkit.store import NANOMETRES
from segkit.volume import Spacing
from segkit_chunked._claims import integers, lengths

__all__ = ["Lattice", "lattice_of", "level_factors"]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Voxel size and position of the first voxel's centre ``(z, y, x)``, as in `segkit.Volume`.

    `certain` says whether the attributes tell how much coarser than the finest scale it is.
    """

    voxel_size: Spacing
    offset: Spacing
    unit: Literal["nm", "voxel"]
    certain: bool


def lattice_of(attributes: Mapping[str, Any], group: Mapping[str, Any], level: int, source: str) -> Lattice:
    """Read it from the attributes of a dataset, and of the group whose scale number `level` it is.

    Raises
    ------
    DataError
        If what they say cannot be.
    """
    try:
        if isinstance(attributes.get("transform"), dict):
            return _of_transform(attributes["transform"])
        # As n5-viewer has it, a resolution that goes with factors is that of the finest scale.
        size, unit = _resolution(attributes) or _resolution(group) or ((1.0, 1.0, 1.0), "voxel")
        factors = attributes.get("downsamplingFactors")
        listed = group.get("downsamplingFactors") or group.get("scales")
        if factors is None and isinstance(listed, list) and level < len(listed):
            factors = listed[level]
        own = _resolution(attributes) is not None and factors is None
        steps = _three(lengths(factors, len(factors), "downsamplingFactors"), 1.0) if factors else (1.0, 1.0, 1.0)
        x, y, z = (v * f for v, f in zip(size, steps, strict=True))
        dx, dy, dz = ((f - 1) / 2 * v for v, f in zip(size, steps, strict=True))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The attributes of {source} do not say where its voxels lie: {error!r}. Correct them, or convert a copy "
            "without them."
        ) from error
    return Lattice((z, y, x), (dz, dy, dx), unit, level == 0 or own or factors is not None)


def level_factors(finest: Any, coarse: Any, source: str) -> Spacing:
    """Return how many voxels of the finest scale one of a coarse scale covers, ``(z, y, x)``, from their shapes (x first).

    Raises
    ------
    DataError
        If they are no shapes.
    """
    try:
        full, part = (integers(shape, None, "dimensions")[:3] for shape in (finest, coarse))
    except ValueError as error:
        raise DataError(f"{source} cannot be opened as a scale: {error}. Write it again.") from error
    x, y, z = _three([max(1.0, float(round(a / b))) for a, b in zip(full, part, strict=False)], 1.0)
    return z, y, x


def _resolution(attributes: Mapping[str, Any]) -> tuple[tuple[float, ...], Literal["nm", "voxel"]] | None:
    """Return the voxel size ``(x, y, z)`` and its unit, or None if none is stated."""
    found = attributes.get("pixelResolution", attributes.get("resolution"))
    units: Any = attributes.get("units", attributes.get("unit"))
    if isinstance(found, dict):
        found, units = found["dimensions"], found.get("unit", units)
    if found is None:
        return None
    size = lengths(found, len(found), "resolution")
    names = units if isinstance(units, list) else [units] * len(size)
    known = [NANOMETRES.get(str(name)) for name in names[: min(3, len(size))]]
    if None in known or not known:
        return _three(size, size[-1]), "voxel"
    return _three([v * (f or 1.0) for v, f in zip(size, known, strict=False)], size[-1]), "nm"


def _of_transform(transform: Mapping[str, Any]) -> Lattice:
    """Read the transform of the COSEM project: named axes, each with a scale, a translation and a unit."""
    axes = [str(a).lower() for a in transform["axes"]]
    scale = dict(zip(axes, lengths(transform["scale"], len(axes), "scale"), strict=True))
    shift = dict(zip(axes, map(float, transform.get("translate") or [0.0] * len(axes)), strict=True))
    units = dict(zip(axes, transform.get("units") or [""] * len(axes), strict=True))
    known = all(str(units[a]) in NANOMETRES for a in axes if a in "zyx")
    nm = {a: NANOMETRES[str(units[a])] if known else 1.0 for a in axes if a in "zyx"}
    y, x = (scale[a] * nm[a] for a in "yx")
    z = scale["z"] * nm["z"] if "z" in scale else y
    oz, oy, ox = (shift.get(a, 0.0) * nm.get(a, 1.0) for a in "zyx")
    return Lattice((z, y, x), (oz, oy, ox), "nm" if known else "voxel", True)


def _three(values: Sequence[float], fill: float) -> tuple[float, float, float]:
    """Return the first three, for x, y and z; `fill` stands for a z that is not there."""
    x, y, z = (*values[:3], fill)[:3]
    return x, y, z
