"""Reads the tensors of a TensorFlow checkpoint (version 2: an ``.index`` and its ``.data`` files) without TensorFlow.

The index is a table of LevelDB (https://github.com/google/leveldb/blob/main/doc/table_format.md) from names to protocol
buffers, ``BundleHeaderProto`` and ``BundleEntryProto`` of TensorFlow's ``tensor_bundle.proto``. Every offset is checked
before it is followed and every checksum before what it covers is used, so that a damaged file ends in an error.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from segkit.errors import DataError

__all__ = ["index_of", "read_checkpoint"]

Array = np.ndarray[Any, Any]

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # after each block: how it is compressed, and a checksum
_LARGEST_INDEX = 64 << 20
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
    19: np.dtype("<f2"),
}
_NAMED = re.compile(r"(?P<prefix>.+)\.(index|data-\d{5}-of-\d{5})")


def index_of(path: Path) -> Path | None:
    """Return the index of the checkpoint that a file is named as a part of; None where there is none, or no data."""
    found = _NAMED.fullmatch(path.name)
    if found is None:
        return None
    index = path.with_name(f"{found['prefix']}.index")
    return index if index.is_file() and any(path.parent.glob(f"{_literal(found['prefix'])}.data-*")) else None


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


class _Damage(Exception):
    """What is wrong with a file, for the one error that names it."""


def read_checkpoint(index: Path, wanted: re.Pattern[str]) -> tuple[dict[str, Array], list[str]]:
    """Return the tensors whose whole name matches a pattern, and the names of all.

    Parameters
    ----------
    index
        The file ``….index``; its data files lie beside it.
    wanted
        Pattern of names.

    Raises
    ------
    DataError
        If a file is missing, truncated, damaged, or written in a way that is not read here.
    """
    try:
        entries = _read_table(index)
        shards = _read_header(entries.pop(b"", b""))
        names = {name.decode("utf-8", "replace"): value for name, value in entries.items()}
        tensors = {}
        for name, value in names.items():
            if wanted.fullmatch(name):
                tensors[name] = _read_tensor(index, name, _Entry.parse(value), shards)
        return tensors, list(names)
    except _Damage as damage:
        raise DataError(
            f"{index} cannot be read as a TensorFlow checkpoint: {damage}. Copy the .index and all .data files again."
        ) from damage


def _read_table(path: Path) -> dict[bytes, bytes]:
    size = path.stat().st_size
    if not _FOOTER <= size <= _LARGEST_INDEX:
        raise _Damage(f"it has {size} bytes, and an index has {_FOOTER} to {_LARGEST_INDEX}")
    data = path.read_bytes()
    (magic,) = struct.unpack("<Q", data[-8:])
    if magic != _MAGIC:
        raise _Damage(f"it ends in {magic:#018x} and an index in {_MAGIC:#018x}, so it is truncated or something else")
    at = len(data) - _FOOTER
    for _ in range(2):  # the handle of the metaindex, which is empty
        _, at = _varint(data, at)
    handle = data[at:-8]
    entries: dict[bytes, bytes] = {}
    letters = 0
    for _, place in _block(data, handle):
        for key, value in _block(data, place):
            entries[key] = value
            letters += len(key) + 1
            if letters > _LARGEST_INDEX:  # keys share their beginnings, so that a small file may hold very many
                raise _Damage("its names do not end")
    return entries


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys and values of the block that a handle (offset and length) points at."""
    offset, at = _varint(handle, 0)
    length, _ = _varint(handle, at)
    end = offset + length
    if end + _TRAILER > len(data) - _FOOTER:
        raise _Damage(f"a block of {length} bytes at {offset} reaches beyond its end")
    kind, checksum = struct.unpack("<BI", data[end : end + _TRAILER])
    if _checksum(data[offset : end + 1]) != checksum:
        raise _Damage(f"the checksum of the block at {offset} is wrong")
    if kind:
        raise _Damage(f"the block at {offset} is compressed (kind {kind}), which TensorFlow does not do")
    block = data[offset:end]
    restarts = struct.unpack("<I", block[-4:])[0] if length >= 4 else length
    stop = length - 4 * (restarts + 1)
    at, key = 0, b""
    if stop < 0:
        raise _Damage(f"the block at {offset} has no room for its {restarts} restarts")
    while at < stop:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        amount, at = _varint(block, at)
        if shared > len(key) or at + own + amount > stop:
            raise _Damage(f"an entry of the block at {offset} reaches beyond it")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + amount]
        at += own + amount


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise _Damage("a number in it does not end")


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Return the numbers and values of the fields of a protocol buffer."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        length, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(data)), at)
        if at + length > len(data):
            raise _Damage("a field of it is cut off")
        piece = data[at : at + length]
        yield tag >> 3, piece if wire == 2 else int.from_bytes(piece, "little")
        at += length


