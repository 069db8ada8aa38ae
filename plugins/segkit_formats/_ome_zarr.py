"""The format of segkit's own outputs, opened by `segkit.store`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segkit import Volume
from segkit.store import open_zarr

__all__ = ["OmeZarr", "is_zarr"]


def is_zarr(folder: Path) -> bool:
    """Return whether a folder is a Zarr group or array, or calls itself one."""
    marked = any((folder / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup", ".zattrs"))
    return folder.is_dir() and (marked or folder.suffix == ".zarr")


@dataclass(frozen=True, slots=True)
class OmeZarr:
    """See `segkit_formats.ome_zarr`."""

    live: bool = False

    def accepts(self, source: str) -> bool:
        """Return whether there is a Zarr group or array."""
        return is_zarr(Path(source))

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        return open_zarr(source, live=self.live)
