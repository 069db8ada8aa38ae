"""One scale of a precomputed volume as an array in segkit's order, ``(z, y, x)`` or ``(c, z, y, x)``."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.store import Folder, StoredArray, context, failure, kvstore
from segkit_chunked._chunk_files import check_stored
from segkit_chunked._compresso import open_compresso
from segkit_chunked._info import Info

__all__ = ["open_scale"]


def open_scale(root: Folder, info: Info, index: int, strict: bool, timeout: float) -> Any:
    """Return an array-like of one scale; no request is made.

    Parameters
    ----------
    root
        The folder of ``info``.
    info
        Its content.
    index
        Which scale.
    strict
        Whether a chunk that is not there is an error.
    timeout
        Seconds, see `StoredArray`.

    Raises
    ------
    DataError
        If tensorstore refuses what ``info`` says.
    """
    place, scale = root / info.scales[index].key, info.scales[index]
    opener = open_compresso if scale.encoding == "compresso" else _open_by_tensorstore
    try:
        array = StoredArray(place, timeout, opener, root, info, index, strict)
    except DataError:
        raise
    except (ValueError, OSError, RuntimeError) as error:
        raise failure(root / "info", "", error) from error
    return _Sharded(array, root, info, index) if scale.sharding and strict else array


def _open_by_tensorstore(root: Folder, info: Info, index: int, strict: bool) -> Any:
    import tensorstore

    scale = info.scales[index]
    stated = {
        "key": scale.key,
        "size": scale.size,
        "voxel_offset": scale.offset,
        "chunk_size": scale.chunk,
        "resolution": scale.resolution,
        "encoding": scale.encoding,
        "sharding": dict(scale.sharding) or None,
        **dict(scale.extra),
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": kvstore(root),
        "multiscale_metadata": {"type": info.kind, "data_type": info.dtype, "num_channels": info.channels},
        "scale_metadata": stated,
        "assume_metadata": True,  # `info` has been read once for all scales
        "fill_missing_data_reads": not strict,
        "recheck_cached_data": "open",
    }
    array = tensorstore.open(spec, context=context(), open=True, read=True).result()
    array = array[tensorstore.d[:].translate_to[0]]
    return (array[..., 0] if info.channels == 1 else array).T


@dataclass(frozen=True, slots=True)
class _Sharded:
    """A scale in shards, in which chunks that read as zeros are looked up.

    tensorstore (seen in 0.1.86) fills in zeros for chunks that are missing in shards which hold whole boxes of chunks,
    although it is told not to.
    """

    array: StoredArray
    root: Folder
    info: Info
    index: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        return self.array.chunks

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        voxels = self.array[key]
        scale = self.info.scales[self.index]
        place = self.root / scale.key
        box = [(s.start, s.stop) for s in key[::-1][:3]]  # x, y, z
        grid = [range(a // c, -(-b // c)) for (a, b), c in zip(box, scale.chunk, strict=True)]
        suspects = []
        for position in itertools.product(*grid):
            inside = [
                slice(max(p * c - a, 0), (p + 1) * c - a)
                for p, c, (a, _) in zip(position, scale.chunk, box, strict=True)
            ]
            part: tuple[Any, ...] = (..., *inside[::-1])
            if not voxels[part].any():
                suspects.append(position)
        if suspects:
            try:
                with ThreadPoolExecutor(min(8, len(suspects))) as threads:
                    list(threads.map(lambda position: check_stored(place, scale, position), suspects))
            except (ValueError, OSError, RuntimeError) as error:
                region = ", ".join(f"{axis}{a}:{b}" for axis, (a, b) in zip("zyx", box[::-1], strict=True))
                raise failure(place, region, error) from error
        return voxels
