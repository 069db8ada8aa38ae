"""Split consensus: what two segmentations of the same image both hold together.

Flood filling depends on the order of its seeds, and a network on how the image is turned. An object that leaks into its
neighbour in one filling often does not in another, so two voxels are kept together only where both segmentations say so (Januszewski et al. 2018,
https://doi.org/10.1038/s41592-018-0049-4).
"""

from __future__ import annotations

from typing import Any

import bioimage_cpp.segmentation as bio
import edt
import fastremap
import numpy as np

__all__ = ["split_consensus"]

Array = np.ndarray[Any, Any]


def split_consensus(one: Array, two: Array, min_size: int) -> Array:
    """Split the objects of a segmentation where those of another end.

    The voxels that an object of `one` shares with an object of `two` are a piece; the largest piece of an object of `one`
    keeps its id. Other voxels, those in pieces that are too small or in an object of one segmentation only, go to the
    nearest piece if it is of the same object and to that object's largest piece if not, so that no space is lost. The
    published procedure empties them.

    Parameters
    ----------
    one, two
        ``(Z, Y, X)`` integers; 0 is empty.
    min_size
        Least voxels of a piece.

    Returns
    -------
    numpy.ndarray
        ``(Z, Y, X)`` uint32, filled where either is.
    """
    width = np.uint64(int(two.max(initial=0)) + 1)
    codes = one.astype(np.uint64) * width + two.astype(np.uint64)
    numbers, _ = fastremap.renumber(codes, preserve_zero=True)
    count = int(numbers.max(initial=0)) + 1
    code_of = np.zeros(count, np.uint64)
    code_of[numbers.reshape(-1)] = codes.reshape(-1)
    of_one, of_two = (code_of // width).astype(np.intp), (code_of % width).astype(np.intp)
    sizes = np.bincount(numbers.reshape(-1), minlength=count)
    piece = (of_one > 0) & (of_two > 0) & (sizes >= min_size)

    pieces = np.flatnonzero(piece)[np.argsort(-sizes[piece], kind="stable")]
    names = np.zeros(count, np.uint32)
    best_of_one = np.arange(int(one.max(initial=0)) + 1, dtype=np.uint32)  # an object without pieces stays what it is
    largest = pieces[np.unique(of_one[pieces], return_index=True)[1]]
    names[largest] = of_one[largest]
    others = np.setdiff1d(pieces, largest)
    names[others] = len(best_of_one) + np.arange(len(others), dtype=np.uint32)
    best_of_two = np.zeros(int(width), np.uint32)
    found, at = np.unique(of_two[pieces], return_index=True)
    best_of_two[found] = names[pieces[at]]
    without = np.setdiff1d(np.unique(of_two[(of_one == 0) & (of_two > 0)]), found)
    best_of_two[without] = len(best_of_one) + len(others) + np.arange(len(without), dtype=np.uint32)

    nearest = _nearest(np.where(piece, np.arange(count), 0).astype(np.uint32)[numbers], numbers > 0)
    agrees = ((of_one[nearest] == one) & (one > 0)) | ((of_two[nearest] == two) & (two > 0))
    fallback = np.where(one > 0, best_of_one[one], best_of_two[two])
    result: Array = np.where(agrees & (nearest > 0), names[nearest], fallback)
    return result


def _nearest(pieces: Array, inside: Array) -> Array:
    """Return for each voxel inside the piece that it is nearest to on a way inside; 0 where there is none."""
    distance = edt.edt(np.ascontiguousarray(pieces == 0), black_border=False, parallel=1)
    distance[~np.isfinite(distance)] = 0
    result: Array = bio.watershed(distance.astype(np.float32), pieces, mask=inside)
    return result
