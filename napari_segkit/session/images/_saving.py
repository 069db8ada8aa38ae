"""Volumes that are only in memory, or were changed, are written into the project before a command can read them."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from segkit.volume import Volume

__all__ = ["is_place", "saved"]


def is_place(source: str) -> bool:
    """Return whether a source can be opened again: a path or URL, and not the name of a layer."""
    path = source.rpartition(":")[0] or source
    return "://" in source or Path(source).exists() or Path(path).is_file() or Path(source.partition("#")[0]).exists()


def saved(volume: Volume, folder: Path) -> str:
    """Return a source that opens this volume, after writing one that is in memory into `folder`.

    The same voxels are written once: their name tells them apart.
    """
    if is_place(volume.source) and not volume.metadata.get("changed"):
        return volume.source
    from segkit.writing import write_volume

    stem = re.sub(r"\W+", "-", Path(volume.source).stem).strip("-").lower() or "layer"
    facts = (volume.source, volume.shape, str(volume.dtype), volume.voxel_size, volume.offset, volume.unit)
    what = blake2b(repr(facts).encode(), digest_size=6)
    array: Any = volume.array
    if isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        for plane in array:
            what.update(np.ascontiguousarray(plane).tobytes())
    path = folder / f"{stem}-{what.hexdigest()}.zarr"
    write_volume(volume, path, plan={"kind": "layer"})
    return str(path)
