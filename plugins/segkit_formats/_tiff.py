"""TIFF through tifffile: mapped into memory where it lies there in one piece, otherwise by page or tile."""

from __future__ import annotations

import logging
import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segkit import Volume
from segkit.errors import DataError
from segkit.opening import (
    TIFF_MAGIC,
    Arranged,
    Reopening,
    arrange,
    check_tiff,
    check_tiff_chain,
    decoding,
    existing_file,
)
from segkit_formats._planes import Planes
from segkit_formats._tiff_metadata import channel_names, georeference, voxel_size

if TYPE_CHECKING:
    from segkit.progress import Progress

__all__ = ["Tiff"]

# What it logs of a damaged file comes again in the error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Tiff:
    """See `segkit_formats.tiff`."""

    series: int = 0

    def accepts(self, source: str) -> bool:
        """Return whether it is a file that begins like a TIFF or is called one."""
        path = Path(source)
        if not path.is_file():
            return False
        if path.suffix.lower() in (".tif", ".tiff", ".btf", ".tf8", ".lsm"):
            return True
        with path.open("rb") as file:
            return file.read(4) in TIFF_MAGIC

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        path = existing_file(Path(source))
        check_tiff(path)
        check_tiff_chain(path)

        with decoding(source, "TIFF"), _opened(path) as tif:
            if self.series >= len(tif.series):
                raise DataError(f"{path} holds {len(tif.series)} series; there is no number {self.series} (from 0).")
            found = tif.series[self.series]
            _check_count(tif, found, path)
            full, unit = voxel_size(tif)
            names, metadata = channel_names(tif), georeference(found.keyframe)
            volumes: list[Volume] = []
            for level, shown in enumerate(found.levels):
                array = Reopening(_open_level, str(path), self.series, level)
                axes: Literal["zyx", "czyx"] = "czyx" if len(array.shape) == 4 else "zyx"
                first = volumes[0].spatial_shape if volumes else array.shape[-3:]
                z, y, x = (v * n / m for v, n, m in zip(full, first, array.shape[-3:], strict=True))
                volumes.append(
                    Volume(
                        array,
                        axes,
                        voxel_size=(z, y, x),
                        unit=unit,
                        chunks=_chunks(shown, array.shape),
                        source=source,
                        channel_names=names if len(array.shape) == 4 and len(names) == array.shape[0] else (),
                        metadata=metadata,
                    )
                )
            finest = volumes[0]
            return Volume(
                finest.array,
                finest.axes,
                finest.voxel_size,
                unit=unit,
                chunks=finest.chunks,
                levels=tuple(volumes[1:]),
                source=source,
                channel_names=finest.channel_names,
                metadata=metadata,
            )

    def saves(self, volume: Volume, path: str) -> bool:
        """Return whether the file is to be a TIFF; any volume can be one."""
        return Path(path).suffix.lower() in (".tif", ".tiff")

    def save(self, volume: Volume, path: Path, progress: Progress) -> None:
        """Write all voxels; see `segkit.opening.WritableFormat`."""
        from segkit_formats._tiff_saving import save_tiff

        save_tiff(volume, path, progress, ome=Path(path.stem).suffix.lower() == ".ome")


def _opened(path: Path) -> Any:
    import tifffile

    return tifffile.TiffFile(path)


def _open_level(path: str, series: int, level: int) -> Arranged:
    """Return one level of a series as (c, z, y, x) or (z, y, x); the file stays open for it."""
    tif = _opened(Path(path))
    try:
        found = tif.series[series].levels[level]
        arranged = arrange(_stored(tif, found, Path(path)), found.axes, path)
    except BaseException:
        tif.close()
        raise
    if isinstance(arranged.array, np.memmap):
        tif.close()
    else:
        weakref.finalize(arranged.array, tif.close)
    return arranged


def _stored(tif: Any, series: Any, path: Path) -> Any:
    dtype = None if series.dtype is None else np.dtype(series.dtype)
    if dtype is None or dtype.kind not in "biuf":
        raise DataError(f"{path} holds pixels of type {dtype}, which are no numbers to segment. Convert them first.")
    size = path.stat().st_size
    bytes_needed = math.prod(series.shape) * dtype.itemsize
    if series.dataoffset is not None:
        if series.dataoffset + bytes_needed > size:
            raise DataError(
                f"{path} should hold {bytes_needed} bytes of pixels from byte {series.dataoffset} and ends at byte {size}. It is "
                "incomplete; copy it again."
            )
        return np.memmap(path, dtype.newbyteorder(tif.byteorder), "r", series.dataoffset, tuple(series.shape))
    if series.keyframe.is_tiled:
        return _Tiles(series, path)
    return _pages(series, path, dtype)


def _pages(series: Any, path: Path, dtype: np.dtype[Any]) -> Planes:
    shape, count = tuple(series.shape), len(series.pages)
    leading = next((k for k in range(len(shape) + 1) if math.prod(shape[:k]) == count), None)
    if leading is None:
        raise DataError(
            f"{path} has {count} pages, which do not make up the shape {shape}. It is damaged; write it again."
        )

    def load(number: int) -> np.ndarray[Any, Any]:
        with decoding(f"{path} page {number}", "TIFF"):
            page = series.pages[number]
            if page is None:
                raise DataError("the page is missing")
            if Path(page.parent.filehandle.path) == path.absolute():
                check_tiff(path, page.offset)
            found = page.asarray()
            if found.size != math.prod(shape[leading:]) or found.dtype != dtype:
                raise DataError(f"the page is {found.shape} {found.dtype}, not {shape[leading:]} {dtype}")
            return found.reshape(shape[leading:])  # type: ignore[no-any-return]

    return Planes(shape, leading, dtype, load)


class _Tiles:
    """A tiled series, of which only the tiles are decoded that are asked for."""

    def __init__(self, series: Any, path: Path) -> None:
        import zarr

        self._array = zarr.open_array(series.aszarr(level=0), mode="r")
        self._path = path
        self._lock = Lock()
        self.shape, self.dtype = tuple(self._array.shape), self._array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        with self._lock, decoding(str(self._path), "TIFF"):
            return np.asarray(self._array[key])


def _check_count(tif: Any, series: Any, path: Path) -> None:
    """Refuse a stack of ImageJ's that has lost slices, which otherwise reads as one of fewer."""
    claimed = int((tif.imagej_metadata or {}).get("images", 1)) if tif.is_imagej else 1
    held = math.prod(series.shape) // max(1, math.prod(series.keyframe.shape))
    if claimed > held:
        raise DataError(f"{path} claims {claimed} slices and holds {held}. It is incomplete; copy it again.")


def _chunks(series: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that is decoded at once, ``(c, z, y, x)``; None if nothing needs decoding."""
    if series.dataoffset is not None:
        return None
    page = series.keyframe
    y, x = (page.tilelength, page.tilewidth) if page.is_tiled else shape[-2:]
    return (*shape[:-3], 1, min(int(y), shape[-2]), min(int(x), shape[-1]))
