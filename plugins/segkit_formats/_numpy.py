"""NumPy's ``.npy``: one array in a file, mapped into memory. Pickled objects are refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit import Volume
from segkit.errors import DataError
from segkit.opening import Arranged, Reopening, arrange

__all__ = ["Numpy"]

_AXES = {2: "yx", 3: "zyx", 4: "czyx"}


@dataclass(frozen=True, slots=True)
class Numpy:
    """See `segkit_formats.numpy`."""

    def accepts(self, source: str) -> bool:
        """Return whether it is a file that begins like ``.npy`` or is called so."""
        path = Path(source)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(6) == b"\x93NUMPY" or path.suffix.lower() == ".npy"

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        array = Reopening(_open, source)
        return Volume(array, array._array.axes, source=source)


def _open(source: str) -> Arranged:
    try:
        array: Any = np.load(source, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header is evaluated as a literal, which fails in many ways
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"{source} cannot be read as .npy: {reason}. It is damaged, or holds Python objects."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim not in _AXES:
        found = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{source} holds {found}; an image is an array of numbers with 2 to 4 axes. Save one as such.")
    return arrange(array, _AXES[array.ndim], source)
