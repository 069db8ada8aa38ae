"""A random forest that sees one pixel at a time: its bands and eight spectral indices, as in the paper on MARIDA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

import segkit

Array = np.ndarray[Any, Any]

RED, EDGE, INFRARED, SHORTWAVE = 665.0, 740.0, 833.0, 1614.0  # centres of bands 4, 6, 8 and 11 of Sentinel-2, nm


def ratio(a: Array, b: Array) -> Array:
    """Return the normalised difference of two bands."""
    return np.asarray((a - b) / np.where(np.abs(a + b) < 1e-6, 1e-6, a + b))


def features(pixels: Array) -> Array:
    """Return ``(pixels, 19)`` of bands ``(11, pixels)`` B1 to B8, B8A, B11 and B12; NaN counts as 0."""
    bands = np.nan_to_num(pixels.astype(np.float64))
    _, b2, b3, b4, _, b6, _, b8, _, b11, _ = bands
    from_red, from_edge = ((INFRARED - low) / (SHORTWAVE - low) for low in (RED, EDGE))
    indices = [
        ratio(b8, b4),  # NDVI
        ratio(b3, b8),  # NDWI
        ratio(b8, b11),  # NDMI
        b8 - (b4 + (b11 - b4) * from_red),  # FAI, floating algae (Hu 2009)
        b8 - (b6 + 10 * (b11 - b6) * from_edge),  # FDI, floating debris (Biermann et al. 2020)
        np.cbrt(np.clip((1 - b2) * (1 - b3) * (1 - b4), 0, None)),  # SI, shadows
        b8 - b4,  # NRD, infrared above red
        ratio(b11 + b4, b8 + b2),  # BSI, bare soil
    ]
    return np.concatenate([bands, indices]).T.astype(np.float32)


def labelled(samples: Sequence[segkit.Sample]) -> tuple[Array, Array]:
    """Return features and classes of all labelled pixels."""
    pixels, classes = [], []
    for sample in samples:
        assert sample.labels is not None
        ids = sample.labels.read().reshape(-1)
        known = ids != 0
        pixels.append(features(sample.raw.read().reshape(sample.raw.channels, -1)[:, known]))
        classes.append(ids[known])
    return np.concatenate(pixels), np.concatenate(classes)


def fit_forest(samples: Sequence[segkit.Sample], seed: int) -> RandomForestClassifier:
    """Fit 125 trees of depth 20 with classes weighted alike: the settings that the authors of MARIDA published."""
    pixels, classes = labelled(samples)
    forest = RandomForestClassifier(125, max_depth=20, class_weight="balanced_subsample", random_state=seed)
    return forest.fit(pixels, classes)


def classes_of(forest: RandomForestClassifier, raw: Array) -> Array:
    """Return the class of each pixel ``(Y, X)`` of an image ``(11, 1, Y, X)``."""
    found = forest.predict(features(raw.reshape(len(raw), -1)))
    return np.asarray(found).reshape(raw.shape[-2:])
