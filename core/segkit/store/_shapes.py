"""Which blocks and chunks suit a volume that is to be written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from segkit.errors import UsageError
from segkit.geometry import Triple
from segkit.volume import Volume

__all__ = ["choose_blocks"]

_CHUNK = 64
_BLOCK = 128
_FLAT_CHUNK = 256
_FLAT_BLOCK = 1024
_THIN_CHUNK = 16
_MOST_BYTES = 64 * 2**20


def choose_blocks(volume: Volume, block_shape: Triple | None, chunk_shape: Triple | None) -> tuple[Triple, Triple]:
    """Choose the blocks and chunks for a volume, where the user has not.

    A block holds at most 64 MiB (or one chunk). It is made of whole chunks of what the volume is stored in, so that
    nothing is decoded or computed twice: a stack of slices is cut into slabs, and the slabs into blocks only where the
    slices are very large.

    Returns
    -------
    tuple
        Shapes of a block and of a chunk, ``(z, y, x)``.

    Raises
    ------
    UsageError
        If what was chosen is not positive, or the blocks are not whole chunks.
    """
    for name, given in (("block_shape", block_shape), ("chunk_shape", chunk_shape)):
        if given is not None and (len(given) != 3 or min(given) < 1):
            raise UsageError(f"`{name}` is {given}; it takes three numbers (z, y, x) of at least 1.")
    shape = volume.spatial_shape
    flat = shape[0] == 1
    chunk_size, block_size = (_FLAT_CHUNK, _FLAT_BLOCK) if flat else (_CHUNK, _BLOCK)
    source = (volume.chunks or (0, 0, 0))[-3:]
    if chunk_shape is None:
        if block_shape is None:
            chunk = [_chunk_length(n, s, chunk_size) for n, s in zip(shape, source, strict=True)]
            slab = chunk[0] * shape[1] * shape[2] * volume.channels * volume.dtype.itemsize
            if not flat and source[0] == 1 and slab > _MOST_BYTES:
                chunk[0] = min(chunk[0], _THIN_CHUNK)  # cut across the slices less, so that each is read fewer times
        else:
            chunk = [_divisor(b, chunk_size) for b in block_shape]
    else:
        chunk = list(chunk_shape)
    block = list(block_shape or _block_lengths(volume, chunk, source, block_size))
    if any(b % c for b, c in zip(block, chunk, strict=True)):
        raise UsageError(
            f"Blocks of {tuple(block)} are not made of whole chunks of {tuple(chunk)}. Choose block_shape as a multiple of "
            "chunk_shape along each axis."
        )
    return cast("Triple", tuple(block)), cast("Triple", tuple(chunk))


def _divisor(length: int, most: int) -> int:
    """Return the largest divisor of a length that is at most `most`."""
    return next(d for d in range(min(most, length), 0, -1) if length % d == 0)


def _chunk_length(length: int, source: int, most: int) -> int:
    if length <= most:
        return length
    fitting = _divisor(source, most) if 1 < source < length else most
    return fitting if fitting >= most // 2 else most


def _block_lengths(volume: Volume, chunk: Sequence[int], source: Sequence[int], most: int) -> list[int]:
    bytes_per_voxel = volume.channels * volume.dtype.itemsize
    shape = volume.spatial_shape

    def fits(block: Sequence[int]) -> bool:
        return math.prod(block) * bytes_per_voxel <= _MOST_BYTES

    block = []
    for n, c, s in zip(shape, chunk, source, strict=True):
        wanted = min(max(s, most), n)
        whole = s if s > c else c  # whole chunks of the source where they are larger than ours
        length = max(1, wanted // whole) * whole
        block.append(-(-length // c) * c)
    while not fits(block):
        # First along the axes where the source is cut finer than the block, the longest first.
        order = [(b > max(c, s), b // c, axis) for axis, (b, c, s) in enumerate(zip(block, chunk, source, strict=True))]
        _, count, axis = max(order)
        if count < 2:
            break
        block[axis] = -(-count // 2) * chunk[axis]
    return block
