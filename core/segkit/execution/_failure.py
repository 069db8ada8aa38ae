"""What stands in the place of a result that there is none of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from segkit.errors import SegkitError

__all__ = ["Failure", "outcome_of"]

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Work on one index that failed as often as it may be tried.

    Parameters
    ----------
    reason
        What happened, in one line.
    error
        The exception of the last try; from another process only where it is one of segkit's own.
    """

    reason: str
    error: Exception | None = field(default=None, compare=False)

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Return what an exception says, in one line; segkit's own messages need no name of a class in front."""
        text = " ".join(str(error).split())[:_LONGEST]
        own = isinstance(error, SegkitError)
        return cls(text if own else f"{type(error).__name__}: {text}".removesuffix(": "), error)


def outcome_of(task: Callable[[int], Any], index: int) -> Any:
    """Return what a task makes of an index, or its failure."""
    try:
        return task(index)
    except Exception as error:  # whatever the work is, it may fail in ways of its own
        return Failure.of(error)
