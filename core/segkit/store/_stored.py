"""An array of a store behind a URL: every read has a deadline, and every trouble is one error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.store._place import Folder, failure, wait

__all__ = ["StoredArray"]

_AT_ONCE = 64 * 2**20


class StoredArray:
    """The tensorstore array that ``opener(*arguments)`` returns.

    It travels to another process as the way to open it, and shares the cache of that process there.

    Parameters
    ----------
    place
        Of the array, for messages.
    timeout
        Seconds for each 64 MiB that a read asks for; they count where `place` is a URL.
    opener
        A function of a module.
    arguments
        What it takes.
    """

    def __init__(self, place: Folder, timeout: float, opener: Callable[..., Any], *arguments: Any) -> None:
        self._how = (place, timeout, opener, *arguments)
        self._array = opener(*arguments)
        self._failed = False
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype: np.dtype[Any] = self._array.dtype.numpy_dtype
        self.chunks = tuple(int(n or 1) for n in self._array.chunk_layout.read_chunk.shape)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        place, timeout, opener, *arguments = self._how
        try:
            if self._failed:  # a chunk that was not there is remembered as long as the array is open
                self._array = opener(*arguments)
                self._failed = False
            view = self._array[key]
            parts = math.ceil(math.prod(view.shape) * self.dtype.itemsize / _AT_ONCE)
            voxels: np.ndarray[Any, Any] = wait(view.read(), place, timeout * max(1, parts))
        except (ValueError, OSError, RuntimeError) as error:
            self._failed = True
            if isinstance(error, DataError):
                raise
            names = "czyx"[-len(key) :]
            region = ", ".join(f"{axis}{s.start}:{s.stop}" for axis, s in zip(names, key, strict=True))
            raise failure(place, region, error) from error
        return voxels

    def __getstate__(self) -> dict[str, Any]:
        # It opens again where it arrives, and not before something is read there.
        return {**self.__dict__, "_array": None, "_failed": True}
