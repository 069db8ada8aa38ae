"""Convolutions of 3 x 3 x 3 voxels with six times fewer products: Winograd's F(3, 3) along each axis.

After Winograd (1980) and Lavin and Gray (2016, https://doi.org/10.1109/CVPR.2016.435): tiles of 5 x 5 x 5 voxels, which
overlap by two, are transformed; then the convolution is a product of matrices for each of 125 places of the tile; what comes
out, transformed back, is 3 x 3 x 3 voxels of the result. A processor that multiplies bfloat16 does so twice as fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from segkit.geometry import Triple
from segkit_ffn._lanes import LANES, gather, spread

__all__ = ["Grid", "Weights", "as_tensor", "convolve"]

Array = np.ndarray[Any, Any]

_PLACES = 125
_MATRIX = np.array([[1 / 2, 0, 0], [-1 / 2, -1 / 2, -1 / 2], [-1 / 6, 1 / 6, -1 / 6], [1 / 6, 1 / 3, 2 / 3], [0, 0, 1]])
_TILES = 128  # of so many, transformed, the processor's cache holds all


class Weights:
    """Weights of a convolution of 3 x 3 x 3 voxels, transformed.

    Parameters
    ----------
    layer
        The convolution.
    half
        Whether products are computed in bfloat16.
    """

    def __init__(self, layer: torch.nn.Conv3d, half: bool) -> None:
        weight = layer.weight.detach().double().cpu()
        matrix = torch.from_numpy(_MATRIX)
        products = torch.einsum("ocxyz,ix,jy,kz->ijkco", weight, matrix, matrix, matrix)
        room = [-n % LANES for n in products.shape[3:]]
        products = torch.nn.functional.pad(products, (0, room[1], 0, room[0])).flatten(0, 2)
        self.products = products.to(torch.bfloat16 if half else torch.float32).contiguous()
        bias = torch.zeros(products.shape[2])
        if layer.bias is not None:
            bias[: len(layer.bias)] = layer.bias.detach()
        self.bias: Array = bias.numpy()


class Grid:
    """The tiles of a region, and room for what is computed of them; for one thread.

    Parameters
    ----------
    shape
        Voxels (z, y, x) of the region.
    channels
        Number of channels, a multiple of 16.
    half
        As for `Weights`; features are kept as bfloat16 then, too, of which numpy sees the bits as uint16.
    """

    def __init__(self, shape: Triple, channels: int, half: bool) -> None:
        self.shape, self.channels = shape, channels
        self.counts = tuple(-(-n // 3) for n in shape)
        self.columns = max(1, min(self.counts[2], _TILES // self.counts[0]))
        self.scratch = np.zeros((3 * self.counts[0] + 2) * 25 * channels, np.float32)
        self._number: Any = np.uint16 if half else np.float32
        self._rooms: dict[int, tuple[tuple[Array, torch.Tensor], tuple[Array, torch.Tensor]]] = {}

    def features(self) -> Array:
        """Return room for features ``(z, y, x, channels)`` with a rim of zeros around the region."""
        return np.zeros((*(3 * n + 2 for n in self.counts), self.channels), self._number)

    def inner(self, features: Array) -> Array:
        """Return the region itself."""
        z, y, x = self.shape
        return features[1 : z + 1, 1 : y + 1, 1 : x + 1]

    def room(self, tiles: int) -> tuple[tuple[Array, torch.Tensor], tuple[Array, torch.Tensor]]:
        """Return two arrays for so many transformed tiles, each for numba and for torch."""
        if tiles not in self._rooms:
            pair = []
            for _ in range(2):
                array = np.zeros((_PLACES, tiles, self.channels), self._number)
                pair.append((array.reshape(-1), as_tensor(array)))
            self._rooms[tiles] = (pair[0], pair[1])
        return self._rooms[tiles]

    def clear_rim(self, features: Array) -> None:
        """Make what lies beyond the region zero again, where tiles reach over it."""
        for axis, (n, tiles) in enumerate(zip(self.shape, self.counts, strict=True)):
            if 3 * tiles > n:
                features[(slice(None),) * axis + (slice(n + 1, None),)] = 0


def as_tensor(numbers: Array) -> torch.Tensor:
    """Return float32, or bits of bfloat16, as a tensor of the same memory."""
    if numbers.dtype != np.uint16:
        return torch.from_numpy(numbers)
    return torch.from_numpy(numbers.view(np.int16)).view(torch.bfloat16)


def convolve(grid: Grid, weights: Weights, source: Array, out: Array, added: Array | None = None) -> None:
    """Write the convolution of the positive part of `source` into `out`, with `added` on top; all as `Grid.features`."""
    flat, result = source.reshape(-1), out.reshape(-1)
    more = result if added is None else added.reshape(-1)
    share = np.float32(0 if added is None else 1)
    rows, columns = source.shape[1:3]
    for y in range(grid.counts[1]):
        for first in range(0, grid.counts[2], grid.columns):
            tiles = (grid.counts[0], y, first, min(first + grid.columns, grid.counts[2]))
            (seen, seen_matrix), (found, found_matrix) = grid.room(tiles[0] * (tiles[3] - first))
            spread(flat, rows, columns, grid.channels, tiles, seen, grid.scratch)
            torch.bmm(seen_matrix, weights.products, out=found_matrix)
            gather(found, rows, columns, grid.channels, tiles, weights.bias, more, share, result, grid.scratch)
    grid.clear_rim(out)
