"""How much a prediction depends on where its blocks end: the same voxels predicted under two tilings."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segkit.errors import UsageError
from segkit.geometry import Box, Triple

if TYPE_CHECKING:
    from segkit.model._predicted import PredictedArray
    from segkit.volume import Volume

__all__ = ["SeamReport", "Spread", "seam_report"]

Array = np.ndarray[Any, Any]

_LARGEST_REGION = 1 << 25  # voxels with all channels


@dataclass(frozen=True)
class Spread:
    """Absolute differences between the two predictions, in some of the voxels.

    Parameters
    ----------
    voxels
        Number of voxels, all channels counted.
    mean, p999, max
        Mean, 99.9 % quantile and maximum; 0 where there are none.
    """

    voxels: int
    mean: float
    p999: float
    max: float

    @classmethod
    def of(cls, differences: Array) -> Spread:
        """Measure some differences."""
        if not differences.size:
            return cls(0, 0.0, 0.0, 0.0)
        return cls(
            differences.size,
            float(differences.mean(dtype=np.float64)),
            float(np.quantile(differences, 0.999)),
            float(differences.max()),
        )


@dataclass(frozen=True, eq=False)
class SeamReport:
    """Differences between a prediction and the same one under a shifted tiling.

    Parameters
    ----------
    region
        The voxels that were predicted twice.
    block_shape, halo, blend
        The tiling.
    faces
        Differences at most `near` voxels from a face between two blocks of either tiling.
    elsewhere
        Differences in all other voxels: what a network gives that looks further than the halo or normalises over a tile.
    near
        See `faces`.
    prediction, difference
        The voxels ``(K, Z, Y, X)`` of the prediction and the absolute differences.
    """

    region: Box
    block_shape: Triple
    halo: Triple
    blend: str
    faces: Spread
    elsewhere: Spread
    near: int
    prediction: Array
    difference: Array

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON says them."""
        return {
            "region": str(self.region),
            "block_shape": list(self.block_shape),
            "halo": list(self.halo),
            "blend": self.blend,
            "near": self.near,
            "faces": asdict(self.faces),
            "elsewhere": asdict(self.elsewhere),
        }

    def __str__(self) -> str:
        rows = [
            f"{name:<10} mean {s.mean:.2e}  99.9 % {s.p999:.2e}  max {s.max:.2e}  ({s.voxels} voxels)"
            for name, s in (("at faces", self.faces), ("elsewhere", self.elsewhere))
        ]
        return "\n".join(rows)


def seam_report(prediction: Volume, region: Box | None = None, *, near: int = 2) -> SeamReport:
    """Predict a region under two tilings, and compare.

    The second tiling has its faces in the middle of the blocks of the first. Where both agree, no seam can be seen.

    Parameters
    ----------
    prediction
        A lazy prediction, as a `Model` returns it.
    region
        What is predicted; None takes two blocks along each axis from the middle of the image.
    near
        Voxels on either side of a face that count as being at it.

    Raises
    ------
    UsageError
        If the prediction is not lazy, the region is too large, or one block holds all of the image.
    """
    array = cast("PredictedArray", prediction.array)
    tiling = getattr(array, "tiling", None)
    if tiling is None:
        raise UsageError(f"{prediction.source} is no lazy prediction. Pass what a Model returns for an image.")
    if len(tiling.lattice) == 1:
        raise UsageError(
            f"One block of {tiling.block_shape} voxels holds all of {prediction.source}, so there are no seams. Use smaller "
            "blocks, or a larger image."
        )
    region = region or _middle(prediction.box, tiling.block_shape)
    if region.size * prediction.channels > _LARGEST_REGION:
        raise UsageError(
            f"The region {region} has {region.size * prediction.channels} voxels, all channels counted, and two predictions of "
            f"it are kept in memory; at most {_LARGEST_REGION} are taken. Choose a smaller one."
        )
    other = copy(array)
    other.__setstate__({**array.__getstate__(), "tiling": tiling.shifted()})
    space = region.slices
    first: Array = array[(slice(None), *space)].astype(np.float32)
    difference = np.abs(first - other[(slice(None), *space)])
    faces = np.zeros(region.shape, bool)
    for lattice in (tiling.lattice, other.tiling.lattice):
        for axis, (start, end, length) in enumerate(
            zip(lattice.extent.start, lattice.extent.stop, lattice.block_shape, strict=True)
        ):
            close = np.zeros(region.shape[axis], bool)
            for face in range(start + length, end, length):
                first_near = max(0, face - near - region.start[axis])
                close[first_near : max(0, face + near - region.start[axis])] = True
            faces |= close.reshape([-1 if a == axis else 1 for a in range(3)])
    return SeamReport(
        region,
        tiling.block_shape,
        tiling.halo,
        tiling.blend,
        Spread.of(difference[:, faces]),
        Spread.of(difference[:, ~faces]),
        near,
        first,
        difference,
    )


def _middle(box: Box, block: Triple) -> Box:
    start, stop = [], []
    for n, b in zip(box.shape, block, strict=True):
        length = min(n, 2 * b)
        first = (n - length) // 2
        start.append(first)
        stop.append(first + length)
    return Box(cast("Triple", tuple(start)), cast("Triple", tuple(stop)))
