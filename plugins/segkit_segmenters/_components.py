"""Connected components of one channel above a threshold."""

from __future__ import annotations

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
    connectivity: Literal[6, 18, 26]
    halo: Triple = (0, 0, 0)
    stitching: Literal["touching", "overlap"] = "touching"

    def __call__(self, prediction: Array, voxel_size: Spacing) -> Array:
        """Return ids ``(Z, Y, X)`` of a prediction ``(K, Z, Y, X)``."""
        import cc3d

        if self.channel >= len(prediction):
            raise DataError(
                f"The prediction has {len(prediction)} channels, so there is no channel {self.channel}; choose one from 0 to "
                f"{len(prediction) - 1} (option 'channel')."
            )
        above = np.ascontiguousarray(prediction[self.channel] > self.threshold)
        ids: Array = cc3d.connected_components(above, connectivity=self.connectivity)
        return ids
