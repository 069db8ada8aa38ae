"""HDF5: one dataset of a file, read through h5py in a process of its own, which a damaged file may crash."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit import Volume
from segkit.errors import DataError, did_you_mean
from segkit.opening import Arranged, Isolated, Reopening, arrange, existing_file

__all__ = ["Hdf5"]

_MAGIC = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
_AXES = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}
_CHUNK_CACHE = 64 * 2**20
_LARGEST_CHUNK = 2**29


def _parts(source: str) -> tuple[Path, str]:
    """Split ``file.h5:dataset``."""
    if Path(source).is_file():
        return Path(source), ""
    path, colon, name = source.rpartition(":")
    return (Path(path), name) if colon and "://" not in source else (Path(source), "")


@dataclass(frozen=True, slots=True)
class Hdf5:
    """See `segkit_formats.hdf5`."""

    def accepts(self, source: str) -> bool:
        """Return whether the part before the colon is a file that begins like HDF5 or is called so."""
        path, _ = _parts(source)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(8) == _MAGIC or path.suffix.lower() in _SUFFIXES

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        path, name = _parts(source)
        existing_file(path)
        facts = Isolated(open_dataset, str(path), name).facts
        array = Reopening(_open, str(path), facts["dataset"])
        arranged: Arranged = array._array
        chunks = facts["chunks"] and tuple(1 if axis is None else facts["chunks"][axis] for axis in arranged.order)
        size, offset = (tuple(facts[key]) for key in ("voxel_size", "offset"))
        return Volume(array, arranged.axes, size, offset, facts["unit"], chunks, source=f"{path}:{facts['dataset']}")


def _open(path: str, name: str) -> Arranged:
    """Return the dataset as (c, z, y, x) or (z, y, x): mapped into memory where it lies in one piece."""
    stored = Isolated(open_dataset, path, name)
    letters = "".join(stored.facts["letters"]) or _AXES[len(stored.shape)]
    place, size = stored.facts["place"], Path(path).stat().st_size
    if place is not None and place + math.prod(stored.shape) * stored.dtype.itemsize <= size:
        return arrange(np.memmap(path, stored.dtype, "r", place, stored.shape), letters, f"{path}:{name}")
    return arrange(stored, letters, f"{path}:{name}")


def open_dataset(path: str, name: str) -> tuple[Any, dict[str, Any]]:
    """Open a dataset and tell what the file says of it; called in the process that `Isolated` starts."""
    file = _file(Path(path))
    dataset = _choose(file, Path(path), name)
    stored = file[dataset]
    if stored.chunks and np.prod(stored.chunks, dtype=float) * stored.dtype.itemsize > _LARGEST_CHUNK:
        raise DataError(
            f"{path}:{dataset} is stored in chunks of {stored.chunks}, above 512 MiB each. Write it in smaller ones."
        )
    size, offset, unit = _position(stored)
    facts = {"dataset": dataset, "letters": _letters(stored), "voxel_size": size, "offset": offset, "unit": unit}
    return stored, {**facts, "chunks": stored.chunks, "place": _place(stored)}


def _place(stored: Any) -> int | None:
    """Return where in the file the voxels begin, if they lie there in one piece and as numpy has them."""
    import h5py

    properties = stored.id.get_create_plist()
    plain = properties.get_layout() == h5py.h5d.CONTIGUOUS and properties.get_external_count() == 0
    same = stored.id.get_type().equal(h5py.h5t.py_create(stored.dtype))
    place: int | None = stored.id.get_offset() if plain and same else None
    return place


def _file(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r", locking="best-effort", rdcc_nbytes=_CHUNK_CACHE)
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"{path} cannot be opened as HDF5: {reason}. It is incomplete or damaged; copy it again."
        ) from error


def _is_image(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and len(item.shape or ()) in _AXES


def _choose(file: Any, path: Path, name: str) -> str:
    """Return the name of the dataset: the one asked for, or the only one."""
    try:
        if name and name in file:
            if _is_image(file[name]):
                return name
            raise DataError(f"'{name}' in {path} is no array of numbers with 2 to 5 axes. Name a dataset that is.")
        found: list[str] = []
        file.visititems(lambda key, item: found.append(key) if _is_image(item) else None)
    except (RuntimeError, KeyError, OSError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged ({error}); copy it again.") from error
    listed = ", ".join(f"'{key}'" for key in found[:20]) or "none"
    if name:
        raise DataError(f"There is no dataset '{name}' in {path}.{did_you_mean(name, found)} Datasets there: {listed}.")
    if len(found) != 1:
        raise DataError(
            f"{path} holds {len(found)} datasets ({listed}); say which, as in {path}:{(found or ['name'])[0]}."
        )
    return found[0]


def _letters(stored: Any) -> list[str]:
    """Return the names of the axes, where the file has one letter for each."""
    letters = [str(dimension.label).lower() for dimension in stored.dims]
    return letters if all(len(letter) == 1 for letter in letters) and len(set(letters)) == len(letters) else []


def _position(stored: Any) -> tuple[tuple[float, float, float], tuple[float, float, float], Literal["nm", "voxel"]]:
    """Return voxel size, offset and unit from the attributes that ilastik, ImageJ (µm) and CREMI (nm) write."""

    def three(name: str, factor: float) -> tuple[float, float, float] | None:
        value = np.asarray(stored.attrs.get(name, ()))
        if value.shape != (3,) or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            return None
        z, y, x = (float(v) * factor for v in value)
        return z, y, x

    size = three("element_size_um", 1e3) or three("resolution", 1.0)
    if size is None or min(size) <= 0:
        return (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "voxel"
    return size, three("offset", 1.0) or (0.0, 0.0, 0.0), "nm"
