"""Single PNG and JPEG pictures, and stacks of slices that lie in one file each."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit import Volume
from segkit.errors import DataError, SegkitError
from segkit.opening import Arranged, Reopening, arrange, check_tiff, existing_file
from segkit_formats._ome_zarr import is_zarr
from segkit_formats._planes import Planes

__all__ = ["Picture", "Slices"]

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFFS = (".tif", ".tiff")
_SUFFIXES = (*_TIFFS, ".png", ".jpg", ".jpeg")
_LEAST_LIMIT = 2**26
_HIGHEST_RATIO = 2000


@dataclass(frozen=True, slots=True)
class Picture:
    """See `segkit_formats.image`."""

    def accepts(self, source: str) -> bool:
        """Return whether it is a file that begins like PNG or JPEG, or is called one."""
        path = Path(source)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(8)
        return start == _PNG or start[:3] == _JPEG or path.suffix.lower() in (".png", ".jpg", ".jpeg")

    def open(self, source: str) -> Volume:
        """Open it; a picture is decoded to know its type."""
        return _stack((existing_file(Path(source)),), source)


@dataclass(frozen=True, slots=True)
class Slices:
    """See `segkit_formats.slices`."""

    def accepts(self, source: str) -> bool:
        """Return whether it is a folder with several pictures, or a pattern of files."""
        folder = Path(source)
        if folder.is_dir():
            return not is_zarr(folder) and len(_pictures_in(folder)) > 1
        return _is_pattern(source) and Path(source).suffix.lower() in (*_SUFFIXES, "", ".*")

    def open(self, source: str) -> Volume:
        """Open it, reading the header of each slice; the first is decoded to know its type."""
        if Path(source).is_dir():
            paths = _pictures_in(Path(source))
            kinds = sorted({path.suffix.lower() for path in paths})
            if len(kinds) > 1:
                raise DataError(
                    f"{source} holds pictures of several kinds ({', '.join(kinds)}). Say which, such as '{source}/*{kinds[0]}'."
                )
        else:
            paths = sorted(_matching(source) if _is_pattern(source) else [existing_file(Path(source))], key=_natural)
        if not paths:
            raise DataError(f"No file fits {source}. Check the spelling; relative patterns start from {Path.cwd()}.")
        return _stack(tuple(paths), source)


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matching(pattern: str) -> list[Path]:
    """Return the files that fit a pattern such as ``slices/*.png``."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if _is_pattern(part))
    return [path for path in Path(*parts[:first]).glob(str(Path(*parts[first:]))) if path.is_file()]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort numbers within names by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _pictures_in(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    return sorted(found, key=_natural)


def _stack(paths: tuple[Path, ...], source: str) -> Volume:
    headers: dict[tuple[Any, ...], Path] = {}
    for path in paths:
        header = _header(path)
        headers.setdefault(header, path)
        if len(headers) > 1:
            (one, first), (other, second) = headers.items()
            raise DataError(
                f"{second} is {other[1]} x {other[2]} pixels ({other[0]} {other[3:]}), but {first} is {one[1]} x {one[2]} ({one[0]} "
                f"{one[3:]}). The slices of a volume are all alike; move the others elsewhere, or use a narrower pattern."
            )
    array = Reopening(_open_stack, paths)
    axes = array._array.axes
    return Volume(array, axes, chunks=(*array.shape[:-3], 1, *array.shape[-2:]), source=source)


def _open_stack(paths: tuple[Path, ...]) -> Arranged:
    first = _decode(paths[0])

    def load(number: int) -> np.ndarray[Any, Any]:
        plane = _decode(paths[number])
        if plane.shape != first.shape or plane.dtype != first.dtype:
            raise DataError(
                f"{paths[number]} is {plane.shape} {plane.dtype}, but {paths[0]} is {first.shape} {first.dtype}. The slices of a "
                "volume are all alike; convert this one."
            )
        return plane

    planes = Planes((len(paths), *first.shape), 1, first.dtype, load)
    return arrange(planes, "zyxs"[: 1 + first.ndim], str(paths[0]))


def _header(path: Path) -> tuple[Any, ...]:
    """Return kind, height, width and what else must be alike among slices, after checking that the file can hold it."""
    if path.suffix.lower() in _TIFFS:
        tiff = check_tiff(path)
        if tiff.more:
            raise DataError(f"{path} holds several images, so it is not one slice. Open it by itself.")
        return "TIFF", tiff.length, tiff.width, tiff.samples, max(tiff.bits), tiff.kind
    data_size = path.stat().st_size
    try:
        with path.open("rb") as file:
            start = file.read(33)
            if start.startswith(_PNG):
                width, height, depth, colour = struct.unpack(">IIBB", start[16:26])
                file.seek(max(0, data_size - 4096))
                ended = b"IEND" in file.read()
                kind: tuple[Any, ...] = ("PNG", height, width, depth, colour)
            elif start.startswith(_JPEG):
                height, width, samples = _jpeg_size(path)
                file.seek(max(0, data_size - 65536))
                ended = b"\xff\xd9" in file.read()
                kind = ("JPEG", height, width, samples)
            else:
                raise ValueError(f"it begins with {start[:8]!r}")
        if not ended:
            raise ValueError("its end is missing")
        if not 0 < height * width * 8 <= max(_LEAST_LIMIT, _HIGHEST_RATIO * data_size):
            raise ValueError(f"it claims {height} x {width} pixels in {data_size} bytes")
    except (struct.error, ValueError, IndexError) as error:
        raise DataError(
            f"{path} is no picture that can be read: {error}. It is damaged or incomplete; copy it again."
        ) from error
    return kind


def _jpeg_size(path: Path) -> tuple[int, int, int]:
    """Return height, width and samples from the frame header of a JPEG (ITU-T T.81, B.2.2)."""
    with path.open("rb") as file:
        file.seek(2)
        while True:
            marker = file.read(2)
            if len(marker) < 2 or marker[0] != 0xFF:
                raise ValueError("it has no frame header")
            if marker[1] == 0xFF:
                file.seek(-1, 1)
                continue
            (length,) = struct.unpack(">H", file.read(2))
            if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                _, height, width, samples = struct.unpack(">BHHB", file.read(6))
                return height, width, samples
            file.seek(max(0, length - 2), 1)


def _decode(path: Path) -> np.ndarray[Any, Any]:
    _header(path)
    try:
        if path.suffix.lower() in _TIFFS:
            import tifffile

            with tifffile.TiffFile(path) as tif:
                voxels = tif.pages[0].asarray()
        else:
            import imagecodecs

            data = path.read_bytes()
            if data.startswith(_PNG):
                voxels = _without_alpha(imagecodecs.png_decode(data))
            else:
                voxels = imagecodecs.jpeg8_decode(data)
        voxels = np.asarray(voxels)
        if voxels.ndim not in (2, 3) or voxels.dtype.kind not in "biuf":
            raise ValueError(f"it holds {voxels.shape} {voxels.dtype}")
    except SegkitError:
        raise
    except Exception as error:  # decoders raise many kinds of exceptions on damaged files
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{path} cannot be decoded: {reason}. It is damaged; copy it again.") from error
    return voxels


def _without_alpha(voxels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Leave out the last of 2 or 4 channels where it says that nothing is transparent: many programs add such a one."""
    if voxels.ndim != 3 or voxels.shape[2] not in (2, 4) or (voxels[..., -1] != np.iinfo(voxels.dtype).max).any():
        return voxels
    return voxels[..., 0] if voxels.shape[2] == 2 else voxels[..., :3]
