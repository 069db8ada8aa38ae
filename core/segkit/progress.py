"""How long work tells how far it is: a callback, which may raise to stop the work between two steps."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "silent"]

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all, first with 0 done and last with all done."""


def silent(done: int, total: int) -> None:
    """Tell nobody."""
