"""The chunks of one scale as stored bytes, wherever they lie: each in a file, or packed into shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from segkit.store import Folder, Remote, context, kvstore, wait
from segkit_chunked._info import Scale

__all__ = ["check_stored", "read_chunk"]


@lru_cache(maxsize=64)
def _files(place: Folder, sharding: tuple[Any, ...]) -> Any:
    """Return the key-value store of a scale; `sharding` as in `Scale`."""
    import tensorstore

    spec: dict[str, Any] = kvstore(place)
    if sharding:
        # The index of a shard is kept in the one cache of all stores.
        spec = {"driver": "neuroglancer_uint64_sharded", "metadata": dict(sharding), "base": spec}
    timeout = place.timeout if isinstance(place, Remote) else 0.0
    return wait(tensorstore.KvStore.open(spec, context=context()), place, timeout)


def read_chunk(place: Folder, scale: Scale, position: Sequence[int], suffixes: Sequence[str] = ("",)) -> bytes | None:
    """Return the encoded bytes of one chunk, or None if it is not there.

    Parameters
    ----------
    place
        The folder of the scale.
    scale
        What ``info`` says of it.
    position
        Of the chunk in the grid, ``(x, y, z)``.
    suffixes
        Ends of file names under which it may lie.

    Raises
    ------
    ValueError, OSError, RuntimeError
        If it cannot be read.
    """
    if scale.sharding:
        keys: Sequence[Any] = [_morton(scale, position).to_bytes(8, "big")]
    else:
        ends = [
            (o + p * c, o + min((p + 1) * c, n))
            for o, p, c, n in zip(scale.offset, position, scale.chunk, scale.size, strict=True)
        ]
        keys = ["_".join(f"{a}-{b}" for a, b in ends) + suffix for suffix in suffixes]
    files = _files(place, scale.sharding)
    for key in keys:
        timeout = place.timeout if isinstance(place, Remote) else 0.0
        found = wait(files.read(key), place, timeout)
        if found.state == "value":
            return bytes(found.value)
    return None


@lru_cache(maxsize=65536)
def check_stored(place: Folder, scale: Scale, position: tuple[int, ...]) -> None:
    """Raise a `FileNotFoundError` if a chunk is not there; those that are there are asked for once."""
    if read_chunk(place, scale, position) is None:
        raise FileNotFoundError(f"NOT_FOUND: the chunk {position} (x, y, z) of the grid is missing in its shard")


def _morton(scale: Scale, position: Sequence[int]) -> int:
    """Return the number of a chunk: the bits of its position interleaved, as far as the grid has them."""
    grid = [-(-n // c) for n, c in zip(scale.size, scale.chunk, strict=True)]
    number, at = 0, 0
    for bit in range(max(grid).bit_length()):
        for axis in range(3):
            if (1 << bit) < grid[axis]:
                number |= (position[axis] >> bit & 1) << at
                at += 1
    return number
