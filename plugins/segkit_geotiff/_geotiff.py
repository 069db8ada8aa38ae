"""The format `geotiff`: windows of any bands, read on demand through rasterio."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segkit import Volume
from segkit.errors import DataError
from segkit.opening import TIFF_MAGIC, Reopening, check_tiff, check_tiff_chain, decoding, existing_file
from segkit_geotiff._georeference import describe, voxel_size
from segkit_geotiff._rasterio import opened_dataset, rasterio_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segkit.progress import Progress

__all__ = ["GeoTiff"]

# What it logs of a damaged file comes again in the error.
logging.getLogger("rasterio").addHandler(logging.NullHandler())

_SUFFIXES = (".tif", ".tiff")
_GEOGRAPHIC = {33550, 33922, 34264, 34735}  # pixel scale, tie points, transformation, keys


@dataclass(frozen=True, slots=True)
class GeoTiff:
    """See `segkit_geotiff.geotiff`."""

    def accepts(self, source: str) -> bool:
        """Return whether it is a TIFF with the tags of a georeference, and rasterio is there to read it."""
        path = Path(source)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            if file.read(4) not in TIFF_MAGIC:
                return False
        try:
            tags = check_tiff(path).tags
        except DataError:
            return False  # what is wrong with it is for the format of all TIFFs to say
        return bool(tags & _GEOGRAPHIC) and find_spec("rasterio") is not None

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        path = existing_file(Path(source))
        check_tiff(path)
        check_tiff_chain(path)
        rasterio_module()
        with decoding(source, "GeoTIFF"), opened_dataset(path, None) as dataset:
            size, unit = voxel_size(dataset.crs, dataset.transform)
            metadata = {"georeference": describe(dataset, size)}
            names = tuple(name or f"band {n}" for n, name in enumerate(dataset.descriptions, 1))
            named = dataset.count > 1 and any(dataset.descriptions)
            height, width = dataset.shape
            down, across = dataset.block_shapes[0]
            together = dataset.count if str(dataset.interleaving).endswith("pixel") else 1
            overviews = len(dataset.overviews(1))
        levels: list[Volume] = []
        for level in range(overviews + 1):
            array = Reopening(_Bands, str(path), level - 1 if level else None)
            lead = (together,) if len(array.shape) == 4 else ()
            y, x = height / array.shape[-2], width / array.shape[-1]
            levels.append(
                Volume(
                    array,
                    "czyx" if lead else "zyx",
                    (size[0], size[1] * y, size[2] * x),
                    # A coarser pixel covers several of the finest: their outer corners coincide, not their centres.
                    (0.0, size[1] * (y - 1) / 2, size[2] * (x - 1) / 2),
                    unit,
                    chunks=(*lead, 1, *_part(array.shape, down, across, level)),
                    source=source,
                    channel_names=names if named else (),
                    metadata=metadata,
                )
            )
        finest = levels[0]
        fields = {name: getattr(finest, name) for name in ("chunks", "source", "channel_names", "metadata")}
        return Volume(finest.array, finest.axes, size, (0.0, 0.0, 0.0), unit, levels=tuple(levels[1:]), **fields)

    def saves(self, volume: Volume, path: str) -> bool:
        """Return whether the volume has a place on the map, one z, and the file is to be a TIFF."""
        flat = volume.spatial_shape[0] == 1
        return Path(path).suffix.lower() in _SUFFIXES and flat and bool(volume.metadata.get("georeference"))

    def save(self, volume: Volume, path: Path, progress: Progress) -> None:
        """Write all bands at their place on the map; see `segkit.opening.WritableFormat`."""
        from segkit_geotiff._saving import save_geotiff

        save_geotiff(volume, path, progress)


def _part(shape: tuple[int, ...], down: int, across: int, level: int) -> tuple[int, int]:
    """Return height and width of what is decoded at once; overviews are tiled, whatever the image is."""
    height, width = shape[-2:]
    return (min(down, height), min(across, width)) if level == 0 else (min(128, height), min(128, width))


class _Bands:
    """The pixels of one resolution, ``(c, 1, y, x)``, or ``(1, y, x)`` for one band.

    A handle of GDAL is for one thread at a time; there are as many as threads read at once.
    """

    def __init__(self, path: str, overview: int | None) -> None:
        self._path, self._overview = Path(path), overview
        self._idle: list[Any] = []
        with decoding(path, "GeoTIFF"), self._handle() as dataset:
            kinds = {np.dtype(kind) for kind in dataset.dtypes}
            self.dtype = kinds.pop()
            if kinds or self.dtype.kind not in "biuf":
                raise DataError(
                    f"{path} holds bands of type {', '.join(dataset.dtypes)}; an image has real numbers of one type. Convert it "
                    "first."
                )
            lead = (dataset.count,) if dataset.count > 1 else ()
            self.shape = (*lead, 1, *(int(n) for n in dataset.shape))

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        """Lend a handle; one that failed is not used again."""
        try:
            dataset = self._idle.pop()
        except IndexError:
            dataset = opened_dataset(self._path, self._overview)
        yield dataset
        self._idle.append(dataset)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        ranges = [part.indices(n)[:2] for part, n in zip(key, self.shape, strict=True)]
        (top, bottom), (left, right) = ranges[-2:]
        first, last = ranges[0] if len(ranges) == 4 else (0, 1)
        with decoding(str(self._path), "GeoTIFF"), self._handle() as dataset:
            window = ((top, bottom), (left, right))
            voxels = cast("np.ndarray[Any, Any]", dataset.read(list(range(first + 1, last + 1)), window=window))
        return voxels[:, None] if len(ranges) == 4 else voxels
