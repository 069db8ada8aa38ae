"""Geometry of the levels of a U-Net: kernels, poolings and how far an output voxel looks; no network here.

The rule for anisotropic voxels is that of nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z):
while z is at least twice as coarse as y and x, a level neither convolves nor pools along z.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

__all__ = ["Levels"]

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Levels:
    """Kernels and poolings of every level, finest first.

    Parameters
    ----------
    kernels
        Kernel (z, y, x) of the convolutions of each level; one more than `poolings`.
    poolings
        Pooling (z, y, x) below each level but the last.
    """

    kernels: tuple[Triple, ...]
    poolings: tuple[Triple, ...]

    @classmethod
    def plan(cls, depth: int, anisotropy: float, planar: bool) -> Levels:
        """Plan `depth` poolings for voxels whose z is `anisotropy` times as long as their x; planar ones leave z alone."""
        kernels: list[Triple] = []
        poolings: list[Triple] = []
        for _ in range(depth + 1):
            flat = planar or anisotropy >= 2
            kernels.append((1, 3, 3) if flat else (3, 3, 3))
            poolings.append((1, 2, 2) if flat else (2, 2, 2))
            anisotropy /= 2 if flat else 1
        return cls(tuple(kernels), tuple(poolings[:-1]))

    @property
    def stride(self) -> Triple:
        """Voxels (z, y, x) of the input for each voxel of the coarsest level."""
        z, y, x = (prod(pooling[axis] for pooling in self.poolings) for axis in range(3))
        return z, y, x

    def reach(self, interpolated: bool) -> Triple:
        """Return how many voxels (z, y, x) away from itself an output voxel can depend on the input.

        Normalisation, which may look at everything, is left aside.

        Parameters
        ----------
        interpolated
            Whether anything is brought to the finer level by linear interpolation, which looks one voxel further.
        """
        # Two convolutions at the bottom; each level above adds two on the way down and two on the way up. A voxel of a
        # coarse level covers `step` finer ones, of which the furthest is `step - 1` away from the one we start at.
        z, y, x = (self._reach(axis, int(interpolated)) for axis in range(3))
        return z, y, x

    def _reach(self, axis: int, interpolated: int) -> int:
        distance = 2 * (self.kernels[-1][axis] // 2)
        for kernel, pooling in zip(self.kernels[-2::-1], self.poolings[::-1]):
            step = pooling[axis]
            if step > 1:
                distance = step * (distance + interpolated) + step - 1
            distance += 4 * (kernel[axis] // 2)
        return distance
