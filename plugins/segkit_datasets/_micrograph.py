"""What an electron microscope shows of neuropil: membranes, cytoplasm, organelles, and the noise of the detector.

Grey values follow FIB-SEM of fly neuropil at 10 nm (Takemura et al. 2015, PNAS 112:13711): mean about 130, standard
deviation about 33, neighbouring voxels strongly correlated.
"""

from __future__ import annotations

from typing import Any

import edt
import numpy as np
from scipy.ndimage import gaussian_filter

from segkit.volume import Spacing

from ._growth import Neurites

Array = np.ndarray[Any, Any]
_MEMBRANE_NM = 16.0  # half of the dark line between two neurites
_MITOCHONDRION_NM = (90.0, 260.0)  # least and largest radius


def micrograph(
    labels: Array,
    neurites: Neurites,
    voxel_size: Spacing,
    noise: float,
    mitochondria: bool,
    random: np.random.Generator,
) -> Array:
    """Return the image of `labels`, uint8 of the same shape."""
    size = np.array(voxel_size)
    depth = edt.edt(labels, anisotropy=tuple(voxel_size), black_border=False, parallel=1)
    image = _cytoplasm(labels, random)
    image += 6.0 * _texture(labels.shape, 20.0 / size, random)
    image += 5.0 * _texture(labels.shape, 80.0 / size, random)
    _vesicles(image, depth, size, random)
    if mitochondria:
        _mitochondria(image, labels, depth, neurites, size, random)
    # Membranes cut at a slant look wide and pale, those at synapses thick and dark.
    strength = np.clip(1.0 + 0.25 * _texture(labels.shape, 60.0 / size, random), 0.6, 1.7)
    width = max(_MEMBRANE_NM, 1.2 * float(size.min()))
    from_border = np.maximum(depth - 0.5 * float(size.min()), 0)
    image -= 80.0 * strength * np.exp(-((from_border / (width * np.sqrt(strength))) ** 2))
    image = gaussian_filter(image, np.minimum(9.0 / size, 1.2), mode="nearest")
    drift = random.normal(scale=2.5, size=(labels.shape[0], 1, 1)).astype(np.float32)
    image += drift + 255.0 * noise * _detector(labels.shape, random)
    levels: Array = np.clip(np.rint(image), 1, 255).astype(np.uint8)
    return levels


def _cytoplasm(labels: Array, random: np.random.Generator) -> Array:
    """Return a brightness for every neurite, most of them alike, some much darker."""
    levels = np.concatenate([[150.0], random.normal(164, 14, int(labels.max()))]).astype(np.float32)
    dark = random.random(levels.size) < 0.18
    levels[dark] -= 35.0
    return np.asarray(levels[labels])


def _texture(shape: tuple[int, ...], sigma: Array, random: np.random.Generator) -> Array:
    """Return smooth noise of unit variance."""
    noise = gaussian_filter(random.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    deviation = float(noise.std())
    return np.asarray(noise / deviation) if deviation > 0 else noise


def _detector(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return the noise of a scanned image: unit variance, correlated over about one pixel of a section."""
    return _texture(shape, np.array([0.0, 0.7, 0.7]), random)


def _vesicles(image: Array, depth: Array, size: Array, random: np.random.Generator) -> None:
    """Darken small spots, in clusters."""
    spots = _texture(image.shape, np.minimum(16.0 / size, 2.0), random)
    where = _texture(image.shape, 140.0 / size, random)
    inside = depth > 2.0 * _MEMBRANE_NM
    image -= np.where(inside & (where > 0.7), 20.0 * np.clip(spots, 0, 2.0), 0.0).astype(np.float32)


def _mitochondria(
    image: Array, labels: Array, depth: Array, neurites: Neurites, size: Array, random: np.random.Generator
) -> None:
    """Draw mitochondria: dark, streaked, long along their neurite, with an outline and a pale rim around it."""
    shape = np.array(labels.shape)
    at = np.floor(neurites.centres / size).astype(int)
    usable = np.flatnonzero(np.all((at >= 0) & (at < shape), axis=1))
    if not usable.size:
        return
    room = depth[tuple(at[usable].T)]
    least = max(_MITOCHONDRION_NM[0], 4.0 * float(size.min()))
    usable, room = usable[room > least + 2 * _MEMBRANE_NM], room[room > least + 2 * _MEMBRANE_NM]
    order = random.permutation(usable.size)
    wanted = int(np.ceil(0.12 * len(np.unique(labels[tuple(at[usable].T)])) * 8)) if usable.size else 0
    taken = np.zeros(labels.shape, bool)
    for chosen in order[:wanted]:
        ball = usable[chosen]
        radius = min(float(room[chosen]) * random.uniform(0.5, 0.8), _MITOCHONDRION_NM[1])
        length = radius * random.uniform(1.3, 2.6)
        start = np.maximum(np.floor((neurites.centres[ball] - length - 60) / size).astype(int), 0)
        stop = np.minimum(np.ceil((neurites.centres[ball] + length + 60) / size).astype(int) + 1, shape)
        window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        places = (np.indices(stop - start, np.float32) + 0.5 + start[:, None, None, None]) * size[:, None, None, None]
        offset = places - neurites.centres[ball][:, None, None, None]
        along = np.tensordot(neurites.directions[ball], offset, 1)
        across = np.sqrt(np.maximum((offset**2).sum(0) - along**2, 0))
        # nm inside (positive) or outside of the capsule, kept off the membrane of the neurite
        inside = radius - np.sqrt(np.maximum(np.abs(along) - (length - radius), 0) ** 2 + across**2)
        inside += 10.0 * _texture(inside.shape, 40.0 / size, random)
        inside = np.minimum(inside, depth[window] - 1.7 * _MEMBRANE_NM)
        inside[labels[window] != labels[tuple(at[ball])]] = -1e3
        if taken[window][inside > -20].any():
            continue
        taken[window] |= inside > -20
        cristae = 9.0 * _texture(inside.shape, np.array([14.0, 14.0, 30.0]) / size, random)
        body = (82.0 + random.normal(0, 6) + cristae - image[window]) * (
            1 / (1 + np.exp(-np.clip(inside / 4.0, -30, 30)))
        )
        outline = -16.0 * np.exp(-(((inside - 6.0) / 7.0) ** 2)) + 10.0 * np.exp(-(((inside + 14.0) / 9.0) ** 2))
        image[window] += (body + outline).astype(np.float32)
