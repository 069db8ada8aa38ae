"""What one directory of a TIFF claims, read directly and held against the size of the file.

Decoders trust these claims: a few changed bytes can make them walk millions of strips or allocate what no machine has.
Source: TIFF 6.0 specification, section 2; BigTIFF.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from segkit.errors import DataError

__all__ = ["TIFF_MAGIC", "TiffHeader", "check_tiff", "check_tiff_chain"]

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_TAGS = 4096
_DESCRIPTIONS = (270, 50838, 50839)  # where OME and ImageJ write axes and voxel size
_MOST_TILE_BYTES = 2**28
_LEAST_LIMIT = 2**26
_HIGHEST_RATIO = 20_000
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """Size, samples, bits and compression of an image in a TIFF, whether another one follows, and which tags there are."""

    width: int
    length: int
    samples: int
    bits: tuple[int, ...]
    kind: int
    compression: int
    more: bool
    tags: frozenset[int]


def check_tiff(path: Path, offset: int | None = None) -> TiffHeader:
    """Read one directory of a TIFF and check that the file can hold what it claims.

    Parameters
    ----------
    path
        The file.
    offset
        Where the directory begins; None for the first.

    Raises
    ------
    DataError
        If it cannot be read, or claims too much.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            tags, following, names = _directory(file, size, offset)
            header = _check(tags, size, following, names)
        except (struct.error, ValueError, KeyError, IndexError, OverflowError) as error:
            what = f"it lacks tag {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{path} is no TIFF that can be read: {what}. It is damaged or incomplete; copy it again."
            ) from error
    return header


def check_tiff_chain(path: Path) -> None:
    """Follow the chain of directories of a TIFF to its end.

    Decoders take a chain that breaks off for a shorter image.

    Raises
    ------
    DataError
        If it leads out of the file or back into itself.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order, big = _byte_order(_read(file, size, 0, 4))
        width, word, count_width = (8, "Q", 8) if big else (4, "I", 2)
        (offset,) = struct.unpack(order + word, _read(file, size, width, width))
        seen: set[int] = set()
        while offset:
            try:
                if offset in seen:
                    raise ValueError("its directories lead in a circle")
                seen.add(offset)
                (count,) = struct.unpack(order + ("Q" if big else "H"), _read(file, size, offset, count_width))
                end = offset + count_width + count * (4 + 2 * width)
                (offset,) = struct.unpack(order + word, _read(file, size, end, width))
            except ValueError as error:
                raise DataError(
                    f"{path} breaks off after {len(seen)} images: {error}. It is damaged or incomplete; copy it again."
                ) from error


def _byte_order(magic: bytes) -> tuple[str, bool]:
    """Return the byte order, and whether it is a BigTIFF."""
    if magic not in TIFF_MAGIC:
        raise ValueError(f"it begins with {magic!r}")
    return "<" if magic[:1] == b"I" else ">", magic[2:] in (b"+\0", b"\0+")


def _read(file: IO[bytes], size: int, start: int, length: int) -> bytes:
    if start < 0 or length < 0 or start + length > size:
        raise ValueError(f"it ends at byte {size}, before byte {start + length} where its directory reaches")
    file.seek(start)
    return file.read(length)


def _directory(
    file: IO[bytes], size: int, offset: int | None
) -> tuple[dict[int, tuple[int, tuple[int, ...]]], int, frozenset[int]]:
    """Return count and first values of each tag of whole numbers, where the next directory begins, and all tags."""
    order, big = _byte_order(_read(file, size, 0, 4))
    if offset is None:
        start = 8 if big else 4
        (offset,) = struct.unpack(order + ("Q" if big else "I"), _read(file, size, start, 8 if big else 4))
    width = 8 if big else 4
    (count,) = struct.unpack(order + ("Q" if big else "H"), _read(file, size, offset, 8 if big else 2))
    if count > _MOST_TAGS:
        raise ValueError(f"its directory claims {count} tags")
    first, entry = offset + (8 if big else 2), 4 + 2 * width
    table = _read(file, size, first, count * entry)
    tags, names = {}, set()
    for i in range(count):
        raw = table[i * entry : (i + 1) * entry]
        tag, kind, values = struct.unpack(order + ("HHQ" if big else "HHI"), raw[: 4 + width])
        names.add(tag)
        length = values * _SIZES.get(kind, 1)
        place = first + i * entry + 4 + width
        if length > width:
            (place,) = struct.unpack(order + ("Q" if big else "I"), raw[4 + width :])
        if (kind in _CODES or tag in _DESCRIPTIONS) and place + length > size:
            raise ValueError(f"tag {tag} claims {values} values, beyond its end at byte {size}")
        if kind in _CODES:
            few = min(values, 16)
            found = struct.unpack(f"{order}{few}{_CODES[kind]}", _read(file, size, place, few * _SIZES[kind]))
            tags[tag] = (values, found)
    end = first + count * entry
    following = 0
    if end + width <= size:
        (following,) = struct.unpack(order + ("Q" if big else "I"), _read(file, size, end, width))
    return tags, following, frozenset(names)


def _check(
    tags: dict[int, tuple[int, tuple[int, ...]]], size: int, following: int, names: frozenset[int]
) -> TiffHeader:
    def one(tag: int, default: int) -> int:
        return tags[tag][1][0] if tag in tags and tags[tag][1] else default

    width, length, depth = tags[256][1][0], tags[257][1][0], one(32997, 1)
    samples, compression = one(277, 1), one(259, 1)
    bits = tags[258][1] if 258 in tags else (1,)
    if min(width, length, depth, samples, *bits, 1) < 1 or max(bits) > 128 or samples > 65535:
        raise ValueError(f"it claims {length} x {width} pixels of {samples} samples with {bits} bits")
    tiled = 322 in tags or 323 in tags
    across, down = (tags[322][1][0], tags[323][1][0]) if tiled else (width, min(one(278, length), length))
    if across < 1 or down < 1:
        raise ValueError(f"it claims strips or tiles of {down} x {across} pixels")
    segments = math.ceil(width / across) * math.ceil(length / down) * (samples if one(284, 1) == 2 else 1)
    segments *= math.ceil(depth / max(1, one(32998, 1)))
    listed = max(tags.get(tag, (0, ()))[0] for tag in (273, 324))
    if segments > listed:
        raise ValueError(f"it needs {segments} strips or tiles and lists {listed}")
    row = math.ceil(width * samples * max(bits) / 8)
    if compression == 1 and row * length * depth > 2 * size + _LEAST_LIMIT:
        raise ValueError(f"it claims {row * length * depth} bytes of pixels in a file of {size}")
    if row * length * depth > max(_LEAST_LIMIT, _HIGHEST_RATIO * size):
        raise ValueError(f"it claims {row * length * depth} bytes of pixels, compressed into {size}")
    if tiled and across * down * samples * max(bits) // 8 > max(_MOST_TILE_BYTES, row * length):
        raise ValueError(f"it claims tiles of {down} x {across} pixels")
    return TiffHeader(width, length, samples, bits, one(339, 1), compression, following != 0, names)
