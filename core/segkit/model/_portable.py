"""A lazy prediction that travels as the path of its model: whoever unpacks it loads the model, once a process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Box
from segkit.model._predicted import PredictedArray
from segkit.volume import Volume

__all__ = ["PortablePrediction"]


class PortablePrediction:
    """The same voxels as a `PredictedArray`, on whichever machine it is sent to.

    Parameters
    ----------
    array
        The prediction, as it is here.
    plan
        What decides on its voxels.
    build
        Makes it and its plan anew, on the device that is best there.
    """

    def __init__(
        self, array: PredictedArray, plan: Mapping[str, Any], build: Callable[[], tuple[Volume, dict[str, Any]]]
    ) -> None:
        self._array, self._plan, self._build = array, plan, build

    def __getstate__(self) -> dict[str, Any]:
        return {"_plan": self._plan, "_build": self._build}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        volume, plan = self._build()
        changed = [key for key in self._plan if key != "image" and plan.get(key) != self._plan[key]]
        if changed:
            raise DataError(
                f"The prediction would differ here in {', '.join(changed)}: this machine has another model under the same path, "
                "or another version of what it needs."
            )
        array: Any = volume.array
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, ``(K, Z, Y, X)``."""
        return self._array.shape

    @property
    def dtype(self) -> Any:
        """Type of one voxel."""
        return self._array.dtype

    @property
    def batch(self) -> int:
        """Blocks that are best computed together."""
        return self._array.batch

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        return self._array[key]

    def read_blocks(self, boxes: Iterable[Box]) -> Iterator[np.ndarray[Any, Any]]:
        """See `PredictedArray.read_blocks`."""
        return self._array.read_blocks(boxes)
