"""Compiling loops with numba, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function on its first call with types it has not seen; other threads run on while it works.

    Machine code is kept in ``__pycache__`` beside the source, or in numba's own folder of the user (``NUMBA_CACHE_DIR``
    names another one). Where neither can be written, each process compiles for itself.
    """
    how = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp", "reassoc"}}
    try:
        result: Function = numba.njit(cache=True, **how)(function)
    except RuntimeError:  # numba found no folder to write to
        result = numba.njit(**how)(function)
    return result
