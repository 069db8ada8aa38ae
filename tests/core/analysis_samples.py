"""Small samples that the tests of the analysis share."""

from __future__ import annotations

import numpy as np

from segkit.contracts import Sample
from segkit.volume import Volume


def image(array, name="image", **about):
    axes = {2: "yx", 3: "zyx", 4: "czyx"}[array.ndim]
    return Volume.from_array(array, axes=axes, source=name, **about)


def noise(seed, shape=(40, 48)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def smooth(seed, shape, blur):
    from scipy.ndimage import gaussian_filter

    found = gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur, mode="wrap")
    return (128 + 40 * found / found.std()).clip(0, 255).astype(np.uint8)


def discs(count, side=40):
    labels = np.zeros((side, side), np.uint16)
    for number in range(count):
        y, x = 1 + 6 * (number // 6), 1 + 6 * (number % 6)
        labels[y : y + 4, x : x + 4] = number + 1
    return labels


def sample(name, raw, labels=None, **known):
    known = {key: image(value, f"{name} {key}") if key == "mask" else value for key, value in known.items()}
    return Sample(name, image(raw, name), None if labels is None else image(labels, f"{name} labels"), **known)
