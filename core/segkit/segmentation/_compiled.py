"""Loops compiled by numba, kept on the disk between runs where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called; other threads run on while it works."""
    from numba import njit

    try:
        result: Function = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither the installation nor the user's folder can be written to
        result = njit(nogil=True)(function)
    return result
