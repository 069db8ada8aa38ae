"""The surface of an object as triangles, block by block, so that memory holds one block and what its borders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Box, Lattice
from segkit.volume import Volume

__all__ = ["BLOCK", "mesh", "surface"]

Array = np.ndarray[Any, Any]

BLOCK = 192
"""Voxels along each axis of a block whose surface is drawn at once."""


def surface(segmentation: Volume, id: int, box: Box, block: int = BLOCK) -> Iterator[tuple[Array, Array]]:
    """Yield the surface of an object in pieces that make one closed mesh together.

    Marching cubes with resolved ambiguities (Lewiner et al. 2003, https://doi.org/10.1080/10867651.2003.10487582) in
    scikit-image, halfway between voxels inside and outside.

    Parameters
    ----------
    segmentation
        Integer ids.
    id
        The object.
    box
        Its bounding box.
    block
        Voxels along each axis that are looked at at once.

    Yields
    ------
    tuple
        New vertices ``(V, 3)``, float64 ``(z, y, x)`` in the unit of the segmentation, and triangles ``(F, 3)``, int64, by
        the numbers of all vertices so far. They run counterclockwise seen from outside, as files with x, y, z have it.
    """
    from skimage.measure import marching_cubes

    # A cube lies between a voxel and the next one, so there is one more than there are voxels along each axis.
    extent = Box(box.grow((1, 1, 1)).start, box.stop)
    lattice = Lattice(extent, (block, block, block))
    scale, offset = np.array(segmentation.voxel_size), np.array(segmentation.offset)
    spans = 2 * np.array(extent.shape) + 1  # positions are multiples of half a voxel, except inside of a cube
    known, number = np.zeros(0, np.int64), np.zeros(0, np.int64)  # vertices on planes between blocks
    total = 0
    for cubes in lattice:
        mask = _voxels(segmentation, id, Box(cubes.start, cubes.grow((1, 1, 1)).stop))
        if not mask.any() or mask.all():
            continue
        local, faces, _, _ = marching_cubes(mask.astype(np.float32), 0.5)
        places = local.astype(np.float64) + cubes.start
        halves = np.rint(2 * (places - extent.start)).astype(np.int64)
        shared = ((local == 0) | (local == np.array(cubes.shape))).any(axis=1)
        keys = np.ravel_multi_index(tuple(halves[shared].T), tuple(spans))
        numbers = np.full(len(places), -1, np.int64)
        if len(known):
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            numbers[shared] = np.where(known[at] == keys, number[at], -1)
        new = numbers < 0
        numbers[new] = total + np.arange(int(new.sum()))
        total += int(new.sum())
        fresh = new[shared]
        known, number = np.append(known, keys[fresh]), np.append(number, numbers[shared][fresh])
        order = np.argsort(known)
        known, number = known[order], number[order]
        yield places[new] * scale + offset, numbers[faces.astype(np.int64)]


def _voxels(segmentation: Volume, id: int, box: Box) -> Array:
    """Return where an object is in a box; what is outside of the volume is not the object."""
    inside = box & segmentation.box
    mask = np.zeros(box.shape, bool)
    if inside is not None:
        mask[inside.relative_to(box.start).slices] = segmentation.read(inside).reshape(inside.shape) == id
    return mask


def mesh(segmentation: Any, id: int) -> tuple[Array, Array]:
    """Return the closed surface of an object, in memory.

    Parameters
    ----------
    segmentation
        Integer ids ``(z, y, x)``, or anything that `segkit.open_volume` takes.
    id
        The object.

    Returns
    -------
    tuple
        Vertices ``(V, 3)``, float64 ``(z, y, x)`` in the unit of the segmentation, and triangles ``(F, 3)``, int64.

    Raises
    ------
    DataError
        If there is no such object.
    """
    from segkit.opening import open_volume
    from segkit.tracing._survey import check_segmentation

    volume = open_volume(segmentation)
    check_segmentation(volume)
    pieces = list(surface(volume, id, volume.box))
    if not pieces:
        raise DataError(f"{volume.source} has no object {id}. Choose an id that is in it.")
    return np.concatenate([vertices for vertices, _ in pieces]), np.concatenate([faces for _, faces in pieces])
