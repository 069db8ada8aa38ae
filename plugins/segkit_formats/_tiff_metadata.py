"""What a TIFF says beside its pixels, in the words of ImageJ, OME, GeoTIFF and segkit."""

from __future__ import annotations

import math
import re
from html import unescape
from typing import Any, Literal

from segkit.store import NANOMETRES

__all__ = ["channel_names", "georeference", "voxel_size"]

_GEOTIFF = {33550: "pixel_scale", 33922: "tiepoints", 34264: "transformation", 34735: "keys", 34736: "doubles"}
_Size = tuple[float, float, float]


def _first_image(ome: str) -> tuple[str, str]:
    """Return the attributes of the first ``Pixels`` of OME-XML, and what is in it.

    Only the attributes of few elements are needed; parsing the XML would invite entity bombs.
    """
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", ome)
    if pixels is None:
        return "", ""
    end = re.compile(r"</(?:\w+:)?Pixels>").search(ome, pixels.end())
    return pixels[1], ome[pixels.end() : end.start() if end else len(ome)]


def voxel_size(tif: Any) -> tuple[_Size, Literal["nm", "voxel"]]:
    """Return what ImageJ, OME or segkit say of the voxel size; resolutions for printing say nothing of it."""
    found: dict[str, float] = {}
    if tif.is_ome and tif.ome_metadata:
        entries = dict(
            re.findall(r"(PhysicalSize[XYZ](?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']", _first_image(tif.ome_metadata)[0])
        )
        for axis in "XYZ":
            unit = entries.get(f"PhysicalSize{axis}Unit", "µm")
            if f"PhysicalSize{axis}" in entries and unit in NANOMETRES:
                found[axis] = float(entries[f"PhysicalSize{axis}"]) * NANOMETRES[unit]
    elif tif.is_imagej and tif.imagej_metadata:
        metadata, tags = tif.imagej_metadata, tif.pages[0].tags
        factor = NANOMETRES.get(str(metadata.get("unit", "")).replace("\\u00B5", "µ"), 0.0)
        for axis, tag in (("X", 282), ("Y", 283)):
            if tag in tags and tags[tag].value[0]:
                numerator, denominator = tags[tag].value[:2]
                found[axis] = denominator / numerator * factor
        found["Z"] = float(metadata.get("spacing", 0.0)) * factor
    elif tif.is_shaped:
        described: tuple[dict[str, Any], ...] = tif.shaped_metadata or ({},)
        sizes = described[0].get("voxel_size_nm")
        if isinstance(sizes, list) and len(sizes) == 3:
            found = {axis: float(size) for axis, size in zip("ZYX", sizes, strict=True)}
    y, x = found.get("Y", 0.0), found.get("X", 0.0)
    size = (found.get("Z", 0.0) or y, y, x)
    if all(math.isfinite(v) and v > 0 for v in size):
        return size, "nm"
    return (1.0, 1.0, 1.0), "voxel"


def channel_names(tif: Any) -> tuple[str, ...]:
    """Return the names that OME gives the channels of the first image; empty unless each has one."""
    if not (tif.is_ome and tif.ome_metadata):
        return ()
    channels = re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", _first_image(tif.ome_metadata)[1])
    named = [re.search(r"\bName\s*=\s*[\"']([^\"']*)[\"']", attributes) for attributes in channels]
    return tuple(unescape(name[1]) for name in named if name) if all(named) else ()


def georeference(page: Any) -> dict[str, Any]:
    """Return the tags of GeoTIFF as they are; the format ``geotiff`` says what they mean."""
    found = {name: list(page.tags[tag].value) for tag, name in _GEOTIFF.items() if tag in page.tags}
    return {"geotiff": found} if found else {}
