"""What goes wrong with sections: some are lost, some slip sideways, some are out of focus."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

Array = np.ndarray[Any, Any]


def spoil(raw: Array, labels: Array, share: float, random: np.random.Generator) -> tuple[Array, Array]:
    """Spoil a share of the sections.

    A missing section is black and keeps its labels, which a network is to bridge. A shifted one takes its labels along,
    as an annotator draws what the image shows; the margin that it uncovers repeats the last row or column.

    Parameters
    ----------
    raw
        uint8 ``(Z, Y, X)``.
    labels
        Ids of the same shape.
    share
        Share of the sections, 0..1.
    random
        Source of all choices.

    Returns
    -------
    tuple
        Raw and labels, spoilt copies.
    """
    raw, labels = raw.copy(), labels.copy()
    for z in np.flatnonzero(random.random(raw.shape[0]) < share):
        fault = int(random.integers(3))
        if fault == 0:
            raw[z] = 0
        elif fault == 1:
            furthest = max(2, min(raw.shape[1:]) // 16)
            by = random.integers(2, furthest + 1, size=2) * random.choice([-1, 1], size=2)
            rows, columns = (np.clip(np.arange(n) - b, 0, n - 1) for n, b in zip(raw.shape[1:], by, strict=True))
            raw[z], labels[z] = raw[z][np.ix_(rows, columns)], labels[z][np.ix_(rows, columns)]
        else:
            raw[z] = np.rint(gaussian_filter(raw[z].astype(np.float32), random.uniform(1.5, 3.0)))
    return raw, labels
