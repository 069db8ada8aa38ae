"""The metadata of OME-Zarr (0.4 and 0.5) as plain data: what a group says of axes, units, levels and channels.

Source: the OME-NGFF specification, https://ngff.openmicroscopy.org. Nothing here touches a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.errors import DataError

__all__ = ["NANOMETRES", "LevelEntry", "Multiscale", "make_multiscale", "read_multiscale"]

NANOMETRES: Mapping[str, float] = {
    **dict.fromkeys(("angstrom", "Å"), 0.1),
    **dict.fromkeys(("nanometer", "nanometre", "nm"), 1.0),
    **dict.fromkeys(("micrometer", "micrometre", "micron", "um", "µm", "μm"), 1e3),
    **dict.fromkeys(("millimeter", "millimetre", "mm"), 1e6),
    **dict.fromkeys(("centimeter", "centimetre", "cm"), 1e7),
    **dict.fromkeys(("meter", "metre", "m"), 1e9),
    "inch": 2.54e7,
}
"""Length in nanometres of the units that image files name."""


@dataclass(frozen=True, slots=True)
class LevelEntry:
    """One resolution: its array within the group, and where its voxels lie, one number for each axis."""

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Multiscale:
    """An image of several resolutions.

    Parameters
    ----------
    axes
        A letter for each axis of the arrays, out of t, c, z, y and x, in the order stored.
    unit
        ``"nm"`` where the unit of each spatial axis is known; scales and translations are then in nanometres.
    levels
        Finest first.
    channel_names
        A name for each channel, or empty.
    version
        Of the OME-Zarr metadata.
    """

    axes: str
    unit: Literal["nm", "voxel"]
    levels: tuple[LevelEntry, ...]
    channel_names: tuple[str, ...] = ()
    version: str = ""


def _axis(entry: Any) -> tuple[str, str]:
    """Return letter and unit of one axis, as 0.4 and 0.5 (an object) or 0.3 (a string) write it."""
    if isinstance(entry, str):
        return entry.lower(), ""
    kind, name = str(entry.get("type", "")), str(entry.get("name", "")).lower()
    letter = {"channel": "c", "time": "t"}.get(kind, name)
    return letter, str(entry.get("unit") or "")


def _transform(entries: Any, rank: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    scale, translation = np.ones(rank), np.zeros(rank)
    for entry in entries or ():
        kind = entry["type"]
        if kind == "identity":
            continue
        if kind not in ("scale", "translation") or kind not in entry:
            raise ValueError(
                f"the coordinate transformation {kind!r} is not one of scale and translation given in place"
            )
        values = np.asarray(entry[kind], float)
        if values.shape != (rank,) or not np.isfinite(values).all() or (kind == "scale" and (values <= 0).any()):
            raise ValueError(f"the {kind} {entry[kind]!r} does not fit {rank} axes")
        if kind == "scale":
            scale, translation = scale * values, translation * values
        else:
            translation = translation + values
    return scale, translation


def read_multiscale(attributes: Mapping[str, Any], source: str) -> Multiscale | None:
    """Return what the attributes of a group say of an image, or None if they say nothing of one.

    Raises
    ------
    DataError
        If they break the specification.
    """
    ome = attributes.get("ome", attributes)
    try:
        found = ome.get("multiscales")
        if not found:
            return None
        image = found[0]
        letters, units = zip(*(_axis(entry) for entry in image.get("axes", list("tczyx"))), strict=True)
        rank = len(letters)
        factors = np.array([NANOMETRES.get(unit, 0.0) for unit in units])
        spatial = np.array([letter in "zyx" for letter in letters])
        known = bool((factors[spatial] > 0).all())
        factors = np.where(spatial & known, factors, 1.0)
        outer_scale, outer_translation = _transform(image.get("coordinateTransformations"), rank)
        levels = []
        for dataset in image["datasets"]:
            path = str(dataset["path"])
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"the path {path!r} leads out of the store")
            scale, translation = _transform(dataset.get("coordinateTransformations"), rank)
            scale, translation = scale * outer_scale, translation * outer_scale + outer_translation
            levels.append(LevelEntry(path, tuple((scale * factors).tolist()), tuple((translation * factors).tolist())))
        if not levels:
            raise ValueError("it lists no arrays")
        channels = ome.get("omero", {}).get("channels", [])
        names = tuple(str(channel.get("label", "")) for channel in channels)
        version = str(ome.get("version") or image.get("version") or "")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The OME-Zarr metadata of {source} cannot be used: {error if isinstance(error, ValueError) else repr(error)}. "
            "Open one of its arrays by its own path, or write the metadata again."
        ) from error
    unit: Literal["nm", "voxel"] = "nm" if known else "voxel"
    return Multiscale("".join(letters), unit, tuple(levels), names if any(names) else (), version)


def make_multiscale(
    name: str,
    axes: str,
    unit: str,
    voxel_size: Sequence[float],
    offset: Sequence[float],
    factors: Sequence[Sequence[int]],
    channel_names: Sequence[str],
    dtype: np.dtype[Any],
) -> dict[str, Any]:
    """Return the value of the attribute ``ome`` (version 0.5) for levels that are named by their numbers, from 0.

    Parameters
    ----------
    name
        Of the image.
    axes, unit, voxel_size, offset, channel_names
        See `segkit.Volume`.
    factors
        How many voxels of the finest level one voxel of each level covers, ``(z, y, x)``.
    dtype
        Of a voxel; the range in which viewers first show a named channel follows from it.
    """
    length = {"unit": "nanometer"} if unit == "nm" else {}
    entries = [{"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", **length} for a in axes]
    lead = len(axes) - 3
    datasets = []
    for level, factor in enumerate(factors):
        scale = [v * f for v, f in zip(voxel_size, factor, strict=True)]
        # Positions are those of voxel centres, and a voxel of a level is centred on those it covers.
        moved = [o + (f - 1) / 2 * v for o, f, v in zip(offset, factor, voxel_size, strict=True)]
        transformations = [
            {"type": "scale", "scale": [1.0] * lead + scale},
            {"type": "translation", "translation": [0.0] * lead + moved},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [{"name": name, "axes": entries, "datasets": datasets}]}
    if channel_names:
        top = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
        window = {"start": 0.0, "end": top, "min": 0.0, "max": top}
        ome["omero"] = {"channels": [{"label": n, "color": "FFFFFF", "window": window} for n in channel_names]}
    assert all(math.isfinite(v) for v in (*voxel_size, *offset))
    return ome
