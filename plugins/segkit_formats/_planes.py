"""Arrays made of planes that are decoded one at a time, the last of them kept."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

__all__ = ["Planes"]

_KEPT_BYTES = 256 * 2**20


class Planes:
    """An array whose leading axes count planes.

    Parameters
    ----------
    shape
        Of the whole.
    leading
        How many of its axes count planes; the others are those of a plane.
    dtype
        Of a voxel.
    load
        Decodes a plane, by its number. The planes that were used last are kept, 256 MiB of them.
    """

    def __init__(
        self, shape: tuple[int, ...], leading: int, dtype: Any, load: Callable[[int], np.ndarray[Any, Any]]
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._leading = leading
        self._load = load
        self._kept: OrderedDict[int, np.ndarray[Any, Any]] = OrderedDict()
        self._lock = Lock()
        self._most = max(1, _KEPT_BYTES // max(1, math.prod(shape[leading:]) * np.dtype(dtype).itemsize))

    def plane(self, number: int) -> np.ndarray[Any, Any]:
        """Return one plane."""
        with self._lock:  # decoders share one open file
            if number not in self._kept:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)
                self._kept[number] = self._load(number)
            self._kept.move_to_end(number)
            return self._kept[number]

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        ranges = [range(*part.indices(n)) for part, n in zip(key, self.shape, strict=True)]
        counts = self.shape[: self._leading]
        voxels = np.empty([len(r) for r in ranges], self.dtype)
        for place in itertools.product(*(range(len(r)) for r in ranges[: self._leading])):
            position = [r[i] for r, i in zip(ranges[: self._leading], place, strict=True)]
            number = int(np.ravel_multi_index(position, counts)) if counts else 0
            voxels[place] = self.plane(number)[key[self._leading :]]
        return voxels
