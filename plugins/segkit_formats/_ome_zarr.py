"""The format of segkit's own outputs, opened by `segkit.store`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segkit import Volume
from segkit.store import locate, open_zarr

__all__ = ["OmeZarr", "is_zarr"]

_PREFIX = re.compile(r"zarr[23]?://")


def is_zarr(folder: Path) -> bool:
    """Return whether a folder is a Zarr group or array, or calls itself one."""
    marked = any((folder / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup", ".zattrs"))
    return folder.is_dir() and (marked or folder.suffix == ".zarr")


@dataclass(frozen=True, slots=True)
class OmeZarr:
    """See `segkit_formats.ome_zarr`."""

    live: bool = False
    missing: Literal["error", "fill"] | None = None
    timeout: float = 60.0

    def accepts(self, source: str) -> bool:
        """Return whether there is a Zarr group or array; of a URL, whether ``.zarr`` is in it or ``zarr://`` before it."""
        if _PREFIX.match(source):
            return True
        if "://" in source and not source.startswith("file://"):
            return re.search(r"\.zarr([/?]|$)", source) is not None
        return is_zarr(Path(str(locate(source))))

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only."""
        return open_zarr(_PREFIX.sub("", source), live=self.live, missing=self.missing, timeout=self.timeout)
