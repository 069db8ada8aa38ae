"""Loops compiled by numba, kept on the disk between runs where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called; other threads run on while it works."""
    dispatcher = numba.njit(nogil=True)(function)
    with suppress(RuntimeError):  # neither the installation nor the user's folder can be written to
        dispatcher._cache = _Forgiving(function)
    result: Function = dispatcher
    return result


class _Forgiving(FunctionCache):  # type: ignore[misc]
    """What is kept only saves time: where the disk is full or a file is torn, a function is compiled again."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            with suppress(Exception):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(Exception):
            super().save_overload(sig, data)
