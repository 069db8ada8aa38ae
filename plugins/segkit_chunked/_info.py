"""The ``info`` file of a precomputed volume, read with suspicion.

Source of the format: https://github.com/google/neuroglancer, src/datasource/precomputed/volume.md and sharded.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segkit.errors import DataError
from segkit_chunked._claims import check_grid, integers, lengths

__all__ = ["Info", "Scale", "read_info"]

ENCODINGS = ("raw", "jpeg", "png", "compressed_segmentation", "compresso")
_MOST_SCALES = 64
_MOST_CHANNELS = 4096
_MOST_MINISHARD_BITS = 22  # an index of 64 MiB


@dataclass(frozen=True, slots=True)
class Scale:
    """One resolution; all triples are ``(x, y, z)``, as in the file.

    Parameters
    ----------
    key
        Its folder.
    size, chunk
        In voxels.
    offset
        The first voxel, in global voxels of this scale.
    resolution
        Size of a voxel in nm.
    encoding
        One of `ENCODINGS`.
    sharding
        The items of how chunks are packed into files; empty where each is a file.
    extra
        The items of what else tensorstore wants to know of the encoding.
    """

    key: str
    size: tuple[int, ...]
    chunk: tuple[int, ...]
    offset: tuple[int, ...]
    resolution: tuple[float, ...]
    encoding: str
    sharding: tuple[tuple[str, Any], ...]
    extra: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Info:
    """What ``info`` says: the type of a voxel, ``"image"`` or ``"segmentation"``, and the scales, finest first."""

    dtype: str
    channels: int
    kind: str
    scales: tuple[Scale, ...]


def read_info(content: Mapping[str, Any], source: str) -> Info:
    """Check the content of ``info``.

    Raises
    ------
    DataError
        If it describes no volume, or one that cannot be meant.
    """
    try:
        scales = content["scales"]
        if not isinstance(scales, list) or not 1 <= len(scales) <= _MOST_SCALES:
            raise ValueError(f"it lists no scales, or more than {_MOST_SCALES}")
        dtype = str(content["data_type"]).lower()
        (channels,) = integers([content.get("num_channels", 1)], 1, "num_channels")
        if channels > _MOST_CHANNELS:
            raise ValueError(f"it has {channels} channels, more than {_MOST_CHANNELS}")
        kind = "segmentation" if content.get("type") == "segmentation" else "image"
        found = tuple(_scale(entry, channels, dtype) for entry in scales)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else f"it lacks or garbles something ({error!r})"
        raise DataError(
            f"{source}/info does not describe a volume that can be opened: {reason}. Copy or write it again."
        ) from error
    return Info(dtype, channels, kind, found)


def _scale(entry: Mapping[str, Any], channels: int, dtype: str) -> Scale:
    key = entry["key"]
    if not isinstance(key, str) or "://" in key or key.startswith("/") or ".." in key.split("/") or "\0" in key:
        raise ValueError(f"the key {str(key)[:60]!r} of a scale leads out of the volume")
    if max(map(len, key.encode().split(b"/"))) > 255:
        raise ValueError(f"the key {key[:60]!r} of a scale is too long for a file")
    size = integers(entry["size"], 3, "size")
    chunks = entry["chunk_sizes"]
    chunk = integers(chunks[0] if isinstance(chunks, list) and chunks else chunks, 3, "chunk_sizes")
    chunk = tuple(min(c, 2**31) for c in chunk)
    offset = integers(entry.get("voxel_offset", [0, 0, 0]), 3, "voxel_offset", least=-(2**53))
    encoding = entry["encoding"]
    if encoding not in ENCODINGS:
        raise ValueError(f"the encoding {str(encoding)[:60]!r} is none of {', '.join(ENCODINGS)}")
    check_grid((*size, channels), (*chunk, channels), dtype)
    extra: tuple[tuple[str, Any], ...] = ()
    if encoding == "compressed_segmentation":
        name = "compressed_segmentation_block_size"
        blocks = integers(entry[name], 3, name)
        if max(blocks) > 1024:
            raise ValueError(f"its {name} is {blocks}, beyond 1024")
        extra = ((name, blocks),)
    sharding = entry.get("sharding")
    return Scale(
        key,
        size,
        chunk,
        offset,
        lengths(entry["resolution"], 3, "resolution"),
        encoding,
        () if sharding is None else _sharding(sharding),
        extra,
    )


def _sharding(entry: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    bits = [entry[f"{name}_bits"] for name in ("preshift", "minishard", "shard")]
    preshift, minishard, shard = integers(bits, 3, "the bits of sharding", least=0)
    if max(preshift, shard) > 64 or minishard > _MOST_MINISHARD_BITS:
        raise ValueError(f"the bits of sharding are {bits}, beyond 64 or, for minishards, {_MOST_MINISHARD_BITS}")
    return (
        ("@type", "neuroglancer_uint64_sharded_v1"),
        ("preshift_bits", preshift),
        ("minishard_bits", minishard),
        ("shard_bits", shard),
        ("hash", str(entry["hash"])),
        ("minishard_index_encoding", str(entry.get("minishard_index_encoding", "raw"))),
        ("data_encoding", str(entry.get("data_encoding", "raw"))),
    )
