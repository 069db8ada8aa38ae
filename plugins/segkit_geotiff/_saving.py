"""Writing a volume as a tiled, compressed GeoTIFF, tile row by tile row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit import Box, Volume
from segkit.errors import DataError, StorageError
from segkit.geometry import Lattice
from segkit_geotiff._georeference import place_of
from segkit_geotiff._rasterio import rasterio_module, surroundings

if TYPE_CHECKING:
    from segkit.progress import Progress

__all__ = ["save_geotiff"]

_TILE = 256
_MOST_BYTES = 64 * 2**20
_STORED_AS = {"bool": "uint8", "float16": "float32"}


def save_geotiff(volume: Volume, path: Path, progress: Progress) -> None:
    """Write a volume with one z to an empty file.

    Raises
    ------
    DataError
        If it has several z, or no georeference.
    StorageError
        If the disk refuses.
    """
    rasterio = rasterio_module()
    depth, height, width = volume.spatial_shape
    if depth != 1:
        raise DataError(
            f"{volume.source} has {depth} slices; a GeoTIFF is one. Cut out one, such as --region z0:1, or use format='tiff'."
        )
    dtype = np.dtype(_STORED_AS.get(volume.dtype.name, volume.dtype))
    options = {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": volume.channels,
        "dtype": dtype.name,
        **place_of(volume),
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "compress": "deflate",
        "predictor": 3 if dtype.kind == "f" else 2 if dtype.itemsize < 8 else 1,
        "BIGTIFF": "IF_SAFER",
    }
    lattice = Lattice(volume.box, (1, *_region(volume, dtype.itemsize)))
    progress(0, len(lattice))
    try:
        with surroundings(), rasterio.open(path, "w", **options) as dataset:
            for band, name in enumerate(volume.channel_names, 1):
                dataset.set_band_description(band, name)
            for done, (box, voxels) in enumerate(zip(lattice, volume.read_blocks(lattice), strict=True), 1):
                bands = voxels.reshape(volume.channels, *box.shape[1:]).astype(dtype, copy=False)
                (_, top, left), (_, bottom, right) = box.start, box.stop
                dataset.write(bands, window=((top, bottom), (left, right)))
                progress(done, len(lattice))
        _check_end(path, bands)
    except rasterio.errors.RasterioError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise StorageError(
            f"Writing a GeoTIFF of {volume.source} failed: {reason}. Check the disk and its free space, then try again."
        ) from error


def _region(volume: Volume, itemsize: int) -> tuple[int, int]:
    """Return height and width of what is read and written at once: whole tiles, and whole chunks of the source."""
    _, height, width = volume.spatial_shape
    bytes_per_pixel = volume.channels * itemsize
    source = (volume.chunks or (1, 1))[-2:]
    down = max(_TILE, -(-min(source[0], height) // _TILE) * _TILE)
    across = -(-width // _TILE) * _TILE
    while across > _TILE and down * across * bytes_per_pixel > _MOST_BYTES:
        across = -(-across // 2 // _TILE) * _TILE
    while down > _TILE and down * across * bytes_per_pixel > _MOST_BYTES:
        down = -(-down // 2 // _TILE) * _TILE
    return down, across


def _check_end(path: Path, bands: np.ndarray[Any, Any]) -> None:
    """Read the end of the last block again, which GDAL writes when it closes the file, where it reports no error."""
    from segkit_geotiff._geotiff import GeoTiff

    try:
        written = GeoTiff().open(str(path))
        _, y, x = written.spatial_shape
        found = written.read(Box((0, max(0, y - 8), max(0, x - 8)), (1, y, x)))
        wanted = bands[:, -8:, -8:].reshape(found.shape)
        kept = np.array_equal(found, wanted, equal_nan=bands.dtype.kind == "f")
    except DataError:
        kept = False
    if not kept:
        raise StorageError("The disk did not keep the end of the GeoTIFF. Check its free space, then try again.")
