"""The error of a failed check."""

from __future__ import annotations

__all__ = ["ConformanceError"]


class ConformanceError(AssertionError):
    """A component does not keep the contract of its kind."""
