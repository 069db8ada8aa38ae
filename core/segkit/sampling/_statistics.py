"""How voxel values are scaled before a network sees them, estimated from a few patches of the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from segkit.addressing import rng
from segkit.contracts import Normalization, Sample
from segkit.errors import DataError
from segkit.geometry import Box

__all__ = ["estimate_normalization", "non_finite_error"]

_PATCHES = 64
_PATCH_SHAPE = (32, 64, 64)
_KEPT = 4096  # voxels of each patch, evenly spread, of which medians are taken


def estimate_normalization(
    samples: Sequence[Sample],
    method: Literal["zscore", "asinh", "none"],
    seed: int,
    non_finite: Literal["refuse", "mask"],
) -> Normalization:
    """Return the scaling of each channel, from up to 64 patches spread over all samples by their size.

    ``asinh`` takes the median, and 1.4826 times the median distance from it, which is the standard deviation of normally
    distributed values.

    Raises
    ------
    DataError
        If samples have different numbers of channels, a channel is constant, or voxels are not finite and may not be.
    """
    channels = samples[0].raw.channels
    for sample in samples:
        if sample.raw.channels != channels:
            raise DataError(
                f"Sample '{sample.name}' has {sample.raw.channels} channels, but '{samples[0].name}' has {channels}. All images of "
                "a dataset must have the same channels."
            )
    if method == "none":
        return Normalization((0.0,) * channels, (1.0,) * channels)
    sizes = np.array([sample.raw.box.size for sample in samples], float)
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    shift: np.ndarray | None = None
    kept: list[np.ndarray] = []
    for number in range(_PATCHES):
        g = rng(seed, 0, number, "statistics")
        sample = samples[
            int(np.searchsorted(np.cumsum(sizes) / sizes.sum(), g.random(), side="right").clip(0, len(samples) - 1))
        ]
        shape = tuple(min(a, b) for a, b in zip(_PATCH_SHAPE, sample.raw.spatial_shape, strict=True))
        start = [int(g.integers(0, n - p + 1)) for n, p in zip(sample.raw.spatial_shape, shape, strict=True)]
        box = Box.of_shape(shape, start)
        values = sample.raw.read(box).reshape(channels, -1).astype(np.float64)
        finite = np.isfinite(values).all(axis=0)
        if not finite.all() and non_finite == "refuse":
            raise non_finite_error(sample, box, finite.reshape(shape))
        values = values[:, finite]
        if values.shape[1] == 0:
            continue
        if method == "asinh":
            kept.append(values[:, :: -(-values.shape[1] // _KEPT)])
        shift = values.mean(axis=1) if shift is None else shift  # sums around a typical value keep their digits
        count += values.shape[1]
        total += (values - shift[:, None]).sum(axis=1)
        squares += ((values - shift[:, None]) ** 2).sum(axis=1)
    if shift is None:
        raise DataError(f"The image '{samples[0].name}' has no finite voxel. Check the file: {samples[0].raw.source}.")
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    constant = np.flatnonzero(deviation <= 1e-12 * np.maximum(1, np.abs(shift)))
    if constant.size:
        names = ", ".join(sorted({sample.raw.source for sample in samples})[:3])
        raise DataError(
            f"Channel {int(constant[0])} of the image is constant ({shift[constant[0]]:g} everywhere that was looked): there is "
            f"nothing to learn from it. Check that the right file is named as the image: {names}."
        )
    if method == "zscore":
        return Normalization(tuple((shift + mean).tolist()), tuple(deviation.tolist()))
    seen = np.concatenate(kept, axis=1)
    centre = np.median(seen, axis=1)
    spread = 1.4826 * np.median(np.abs(seen - centre[:, None]), axis=1)
    spread = np.where(spread > 0, spread, deviation)  # more than half of the voxels alike, such as an empty background
    return Normalization(tuple(centre.tolist()), tuple(spread.tolist()), compressed=True)


def non_finite_error(sample: Sample, box: Box, finite: np.ndarray) -> DataError:
    """Return the error about voxels that are NaN or infinite, naming the first of them."""
    first = np.argwhere(~finite)[0] + box.start
    return DataError(
        f"The image {sample.raw.source} has {int((~finite).sum())} voxels that are NaN or infinite in {box}, the first at "
        f'(z, y, x) = {tuple(int(v) for v in first)}. Repair the image, or set sampling.non_finite = "mask" to leave them out.'
    )
