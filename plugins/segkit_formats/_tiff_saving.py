"""Writing a volume as one TIFF: uncompressed, each voxel at its place, so that blocks can come in any order.

ImageJ's own kind where it can hold the voxels, since Fiji then knows the voxel size at once; OME-TIFF where it is asked
for by name or ImageJ's kind cannot, as BigTIFF where 4 GiB are not enough.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from segkit import Box, Volume
from segkit.errors import DataError, StorageError
from segkit.geometry import Lattice
from segkit.store import choose_blocks

if TYPE_CHECKING:
    from segkit.progress import Progress

__all__ = ["save_tiff"]

_MOST_BYTES = 64 * 2**20
_CLASSIC = 2**32 - 2**25  # beyond, 32-bit offsets do not reach the directories behind the voxels
_STORED_AS = {"bool": "uint8", "float16": "float32"}
_IMAGEJ = ("uint8", "uint16", "float32")
_OME = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")


def save_tiff(volume: Volume, path: Path, progress: Progress, *, ome: bool) -> None:
    """Write all voxels to an empty file.

    Parameters
    ----------
    volume
        What is written. Booleans become 8-bit integers, half floats become floats.
    path
        The file.
    progress
        Called with the blocks done and the blocks in all.
    ome
        Whether it is to be an OME-TIFF.

    Raises
    ------
    StorageError
        If the disk has no room.
    DataError
        If OME-TIFF has no such voxels, as those of 64-bit integers.
    """
    import tifffile

    dtype = np.dtype(_STORED_AS.get(volume.dtype.name, volume.dtype)).newbyteorder("<")
    depth, height, width = volume.spatial_shape
    stored = (depth, volume.channels, height, width)
    need, free = int(np.prod(stored, dtype=object)) * dtype.itemsize, shutil.disk_usage(path.parent).free
    if need > free:
        raise StorageError(
            f"A TIFF of {volume.source} takes {need / 2**30:.2f} GiB, and {free / 2**30:.2f} GiB are free in {path.parent}. "
            "Make room, or write OME-Zarr, which is compressed."
        )
    description = _description(volume, dtype.name, need, ome=ome)
    # Without an axis of samples, tifffile takes a width of 1 for one.
    samples = (1,) if "imagej" in description else ()
    tifffile.imwrite(
        path,
        shape=(*(stored if volume.axes == "czyx" else volume.shape), *samples),
        dtype=dtype,
        byteorder="<",
        bigtiff=need > _CLASSIC,
        photometric="minisblack",
        software="segkit",
        **description,
    )
    with tifffile.TiffFile(path) as made:
        start = made.series[0].dataoffset
    if start is None:
        raise DataError(f"The voxels of {path} do not lie there in one piece. Write OME-Zarr instead.")
    lattice = Lattice(volume.box, _slab(volume))
    progress(0, len(lattice))
    with path.open("r+b") as file, ThreadPoolExecutor(1, "segkit-write") as writer:
        writing: Future[None] | None = None  # the block before, while the next is read
        for done, (box, voxels) in enumerate(zip(lattice, volume.read_blocks(lattice), strict=True)):
            block = voxels.reshape(volume.channels, *box.shape).astype(dtype, copy=False)
            if writing is not None:
                writing.result()
                progress(done, len(lattice))
            writing = writer.submit(_put, file, start, stored, box, block)
        if writing is not None:
            writing.result()
    progress(len(lattice), len(lattice))


def _description(volume: Volume, dtype: str, need: int, *, ome: bool) -> dict[str, Any]:
    """Return what tifffile writes of axes, voxel size and channel names."""
    z, y, x = volume.voxel_size
    axes, known = "ZCYX" if volume.axes == "czyx" else "ZYX", volume.unit == "nm"
    if dtype in _IMAGEJ and need <= _CLASSIC and not ome and not volume.channel_names:
        size = {"spacing": z / 1e3, "unit": "um"} if known else {}
        resolution = {"resolution": (1e3 / x, 1e3 / y)} if known else {}
        return {"imagej": True, "metadata": {"axes": f"{axes}S", **size}, **resolution}
    if dtype in _OME:
        metadata: dict[str, Any] = {"axes": axes}
        for axis, length in zip("ZYX", (z, y, x), strict=True):
            if known:
                metadata |= {f"PhysicalSize{axis}": length / 1e3, f"PhysicalSize{axis}Unit": "µm"}
        if volume.channel_names:
            metadata["Channel"] = {"Name": list(volume.channel_names)}
        return {"ome": True, "metadata": metadata}
    if ome:
        raise DataError(
            f"OME-TIFF has no pixels of type {dtype}, which {volume.source} holds. Call the file .tif instead of .ome.tif, or write "
            "OME-Zarr."
        )
    return {"ome": False, "metadata": {"axes": axes, **({"voxel_size_nm": [z, y, x]} if known else {})}}


def _slab(volume: Volume) -> tuple[int, int, int]:
    """Return a block of whole rows, whole chunks of the source, where they fit; otherwise a block as for a store."""
    depth, height, width = volume.spatial_shape
    row = volume.channels * width * volume.dtype.itemsize
    down, across = (min(c, n) for c, n in zip((volume.chunks or (1, 1, 1))[-3:-1], (depth, height), strict=True))
    if down * across * row > _MOST_BYTES:
        return choose_blocks(volume, None, None)[0]
    across = min(height, across * max(1, _MOST_BYTES // (down * across * row)))
    down = min(depth, down * max(1, _MOST_BYTES // (down * across * row))) if across == height else down
    return down, across, width


def _put(file: IO[bytes], start: int, stored: tuple[int, ...], box: Box, block: np.ndarray[Any, Any]) -> None:
    """Write a block ``(c, z, y, x)`` where it belongs in voxels stored as ``(z, c, y, x)``."""
    _, channels, height, width = stored
    (first, top, left), (_, _, right) = box.start, box.stop
    whole = right - left == width
    for c in range(channels):
        for z, plane in enumerate(block[c]):
            row = ((first + z) * channels + c) * height + top
            pieces = [plane] if whole else plane
            for y, piece in enumerate(pieces):
                file.seek(start + ((row + y) * width + left) * block.itemsize)
                file.write(np.ascontiguousarray(piece).data)
