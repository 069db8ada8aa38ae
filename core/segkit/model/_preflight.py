"""What a prediction will take: time, memory and disk, from trying the network on a small tile."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segkit._resident import Peak, free_memory
from segkit.errors import StorageError, UsageError
from segkit.geometry import Triple
from segkit.store import level_factors

if TYPE_CHECKING:
    from segkit.model._predicted import PredictedArray
    from segkit.volume import Volume

__all__ = ["Preflight", "preflight"]

_GIB = 2**30
_TRIED_VOXELS = 1 << 18  # of small tiles; enough that the memory they take stands out


@dataclass(frozen=True)
class Preflight:
    """What a prediction will take.

    Parameters
    ----------
    tiles
        Tiles that the network will see, and their shape.
    tile_shape
        Shape of a tile, ``(z, y, x)``.
    network_voxels
        Voxels that the network sees for each voxel of the image.
    seconds
        Time for all of it, if nothing else slows the machine.
    memory, memory_free
        Bytes of memory that it takes beyond what is taken already, and that are free; of the GPU if it computes there. None
        where the system does not tell.
    disk, disk_free
        Bytes that will be written, as far as a compressed tile tells, and that are free; 0 and None where nothing is
        written.
    """

    tiles: int
    tile_shape: Triple
    network_voxels: float
    seconds: float
    memory: int | None
    memory_free: int | None
    disk: int
    disk_free: int | None

    def __str__(self) -> str:
        gib = [
            f"{self.tiles} tiles of {' x '.join(map(str, self.tile_shape))}, {self.network_voxels:.2f} times the image"
        ]
        gib.append(f"about {_duration(self.seconds)}")
        for name, need, free in (("memory", self.memory, self.memory_free), ("disk", self.disk, self.disk_free)):
            if need and free is not None:
                gib.append(f"{name} {need / _GIB:.2g} GiB of {free / _GIB:.3g} GiB free")
        return "; ".join(gib)

    def check(self) -> None:
        """Refuse what cannot fit.

        Raises
        ------
        UsageError
            If a tile takes more memory than is free.
        StorageError
            If less than half of the disk space is free that the output is likely to take.
        """
        if self.memory is not None and self.memory_free is not None and self.memory > self.memory_free:
            raise UsageError(
                f"A tile of {self.tile_shape} voxels (z, y, x) takes about {self.memory / _GIB:.1f} GiB of memory, and "
                f"{self.memory_free / _GIB:.1f} GiB are free. Choose smaller blocks (--block), close other programs, or use "
                "another device."
            )
        if self.disk_free is not None and self.disk / 2 > self.disk_free:
            raise StorageError(
                f"The prediction takes about {self.disk / _GIB:.2g} GiB, as a compressed tile tells, and "
                f"{self.disk_free / _GIB:.2g} GiB are free. Make room, predict a part (--region), or write half as much "
                "(--dtype float16)."
            )


def preflight(prediction: Volume, path: str | Path | None = None) -> Preflight:
    """Estimate what a lazy prediction will take.

    A tile of about half the edge is predicted, twice for the time; memory and time grow with its voxels. Of small tiles
    several are predicted at once, as they will be. The space on the disk is that of its voxels, compressed as they will be.

    Parameters
    ----------
    prediction
        As a `Model` returns it.
    path
        Where it will be written; None for nowhere.
    """
    import torch

    array = cast("PredictedArray", prediction.array)
    tiling, forward, image = array.tiling, array.forward, array.image
    shape = tuple(
        t if t <= 2 * s else max(s, t // 2 // s * s) for t, s in zip(tiling.tile_shape, tiling.stride, strict=True)
    )
    scale = prod(tiling.tile_shape) / prod(shape)
    start = [max(0, (n - t) // 2) for n, t in zip(image.spatial_shape, shape, strict=True)]
    from segkit.geometry import Box

    raw = image.read(Box.of_shape(shape, start)).reshape(-1, *shape)
    raw = np.where(np.isfinite(raw), raw, 0) if raw.dtype.kind == "f" else raw
    tile = torch.from_numpy(array.normalization(raw))[None].to(forward.device)
    tried = min(array.batch, max(1, _TRIED_VOXELS // prod(shape)))
    tile = tile.repeat(tried, 1, 1, 1, 1)
    crops = [tuple(slice(0, n) for n in shape)] * tried
    cuda = forward.device.type == "cuda"
    small = [min(n, 4 * s) for n, s in zip(shape, tiling.stride, strict=True)]
    # What libraries set up on their first call does not grow with the tile.
    forward(tile[:1, :, : small[0], : small[1], : small[2]], [tuple(slice(0, n) for n in small)])
    with Peak(enabled=not cuda) as peak:
        forward(tile, crops)
    if cuda:
        torch.cuda.reset_peak_memory_stats(forward.device)
        before = torch.cuda.memory_allocated(forward.device)
    began = perf_counter()
    outputs = forward(tile, crops)[0].cpu().numpy()
    seconds = perf_counter() - began
    count, at_once = len(tiling.lattice), scale * array.batch / tried
    memory: int | None
    memory_free: int | None
    if cuda:
        memory = int((torch.cuda.max_memory_allocated(forward.device) - before) * at_once)
        memory_free = torch.cuda.mem_get_info(forward.device)[0]
    else:
        block = prod(tiling.block_shape) * array.shape[0] * array.dtype.itemsize
        memory = None if peak.grown is None else int(peak.grown * at_once) + (2 * array.batch + 2) * block
        memory_free = free_memory()
    disk, disk_free = 0, None
    if path is not None:
        disk = int(
            prod(array.shape) * array.dtype.itemsize * _ratio(outputs.astype(array.dtype)) * _with_levels(prediction)
        )
        folder = Path(path).absolute()
        disk_free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    return Preflight(
        count,
        tiling.tile_shape,
        tiling.network_voxels / prod(image.spatial_shape),
        seconds * scale * count / tried,
        memory,
        memory_free,
        disk,
        disk_free,
    )


def _with_levels(prediction: Volume) -> float:
    """Return how many voxels all levels of a stored prediction have, for each of the finest."""
    factors = level_factors(prediction.spatial_shape, prediction.voxel_size)
    return sum(1 / prod(factor) for factor in factors)


def _ratio(voxels: np.ndarray[Any, Any]) -> float:
    """Return to what share of its size an array is compressed, with what segkit's stores use."""
    from imagecodecs import zstd_encode

    return len(zstd_encode(np.ascontiguousarray(voxels).tobytes(), level=3)) / max(1, voxels.nbytes)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