def _read_header(data: bytes) -> int:
    """Return the number of data files."""
    header = dict(_fields(data))
    shards, order = header.get(1, 0), header.get(2, 0)
    if not isinstance(shards, int) or not 1 <= shards <= 99999:
        raise _Damage(f"its header counts {shards} data files")
    if order != 0:
        raise _Damage("its numbers are big-endian, which is not read here")
    return shards


@dataclass(frozen=True)
class _Entry:
    """Where a tensor lies."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int | None = None

    @classmethod
    def parse(cls, data: bytes) -> _Entry:
        found: dict[str, Any] = {}
        names = {1: "dtype", 2: "shape", 3: "shard", 4: "offset", 5: "size", 6: "checksum"}
        for number, value in _fields(data):
            if isinstance(value, bytes) != (number in (2, 7)) or number not in (*names, 7):
                raise _Damage(f"the description of a tensor has an odd field {number}")
            if number == 7:
                raise _Damage("a tensor is stored in slices, which is not read here; save it whole")
            found[names[number]] = _read_shape(value) if number == 2 else value
        return cls(**found)


def _read_shape(data: bytes) -> tuple[int, ...]:
    lengths = []
    for number, dimension in _fields(data):
        if number == 2 and isinstance(dimension, bytes):
            lengths.append(next((value for field, value in _fields(dimension) if field == 1), 0))
    if len(lengths) > 8 or not all(isinstance(length, int) for length in lengths):
        raise _Damage("the shape of a tensor is garbled")
    return tuple(lengths)


def _read_tensor(index: Path, name: str, entry: _Entry, shards: int) -> Array:
    dtype = _DTYPES.get(entry.dtype)
    if dtype is None:
        raise _Damage(f"'{name}' is of the type {entry.dtype}, which is not read here")
    if entry.size != prod(entry.shape) * dtype.itemsize:
        raise _Damage(f"'{name}' has {entry.size} bytes, which is not {entry.shape} of {dtype.name}")
    path = index.with_name(f"{index.name.removesuffix('.index')}.data-{entry.shard:05d}-of-{shards:05d}")
    length = path.stat().st_size if path.is_file() else None
    if length is None:
        raise _Damage(f"{path.name} is missing, where '{name}' is")
    if entry.offset + entry.size > length:
        raise _Damage(
            f"{path.name} is too short ({length} bytes): '{name}' lies at {entry.offset} to {entry.offset + entry.size}"
        )
    with path.open("rb") as file:
        file.seek(entry.offset)
        data = file.read(entry.size)
    if entry.checksum is not None and _checksum(data) != entry.checksum:
        raise _Damage(f"the checksum of '{name}' in {path.name} is wrong")
    values: Array = np.frombuffer(data, dtype).reshape(entry.shape)
    return values


def _checksum(data: bytes) -> int:
    """Return the CRC-32C as LevelDB stores it: rotated, so that a checksum of checksums means something."""
    plain: int = google_crc32c.value(data)
    return ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF
