"""Volumes for benchmarks: they compress about as well as electron micrographs and their segmentations do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["cells", "store", "texture"]


def texture(side: int) -> np.ndarray:
    """Return an image ``(side, side, side)`` uint8 that zstd makes half as large, as it does with micrographs."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    tile = rng.normal(0, 1, (128, 128, 128)).astype(np.float32)
    tile = gaussian_filter(tile, 2, mode="wrap") * 14 + rng.normal(0, 0.02, tile.shape)
    tile = (128 + 30 * tile / tile.std()).clip(0, 255).astype(np.uint8)
    return np.tile(tile, (-(-side // 128),) * 3)[:side, :side, :side]


def cells(side: int, objects: int = 200) -> np.ndarray:
    """Return labels ``(side, side, side)`` uint32: the cells of random points, anew in each cube of 128 voxels."""
    from scipy.spatial import cKDTree

    points = np.random.default_rng(1).uniform(0, 128, (objects, 3))
    grid = np.stack(np.meshgrid(*[np.arange(128)] * 3, indexing="ij"), -1).reshape(-1, 3)
    nearest = cKDTree(points).query(grid, workers=2)[1].reshape(128, 128, 128).astype(np.uint32) + 1
    count = -(-side // 128)
    whole = np.empty((count * 128,) * 3, np.uint32)
    for number, at in enumerate(np.ndindex(count, count, count)):
        whole[tuple(slice(128 * a, 128 * a + 128) for a in at)] = nearest + np.uint32(number * objects)
    return whole[:side, :side, :side]


def store(path: Path, side: int) -> None:
    """Write image and labels as ``raw`` and ``labels`` in a group, in 64^3 chunks with zstd, as zarr-python does.

    A second group of Zarr version 2, ``<path>.v2``, is for peers that know no other.
    """
    import numcodecs
    import zarr

    groups = zarr.open_group(path, mode="w"), zarr.open_group(f"{path}.v2", mode="w", zarr_format=2)
    for name, array in (("raw", texture(side)), ("labels", cells(side))):
        groups[0].create_array(name, data=array, chunks=(64, 64, 64))
        groups[1].create_array(name, data=array, chunks=(64, 64, 64), compressors=numcodecs.Zstd(level=0))
