"""Weights of tiles where two of them overlap, along one axis; no weight volume is ever made.

A tile reaches an overlap further than its block. There it fades out while the next tile fades in. The weights of a voxel
are products of those of its three axes, and add up to 1 along each, so that a constant stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from segkit.geometry import Box
from segkit.model._tiling import Blend, Tiling

__all__ = ["blend_pieces", "contributors", "heirs", "piece_of"]

Array = np.ndarray[Any, Any]


def contributors(tiling: Tiling, block: int) -> list[int]:
    """Return the tiles that a block is made of, in order: its own and those before it along each axis."""
    if tiling.blend == "none":
        return [block]
    before = [
        (p - 1, p) if p > 0 and h > 0 else (p,)
        for p, h in zip(tiling.lattice.position(block), tiling.halo, strict=True)
    ]
    return [tiling.lattice.index((z, y, x)) for z in before[0] for y in before[1] for x in before[2]]


@lru_cache(maxsize=64)
def _rising(blend: Blend, block: int, overlap: int, start: int, stop: int) -> Array:
    """Return the weight of the later of two tiles, for voxels counted from where it begins.

    Weights are linear, or those of two Gaussians in the middle of either tile with a standard deviation of an eighth of
    it, as in nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z), divided by their sum.
    """
    place = np.arange(start, stop, dtype=np.float64) + 0.5
    if blend == "linear":
        share = place / overlap
    else:
        sigma = (block + overlap) / 8
        share = 1 / (1 + np.exp(np.clip(-block * (place - overlap / 2) / sigma**2, -700, 700)))
    return np.where(place < overlap, share, 1.0)


def blend_pieces(tiling: Tiling, block: int, pieces: Mapping[int, Array]) -> Array:
    """Add up what tiles say about a block, in the order of the tiles.

    Parameters
    ----------
    tiling
        The tiling.
    block
        Its index.
    pieces
        For each of its `contributors`, the outputs in the voxels that the tile shares with the block, ``(K, z, y, x)``. That
        of its own tile is changed.

    Returns
    -------
    numpy.ndarray
        ``(K, Z, Y, X)`` float32.
    """
    total = np.asarray(pieces[block], np.float32)
    box = tiling.block(block)
    for axis in range(3):
        overlap = 2 * tiling.halo[axis]
        if tiling.lattice.position(block)[axis] and overlap:
            rising = total[(slice(None),) * (axis + 1) + (slice(0, overlap),)]
            rising *= _weights(tiling, axis, 0, rising.shape[axis + 1])
    for tile, piece in pieces.items():
        if tile == block:
            continue
        shared = (tiling.support(tile) & box or box).relative_to(box.start)
        weighted = piece
        for axis in range(3):
            position, own = (tiling.lattice.position(index)[axis] for index in (block, tile))
            if position == 0 or tiling.halo[axis] == 0:
                continue
            rising = _weights(tiling, axis, shared.start[axis], shared.stop[axis])
            weighted = weighted * (rising if own == position else 1 - rising)
        total[(slice(None), *shared.slices)] += weighted
    return total


def _weights(tiling: Tiling, axis: int, start: int, stop: int) -> Array:
    """Return the weights of the later tile along an axis, shaped to be multiplied with ``(K, z, y, x)``."""
    rising = _rising(tiling.blend, tiling.block_shape[axis], 2 * tiling.halo[axis], start, stop)
    return rising.astype(np.float32).reshape([-1 if a == axis + 1 else 1 for a in range(4)])


def piece_of(tiling: Tiling, block: int, tile: int) -> Box | None:
    """Return the voxels that a block and the outputs of a tile share, counted from where those outputs begin."""
    support = tiling.support(tile)
    shared = support & tiling.block(block)
    return None if shared is None else shared.relative_to(support.start)


def heirs(tiling: Tiling, tile: int) -> list[int]:
    """Return the blocks that a tile contributes to, its own first."""
    if tiling.blend == "none":
        return [tile]
    counts = tiling.lattice.counts
    after = [
        (p, p + 1) if p + 1 < k and h > 0 else (p,)
        for p, k, h in zip(tiling.lattice.position(tile), counts, tiling.halo, strict=True)
    ]
    return [tiling.lattice.index((z, y, x)) for z in after[0] for y in after[1] for x in after[2]]
