"""Connected components of one channel above a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Triple
from segkit.volume import Spacing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Components:
    """See `segkit_segmenters.components`."""

    threshold: float
    channel: int
    connectivity: Literal[4, 6, 18, 26]
    halo: Triple = (0, 0, 0)
    stitching: Literal["touching", "overlap"] = "touching"

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(K, Z, Y, X)``."""
        from segkit_segmenters._runs import label_components

        if self.channel >= len(prediction):
            raise DataError(
                f"The prediction has {len(prediction)} channels, so there is no channel {self.channel}; choose one from 0 to "
                f"{len(prediction) - 1} (option 'channel')."
            )
        values = prediction[self.channel]
        if values.dtype.kind == "b" and 0 <= self.threshold < 1:
            above = values
        else:  # of whole numbers, those above 0.5 are those above 0, which is compared much faster
            above = values > (math.floor(self.threshold) if values.dtype.kind in "ui" else self.threshold)
        return label_components(above, self.connectivity)
