"""What a patch may look like: whether it fits, whether it suits the voxels, and along which planes slices are cut."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from segkit.contracts import Patch, Sample
from segkit.errors import SegkitWarning, UsageError
from segkit.geometry import Triple

__all__ = ["Planes", "check_patch_shape", "orient", "shapes_of"]

Planes = Literal["xy", "all"]

_STRETCHED = 6.0  # longest over shortest side of a patch, in nm, that is taken for an oversight
_ISOTROPIC = 1.5  # longest over shortest side of a voxel whose volume looks alike along all planes


def shapes_of(patch_shape: Triple, planes: Planes) -> tuple[Triple, ...]:
    """Return the shapes that a patch may have in the volume: one, or one for each direction that slices are cut along."""
    z, y, x = patch_shape
    return ((z, y, x),) if planes == "xy" else ((1, y, x), (y, 1, x), (y, x, 1))


def orient(patch: Patch, patch_shape: Triple) -> Patch:
    """Return a patch turned so that it has `patch_shape`, the axis that a slice was cut along first."""
    shape = patch.mask.shape
    if shape == patch_shape:
        return patch
    axis = 1 if shape[1] == 1 else 2
    spacing = list(patch.voxel_size)
    spacing.insert(0, spacing.pop(axis))
    return replace(
        patch,
        raw=np.moveaxis(patch.raw, axis - 3, -3),
        labels=np.moveaxis(patch.labels, axis - 3, -3),
        mask=np.moveaxis(patch.mask, axis, 0),
        voxel_size=(spacing[0], spacing[1], spacing[2]),
    )


def check_patch_shape(samples: Sequence[Sample], patch_shape: Triple, planes: Planes = "xy") -> None:
    """Refuse a patch that does not fit into every sample, and warn about one that does not suit the voxels.

    Raises
    ------
    UsageError
        Naming the sample, and a shape that fits.
    """
    if planes == "all":
        _check_planes(samples, patch_shape)
    for shape in shapes_of(patch_shape, planes):
        for sample in samples:
            fits = tuple(min(p, n) for p, n in zip(shape, sample.raw.spatial_shape, strict=True))
            if fits == tuple(shape):
                continue
            advice = f"A patch shape of {fits} would fit."
            if planes == "all":
                advice = f'Take at most {min(sample.raw.spatial_shape)}, or set sampling.planes = "xy".'
            raise UsageError(
                f"`sampling.patch_shape` is {tuple(shape)}, but sample '{sample.name}' has only "
                f"{sample.raw.spatial_shape} voxels (z, y, x). {advice}"
            )
    for sample in samples:
        better = _balanced(sample, patch_shape)
        if better is not None:
            sides = [n * v for n, v in zip(patch_shape, sample.raw.voxel_size, strict=True)]
            warnings.warn(
                f"`sampling.patch_shape` {tuple(patch_shape)} covers {' x '.join(f'{side:.0f}' for side in sides)} nm (z, y, x) of "
                f"sample '{sample.name}': a network sees much less along one axis than along another. {better} has about as many "
                "voxels and more even sides.",
                SegkitWarning,
                stacklevel=2,
            )
            return


def _check_planes(samples: Sequence[Sample], patch_shape: Triple) -> None:
    if patch_shape[0] != 1:
        raise UsageError(
            f'`sampling.planes` is "all", which is for slices, but `sampling.patch_shape` is {tuple(patch_shape)}. Set its '
            'first number to 1, or sampling.planes = "xy".'
        )
    for sample in samples:
        spacing = sample.raw.voxel_size
        if max(spacing) > _ISOTROPIC * min(spacing):
            raise UsageError(
                f"`sampling.planes` is \"all\", but the voxels of sample '{sample.name}' are {spacing} long (z, y, x): slices along "
                'its planes do not look alike. Set sampling.planes = "xy".'
            )


def _balanced(sample: Sample, patch_shape: Triple) -> Triple | None:
    """Return a shape with more even sides where those of a 3D patch are very uneven and another is possible."""
    raw = sample.raw
    sides = [n * v for n, v in zip(patch_shape, raw.voxel_size, strict=True)]
    if raw.unit != "nm" or patch_shape[0] == 1 or max(sides) <= _STRETCHED * min(sides):
        return None
    side = math.prod(sides) ** (1 / 3)
    z, y, x = (
        min(n, max(8, 8 * round(side / v / 8)) if n >= 8 else n)
        for n, v in zip(raw.spatial_shape, raw.voxel_size, strict=True)
    )
    even = [n * v for n, v in zip((z, y, x), raw.voxel_size, strict=True)]
    evener = max(even) / min(even) < 0.6 * max(sides) / min(sides)
    return (z, y, x) if evener and 2 * z * y * x > math.prod(patch_shape) else None
