"""Arrays for batches whose memory is used again once nobody holds the batch any more.

Arrays of megabytes that are allocated and freed for each batch cost a page fault for every 4 KiB, which took longer
than reading the patches did. An array is given out again only when its last holder (a view or a tensor that
shares its memory, too) has let it go.
"""

from __future__ import annotations

import weakref
from collections import deque
from threading import Lock
from typing import Any

import numpy as np

__all__ = ["Buffers"]

Array = np.ndarray[Any, Any]


class _Lease:
    """What arrays on lent memory, and all views of them, have for their base.

    An array as the base would not do: numpy lets a view refer to the owner of the memory, past the array it was made of.
    """

    def __init__(self, owned: Array) -> None:
        self.__array_interface__ = owned.__array_interface__
        self.owned = owned


class Buffers:
    """Arrays that come back by themselves.

    Parameters
    ----------
    kept
        Free arrays of one shape and type that are kept; more are freed.
    """

    def __init__(self, kept: int) -> None:
        self._kept, self._lock = kept, Lock()
        self._free: dict[tuple[tuple[int, ...], str], deque[Array]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of any content."""
        with self._lock:
            free = self._free.setdefault((shape, dtype.str), deque(maxlen=self._kept))
        try:
            owned = free.pop()
        except IndexError:
            owned = np.empty(shape, dtype)
        lease = _Lease(owned)
        weakref.finalize(lease, free.append, owned).atexit = False
        return np.asarray(lease)
