"""Memory that is given back when it is free, so that work over many blocks stays as small as one of them.

glibc raises the size from which it gives freed arrays back to the system each time a larger one is freed. Work that
allocates and frees the arrays of one block after another then keeps ever more memory in pieces too small to be used
again: a third more than it needs, and rising, when it was measured on predictions.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

__all__ = ["give_back_freed_arrays"]

_M_MMAP_THRESHOLD = -3  # malloc.h
_BYTES = 1 << 20


@cache
def give_back_freed_arrays() -> None:
    """Have the C library return arrays of a mebibyte or more to the system when they are freed; glibc only."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none, and no such habit
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _BYTES)
