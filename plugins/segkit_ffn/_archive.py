"""Reads arrays of an ``.npz`` archive, of which no byte is believed before it is checked."""

from __future__ import annotations

import re
import zipfile
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from segkit.errors import DataError
from segkit.opening import decoding

__all__ = ["names_in", "read_archive"]

Array = np.ndarray[Any, Any]

_LARGEST = 1 << 30


def names_in(path: Path) -> list[str] | None:
    """Return the names of the arrays in an archive; None if it is none, or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return None


def read_archive(path: Path, wanted: re.Pattern[str]) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays whose whole name matches a pattern, and the names of all.

    Parameters
    ----------
    path
        The file.
    wanted
        Pattern of names.

    Raises
    ------
    DataError
        If the file is damaged, or an array is not of plain numbers or not as large as its header says.
    """
    arrays: dict[str, Array] = {}
    with decoding(str(path), "an .npz archive"), zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        chosen = {name: member for name, member in members.items() if wanted.fullmatch(name)}
        total = sum(member.file_size for member in chosen.values())
        if total > _LARGEST:
            raise DataError(f"{path} claims to hold weights of {total} bytes; at most {_LARGEST} are read.")
        for name, member in chosen.items():
            with archive.open(member) as file:
                arrays[name] = _read_array(file, member.file_size, f"{path}: '{name}'")
    return arrays, list(members)


def _read_array(file: IO[bytes], size: int, what: str) -> Array:
    """Read one ``.npy``, after a look at its header: numpy would reserve whatever memory that asks for."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.kind not in "fiu":
        raise DataError(f"{what} is of the type {dtype}, and weights are numbers.")
    expected = prod(shape) * dtype.itemsize
    if expected != size - file.tell():
        raise DataError(f"{what} has {size - file.tell()} bytes, which is not {shape} of {dtype.name}.")
    values: Array = np.frombuffer(file.read(), dtype)
    if values.nbytes != expected:
        raise DataError(f"{what} is cut off after {values.nbytes} of {expected} bytes. Copy the file again.")
    return values.reshape(shape, order="F" if fortran else "C")
