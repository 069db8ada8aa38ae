"""Compiling loops with numba, and keeping the machine code on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function on its first call with types it has not seen; other threads run on while it works.

    Machine code is kept in ``__pycache__`` beside the source, or in numba's own folder of the user (``NUMBA_CACHE_DIR``
    names another one). Where neither can be written, each process compiles for itself.
    """
    # Products and sums may be fused; nothing else is taken less exactly.
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function)
    with suppress(RuntimeError):  # numba found no folder to write to
        dispatcher._cache = _Forgiving(function)
    result: Function = dispatcher
    return result


class _Forgiving(FunctionCache):  # type: ignore[misc]
    """A cache without which everything works too: a full disk or a torn file costs a compilation, never a run."""

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
