"""Volumes that are only in memory are written into the project before a command can read them."""

from __future__ import annotations

import re
from pathlib import Path

from segkit.volume import Volume

__all__ = ["is_place", "saved"]


def is_place(source: str) -> bool:
    """Return whether a source can be opened again: a path or URL, and not the name of a layer."""
    path = source.rpartition(":")[0] or source
    return "://" in source or Path(source).exists() or Path(path).is_file()


def saved(volume: Volume, folder: Path) -> str:
    """Return a source that opens this volume, after writing one that is in memory into `folder`."""
    if is_place(volume.source):
        return volume.source
    from segkit.writing import write_volume

    stem = re.sub(r"\W+", "-", volume.source).strip("-").lower() or "layer"
    path, number = folder / f"{stem}.zarr", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.zarr"
    write_volume(volume, path)
    return str(path)
