"""Neuropil in voxels: which neurite fills a voxel.

A voxel belongs to the ball with the smallest power distance ``|v - c|**2 - r**2`` (a Laguerre diagram, Aurenhammer
1987, SIAM J. Comput. 16:78), which fills space without gaps and lets thick neurites push thin ones aside. Adding
``sqrt(R**2 - r**2)`` as a fourth coordinate makes it the nearest neighbour in four dimensions. The voxels are moved by a
smooth random field first, so that borders bulge as those of cells do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cc3d
import fastremap
import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from segkit.addressing import rng
from segkit.errors import UsageError
from segkit.geometry import Triple
from segkit.volume import Spacing

from ._generated import Generated
from ._growth import Neurites, grow
from ._micrograph import micrograph
from ._sections import spoil

Array = np.ndarray[Any, Any]
MOST_VOXELS = 2**26


@dataclass(frozen=True)
class Neuropil:
    """Makes samples of neuropil; the parameters are those of the dataset."""

    shape: Triple
    neurites: int
    seed: int
    voxel_size: Spacing
    noise: float
    faults: float
    mitochondria: bool

    def __post_init__(self) -> None:
        if math.prod(self.shape) > MOST_VOXELS:
            raise UsageError(
                f"A sample of shape {self.shape} has {math.prod(self.shape):,} voxels; at most {MOST_VOXELS:,} are made in one "
                "piece (about 5 GB of memory meanwhile). Make smaller samples and more of them: 'shape' and 'count'."
            )
        if min(self.shape[1:]) < 8:
            raise UsageError(f"A sample of shape {self.shape} shows no neurites; use at least 8 voxels along y and x.")

    @property
    def name(self) -> str:
        """What to call its samples."""
        return "synthetic neurons"

    @property
    def dtypes(self) -> tuple[str, str]:
        """Types of the image and of the labels."""
        return ("uint8", "uint32")

    def samples(self, count: int) -> Generated:
        """Return the first `count` samples."""
        return Generated(self, count)

    def make(self, index: int) -> tuple[Array, Array]:
        """Return raw and labels of a sample."""
        extent = np.array(self.shape) * np.array(self.voxel_size)
        neurites = grow(extent, self.neurites, rng(self.seed, 0, index, "neurites"))
        labels = connected(fill(neurites, self.shape, self.voxel_size, rng(self.seed, 0, index, "warp")))
        random = rng(self.seed, 0, index, "micrograph")
        raw = micrograph(labels, neurites, self.voxel_size, self.noise, self.mitochondria, random)
        if self.faults:
            raw, labels = spoil(raw, labels, self.faults, rng(self.seed, 0, index, "faults"))
        return raw, labels


def fill(neurites: Neurites, shape: Triple, voxel_size: Spacing, random: np.random.Generator) -> Array:
    """Return the neurite of every voxel, counted from 1, uint32 ``(Z, Y, X)``; a few slices are worked on at a time."""
    size = np.array(voxel_size)
    tallest = neurites.radii.max() ** 2
    lifted = np.sqrt(np.maximum(tallest - neurites.radii**2, 0))
    tree = cKDTree(np.column_stack([neurites.centres, lifted]))
    wavelength = np.maximum(1.6 * neurites.scale / size, 1.0)  # in voxels
    grid = random.normal(size=(3, *(np.ceil(np.array(shape) / wavelength).astype(int) + 4))).astype(np.float32)
    labels = np.empty(shape, np.uint32)
    thickness = max(1, 2**18 // (shape[1] * shape[2]))
    for first in range(0, shape[0], thickness):
        stop = min(first + thickness, shape[0])
        places = np.indices((stop - first, *shape[1:]), np.float32).reshape(3, -1)
        places[0] += first
        between: Array = places / wavelength[:, None].astype(np.float32) + 1.0
        points = np.zeros((places.shape[1], 4), np.float32)
        for axis in range(3):
            moved = map_coordinates(grid[axis], between, order=1, mode="nearest")
            points[:, axis] = (places[axis] + 0.5) * size[axis] + 0.4 * neurites.scale * moved
        _, nearest = tree.query(points, workers=-1)
        labels[first:stop] = (neurites.owners[nearest] + 1).reshape(stop - first, *shape[1:])
    return labels


def connected(labels: Array, smallest: int = 30) -> Array:
    """Give every connected piece an id of its own; pieces below `smallest` voxels go to what lies around them."""
    from skimage.segmentation import expand_labels

    pieces = cc3d.connected_components(labels, connectivity=6)
    crumbs = cc3d.dust(pieces, threshold=min(smallest, labels.size // 50), connectivity=6)
    filled = expand_labels(crumbs, distance=math.inf) if (crumbs == 0).any() else crumbs
    renumbered, _ = fastremap.renumber(filled, preserve_zero=True)
    result: Array = renumbered.astype(np.uint32)
    return result
