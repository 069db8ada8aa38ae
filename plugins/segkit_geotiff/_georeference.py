"""Where a raster lies on the map, as plain data that volumes carry along."""

from __future__ import annotations

import math
from typing import Any, Literal

from segkit import Volume
from segkit.errors import DataError
from segkit_geotiff._rasterio import rasterio_module

__all__ = ["describe", "place_of", "voxel_size"]

_KEY = "georeference"


def voxel_size(crs: Any, transform: Any) -> tuple[tuple[float, float, float], Literal["nm", "voxel"]]:
    """Return the voxel size ``(z, y, x)``: in nm where the map is projected and its unit is a length.

    Degrees of longitude have no length of their own; such pixels stay without a size.
    """
    if crs is not None and crs.is_projected and not transform.is_identity:
        _, metres = crs.linear_units_factor
        y = math.hypot(transform.b, transform.e) * metres * 1e9
        x = math.hypot(transform.a, transform.d) * metres * 1e9
        if all(math.isfinite(v) and v > 0 for v in (y, x)):
            return (y, y, x), "nm"
    return (1.0, 1.0, 1.0), "voxel"


def describe(dataset: Any, size: tuple[float, float, float]) -> dict[str, Any]:
    """Return what a volume keeps under ``metadata["georeference"]``.

    ``crs`` is WKT, empty where the file has none. ``transform`` holds a, b, c, d, e, f of ``X = a col + b row + c``,
    ``Y = d col + e row + f``, counted from the outer corner of the first pixel. It is that of the file, whatever part of
    it a volume shows: `voxel_size` and `offset` are those of the volume of the whole file, against which those of another
    volume tell where it lies. ``nodata`` is the value of missing pixels of type ``dtype``, or None; text where JSON has
    no such number.
    """
    nodata = dataset.nodata
    if nodata is not None and not math.isfinite(nodata):
        nodata = str(float(nodata))
    return {
        "crs": dataset.crs.to_wkt() if dataset.crs else "",
        "transform": [float(v) for v in tuple(dataset.transform)[:6]],
        "voxel_size": list(size),
        "offset": [0.0, 0.0, 0.0],
        "nodata": nodata,
        "dtype": str(dataset.dtypes[0]),
    }


def place_of(volume: Volume) -> dict[str, Any]:
    """Return what rasterio writes of the place of a volume: crs, transform and nodata.

    Raises
    ------
    DataError
        If the volume has no georeference, or one that cannot be read.
    """
    rasterio = rasterio_module()
    try:
        known = volume.metadata[_KEY]
        whole = rasterio.Affine(*(float(v) for v in known["transform"]))
        # Centre of the first pixel, and size of a pixel, in pixels of the file that the georeference was read from.
        first, scale = [], []
        for axis in (1, 2):
            full, origin = float(known["voxel_size"][axis]), float(known["offset"][axis])
            first.append(round((volume.offset[axis] - origin) / full, 6) + 0.5)
            scale.append(round(volume.voxel_size[axis] / full, 9))
        crs = rasterio.CRS.from_wkt(known["crs"]) if known["crs"] else None
        nodata = known["nodata"] if known["dtype"] == volume.dtype.name else None
        place: dict[str, Any] = {"crs": crs, "nodata": None if nodata is None else float(nodata)}
    except (KeyError, TypeError, ValueError, ArithmeticError, rasterio.errors.RasterioError) as error:
        raise DataError(
            f"The georeference of {volume.source} cannot be used ({type(error).__name__}: {error}). Write it as plain TIFF, with "
            "format='tiff' or --format tiff, or open the original again."
        ) from error
    if not whole.is_identity:
        (down, across), (tall, wide) = [middle - 0.5 * size for middle, size in zip(first, scale, strict=True)], scale
        a, b, c, d, e, f = tuple(whole)[:6]
        x, y = a * across + b * down + c, d * across + e * down + f  # of the corner of the first pixel
        place["transform"] = rasterio.Affine(a * wide, b * tall, x, d * wide, e * tall, y)
    return place
