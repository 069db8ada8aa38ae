"""NIfTI images of medicine through nibabel: mapped into memory where they are plain, read in slices where they are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from segkit import Volume
from segkit.errors import DataError
from segkit.opening import Arranged, Reopening, arrange, decoding, existing_file
from segkit.store import NANOMETRES
from segkit_formats._optional import optional_module

__all__ = ["Nifti"]

_AXES = "xyztc"
_UNITS = {"mm": "millimeter", "micron": "micrometer", "meter": "meter"}
_MOST_DEFLATED = 1100  # deflate makes nothing smaller than one thousandth


@dataclass(frozen=True, slots=True)
class Nifti:
    """See `segkit_formats.nifti`."""

    def accepts(self, source: str) -> bool:
        """Return whether it is a file called ``.nii`` or ``.nii.gz``."""
        return source.lower().endswith((".nii", ".nii.gz")) and Path(source).is_file()

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        path = existing_file(Path(source))
        array = Reopening(_open, str(path))
        with decoding(source, "NIfTI"):
            header = _load(path).header
            zooms = [float(v) for v in header.get_zooms()]
            unit = _UNITS.get(str(header.get_xyzt_units()[0]))
            affine = np.asarray(_load(path).affine, float)
        x, y, z = (*zooms[:3], *[zooms[1]] * (3 - len(zooms[:3])))
        factor = NANOMETRES[unit] if unit else 1.0
        size = (z * factor, y * factor, x * factor)
        usable = all(math.isfinite(v) and v > 0 for v in size)
        return Volume(
            array,
            array._array.axes,
            size if usable else (1.0, 1.0, 1.0),
            unit="nm" if unit and usable else "voxel",
            source=source,
            metadata={"affine": affine.tolist()} if np.isfinite(affine).all() else {},
        )


def _load(path: Path) -> Any:
    nibabel = optional_module("nibabel", path, "nibabel")
    return nibabel.Nifti1Image.from_filename(path) if _version(path) == 1 else nibabel.Nifti2Image.from_filename(path)


def _version(path: Path) -> int:
    """Return 2 for NIfTI-2, whose header begins with its own length."""
    import gzip

    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        start = file.read(4)
    return 2 if start in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else 1


def _open(source: str) -> Arranged:
    path = Path(source)
    with decoding(source, "NIfTI"):
        proxy = _load(path).dataobj
        stored, shape, size = np.dtype(proxy.dtype), tuple(int(n) for n in proxy.shape), path.stat().st_size
        if stored.kind not in "biuf" or not 2 <= len(shape) <= len(_AXES):
            raise DataError(f"{path} holds {shape} {stored}; an image is an array of numbers with 2 to 5 axes.")
        packed = path.suffix.lower() == ".gz"
        claimed = math.prod(shape) * stored.itemsize
        if min(shape) < 1 or claimed + (0 if packed else proxy.offset) > size * (_MOST_DEFLATED if packed else 1):
            raise DataError(
                f"{path} claims {shape} {stored} in {size} bytes. It is incomplete or damaged; copy it again."
            )
        plain = not packed and (proxy.slope, proxy.inter) == (1, 0)
        array: Any = np.memmap(path, stored, "r", proxy.offset, shape, "F") if plain else _Slices(proxy, source)
    return arrange(array, _AXES[: len(shape)], source)


class _Slices:
    """What nibabel unpacks or scales as it is read; scaled values are float32."""

    def __init__(self, proxy: Any, source: str) -> None:
        self._proxy, self._source, self._lock = proxy, source, Lock()
        self.shape = tuple(int(n) for n in proxy.shape)
        scaled = (proxy.slope, proxy.inter) != (1, 0)
        self.dtype = np.dtype(np.float32) if scaled else np.dtype(proxy.dtype)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        with self._lock, decoding(self._source, "NIfTI"):
            return np.asarray(self._proxy[key]).astype(self.dtype, copy=False)
