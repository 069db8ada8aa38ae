"""MRC maps of electron tomography and single particles: the header through mrcfile, the voxels mapped into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit import Volume
from segkit.errors import DataError
from segkit.opening import Arranged, Reopening, arrange, decoding, existing_file
from segkit_formats._optional import optional_module

__all__ = ["Mrc"]

_SUFFIXES = (".mrc", ".mrcs", ".rec", ".st", ".ali", ".map", ".ccp4")
_MARK = slice(208, 211)  # of the header, where every file since 2000 says "MAP"
_NANOMETRES = 0.1  # an ångström


@dataclass(frozen=True, slots=True)
class Mrc:
    """See `segkit_formats.mrc`."""

    def accepts(self, source: str) -> bool:
        """Return whether it is a file that is called like a map and has its mark."""
        path = Path(source)
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(256)[_MARK] == b"MAP"

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        path = existing_file(Path(source))
        array = Reopening(_open, str(path))
        _, facts = _look(path)
        size = tuple(facts["voxel_size"])
        known = all(np.isfinite(v) and v > 0 for v in size)
        return Volume(
            array,
            array._array.axes,
            size if known else (1.0, 1.0, 1.0),
            facts["origin"] if known and np.isfinite(facts["origin"]).all() else (0.0, 0.0, 0.0),
            "nm" if known else "voxel",
            source=source,
        )


def _open(source: str) -> Arranged:
    array, facts = _look(Path(source))
    return arrange(array, facts["axes"], source)


def _look(path: Path) -> tuple[np.memmap[Any, Any], dict[str, Any]]:
    """Return the voxels as they lie in the file, the letters of their axes, and voxel size and origin in nm."""
    mrcfile = optional_module("mrcfile", path, "mrcfile")
    with decoding(str(path), "MRC"), mrcfile.mmap(path, mode="r") as file:
        data, header = file.data, file.header
        if data.dtype.kind not in "biuf":
            raise DataError(f"{path} holds voxels of type {data.dtype}, which are no numbers to segment.")
        letters = {1: "x", 2: "y", 3: "z"}
        order = [letters.get(int(header[name]), "?") for name in ("maps", "mapr", "mapc")]
        axes = ("t" * (data.ndim - 3) + "".join(order)) if sorted(order) == ["x", "y", "z"] else "tzyx"
        cells, counts = header.cella, {"x": header.mx, "y": header.my, "z": header.mz}
        sizes = [float(cells[axis]) / max(1, int(counts[axis])) * _NANOMETRES for axis in "zyx"]
        origin = [float(header.origin[axis]) * _NANOMETRES for axis in "zyx"]
        array = np.memmap(path, data.dtype, "r", data.offset, data.shape)
        return array, {"axes": axes[-data.ndim :], "voxel_size": sizes, "origin": tuple(origin)}
