"""How an image is cut for prediction: blocks that are returned, and the tiles of one shape that the network sees.

A tile holds its block and the context around it. At the borders of the image tiles are shifted inwards instead of
reaching beyond it, so that the network sees voxels that exist; only where the image is shorter than a tile, or not a
multiple of the network's stride, are the last voxels reflected. Tiles begin at multiples of the stride, at which a
network that pools treats voxels as it does in the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import lcm, prod
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from segkit.errors import UsageError
from segkit.geometry import Box, Lattice, Triple
from segkit.volume import Volume

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Blend", "Tiling", "choose_batch", "choose_tiling"]

Blend = Literal["none", "linear", "gaussian"]

_TILE_VOXELS = 3 << 20  # about 146^3: beyond that a CPU or GPU gets no faster, and memory only grows
_COST_OF_A_TILE = 1 << 14  # what calling the network costs besides its voxels, in voxels
_BUSY, _BUSY_GPU = 1 << 18, 1 << 22  # voxels that are worth a call of the network
_CHUNK = 16  # blocks are multiples of it, for stores whose chunks divide them


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step


@dataclass(frozen=True)
class Tiling:
    """Blocks and tiles of an image.

    Parameters
    ----------
    shape
        Extent of the image, ``(z, y, x)``.
    block_shape
        What one tile is responsible for, ``(z, y, x)``.
    halo
        Least context (z, y, x) on each side of a block inside the image. Where tiles are blended there is twice as much
        behind a block and none before it.
    stride
        Tiles begin at multiples of it, and their lengths are multiples.
    blend
        How voxels that two tiles hold are made of both: not at all, or weighted along each axis.
    shift
        How far (z, y, x) before the image the first block begins.
    """

    shape: Triple
    block_shape: Triple
    halo: Triple
    stride: Triple = (1, 1, 1)
    blend: Blend = "none"
    shift: Triple = (0, 0, 0)

    def __post_init__(self) -> None:
        if min(self.block_shape) < 1 or min(self.halo) < 0:
            raise UsageError(
                f"Blocks of {self.block_shape} voxels with a halo of {self.halo} cannot be predicted. A block has at least 1 "
                "voxel along each axis, a halo at least 0."
            )
        counts = self.lattice.counts
        if self.blend != "none" and any(
            k > 1 and 2 * h > b for k, h, b in zip(counts, self.halo, self.block_shape, strict=True)
        ):
            raise UsageError(
                f"Tiles cannot be blended over twice the halo {self.halo} when a block is only {self.block_shape}: three tiles "
                "would meet. Use blocks of at least twice the halo, or a smaller halo."
            )

    @cached_property
    def lattice(self) -> Lattice:
        """The blocks; those at the near borders begin outside the image where there is a shift."""
        start = cast("Triple", tuple(-s for s in self.shift))
        return Lattice(Box(start, self.shape), self.block_shape)

    @cached_property
    def tile_shape(self) -> Triple:
        """Shape of all tiles, ``(z, y, x)``."""
        lengths = [
            tile_length(n, b, h, s, blended=self.blend != "none", shifted=shift > 0)
            for n, b, h, s, shift in zip(self.shape, self.block_shape, self.halo, self.stride, self.shift, strict=True)
        ]
        if max(self.stride) > 1 and lengths == list(self.stride):
            # A network normalises its coarsest features, which takes more than one of them.
            lengths = [2 * n if n > 1 else n for n in lengths]
        return cast("Triple", tuple(lengths))

    def block(self, index: int) -> Box:
        """Return the voxels of the image that block `index` holds."""
        box = self.lattice[index] & Box.of_shape(self.shape)
        assert box is not None
        return box

    def tile(self, index: int) -> Box:
        """Return what the network sees for block `index`; it may reach beyond the far borders of the image."""
        start = []
        margin = self.halo if self.blend == "none" else (0, 0, 0)
        for a, m, s, n, t in zip(
            self.block(index).start, margin, self.stride, self.shape, self.tile_shape, strict=True
        ):
            last = max(0, _ceil(n, s) - t)
            start.append(min(max(0, (a - m) // s * s), last))
        return Box.of_shape(self.tile_shape, start)

    def support(self, index: int) -> Box:
        """Return the voxels of the image whose prediction tile `index` contributes to."""
        block = self.block(index)
        if self.blend == "none":
            return block
        stop = [min(b + 2 * h, n) for b, h, n in zip(block.stop, self.halo, self.shape, strict=True)]
        return Box(block.start, cast("Triple", tuple(stop)))

    @property
    def network_voxels(self) -> int:
        """Number of voxels that the network sees in all; divided by those of the image, what tiling costs."""
        return len(self.lattice) * prod(self.tile_shape)

    def shifted(self) -> Tiling:
        """Return another tiling of the same image, whose faces lie in the middle of the blocks of this one."""
        shift = [
            (b // 2 // s * s if k > 1 else 0)
            for b, s, k in zip(self.block_shape, self.stride, self.lattice.counts, strict=True)
        ]
        return replace(self, shift=cast("Triple", tuple(shift)))


def tile_length(n: int, block: int, halo: int, stride: int, *, blended: bool = False, shifted: bool = False) -> int:
    """Return how long tiles must be along an axis of `n` voxels for every block to have its context."""
    longest, count = _ceil(n, stride), -(-n // block)
    if count == 1 and not shifted:
        return longest
    even = block % stride == 0
    if blended:
        return min(longest, _ceil(block + 2 * halo + (0 if even else stride - 1), stride))
    if count == 2 and not shifted:
        far = max(0, (block - halo) // stride * stride)
        return min(longest, max(_ceil(block + halo, stride), longest - far))
    phase = -halo % stride if even else stride - 1
    return min(longest, _ceil(block + 2 * halo + phase, stride))


def choose_tiling(
    network: nn.Module,
    patch_shape: Triple,
    image: Volume,
    block_shape: Triple | None = None,
    halo: Triple | None = None,
    blend: Blend = "none",
) -> Tiling:
    """Choose blocks and context for predicting an image.

    Of all blocks whose tiles hold at most 3 Mi voxels, those are taken for which the network sees the fewest voxels in
    all. The choice depends on nothing but network, image and what is asked for, so that a prediction can be continued
    on another machine.

    Parameters
    ----------
    network
        Its ``stride``, ``halo`` and ``planar`` are read, if it has them.
    patch_shape
        Shape of the patches it was trained on, ``(z, y, x)``.
    image
        What is predicted.
    block_shape
        Blocks (z, y, x); None chooses.
    halo
        Context (z, y, x); None takes the ``halo`` of the network, which is a quarter of its patches if it names none and
        never more than that, rounded up to its stride.
    blend
        See `Tiling`.
    """
    shape = image.spatial_shape
    stride = _three(getattr(network, "stride", None), 1)
    planar = bool(getattr(network, "planar", False))
    if halo is None:
        quarter = [-(-p // 4) for p in patch_shape]
        wanted = _three(getattr(network, "halo", None) or quarter, 0)
        z, y, x = (_ceil(min(w, q), s) for w, q, s in zip(wanted, quarter, stride, strict=True))
        # A single slice has no context along z, and a planar network looks for none.
        halo = (0 if planar or shape[0] == 1 else z, y, x)
    if block_shape is None:
        stored = image.chunks[-3] if image.chunks else _CHUNK
        multiples = [lcm(s, _CHUNK) for s in stride]
        if planar:
            multiples[0] = min(_CHUNK, max(1, stored))
        block_shape = _best_block(shape, halo, stride, multiples, blended=blend != "none")
    return Tiling(shape, block_shape, halo, stride, blend)


def choose_batch(tiling: Tiling, device_type: str) -> int:
    """Return how many tiles the network sees at once: as many as hold the voxels that keep it busy.

    All of them are computed where one is asked for, so that a GPU is given no more than eight of those that are larger.
    """
    voxels = prod(tiling.tile_shape)
    wanted = _BUSY // voxels
    if device_type != "cpu":
        wanted = max(wanted, min(8, _BUSY_GPU // voxels))
    return max(1, min(len(tiling.lattice), wanted))


def _three(values: Sequence[int] | None, missing: int) -> Triple:
    """Fill up numbers for (y, x) or (x) to three."""
    known = tuple(int(v) for v in values or ())[-3:]
    z, y, x = (missing,) * (3 - len(known)) + known
    return z, y, x


def _best_block(shape: Triple, halo: Triple, stride: Triple, multiples: Sequence[int], *, blended: bool) -> Triple:
    """Return the block whose tiles have the fewest voxels in all, of those that are not too large."""
    blocks: list[np.ndarray[Any, Any]] = []
    counts: list[np.ndarray[Any, Any]] = []
    lengths: list[np.ndarray[Any, Any]] = []
    for n, h, s, m in zip(shape, halo, stride, multiples, strict=True):
        whole = _ceil(n, m) if n > m else _ceil(n, s)
        # Fine steps among the small ones, coarse ones further up; in all at most about a hundred.
        tried = {*range(m, min(whole, 512), m), *range(512 // m * m, min(whole, 8192), max(m, 64 // m * m))}
        tried = {b for b in tried if b > 0 and not (blended and 2 * h > b)} | {whole}
        found = sorted({(b, -(-n // b), tile_length(n, b, h, s, blended=blended)) for b in tried})
        kept = [entry for entry in found if entry[2] <= _TILE_VOXELS] or found[:1]
        for values, column in zip((blocks, counts, lengths), zip(*kept, strict=True), strict=True):
            values.append(np.array(column, np.float64))
    voxels = lengths[0][:, None, None] * lengths[1][:, None] * lengths[2]
    tiles = counts[0][:, None, None] * counts[1][:, None] * counts[2]
    cost = np.where(voxels <= _TILE_VOXELS, tiles * (voxels + _COST_OF_A_TILE), np.inf)
    if not np.isfinite(cost).any():
        cost = voxels
    best = np.unravel_index(int(cost.argmin()), cost.shape)
    z, y, x = (int(axis[at]) for axis, at in zip(blocks, best, strict=True))
    return z, y, x


def probe_shape(network: nn.Module, patch_shape: Triple) -> Triple:
    """Return the shape of a tile to try a network on: about 64^3 voxels, or 512^2 of a planar one."""
    stride = _three(getattr(network, "stride", None), 1)
    flat = bool(getattr(network, "planar", False)) or patch_shape[0] == 1
    wanted = (1, 512, 512) if flat else (64, 64, 64)
    z, y, x = (max(_ceil(min(w, 4 * p), s), 2 * s) for w, p, s in zip(wanted, patch_shape, stride, strict=True))
    return (1 if flat and stride[0] == 1 else z), y, x
