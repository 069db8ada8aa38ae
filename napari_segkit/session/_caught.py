"""Failures as results, for those who say them in a place of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["caught"]


def caught(work: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that returns what `work` raises."""

    def run() -> Any:
        try:
            return work()
        except Exception as error:
            return error

    return run
