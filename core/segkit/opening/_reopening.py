"""An array that travels to another process as the way to open it, since neither open files nor maps do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Reopening"]


class Reopening:
    """The array that ``opener(*arguments)`` returns.

    Parameters
    ----------
    opener
        A function of a module.
    arguments
        What it takes, such as a path.
    """

    def __init__(self, opener: Callable[..., Any], *arguments: Any) -> None:
        self._how = (opener, *arguments)
        self._array = opener(*arguments)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self._array.shape)

    @property
    def dtype(self) -> Any:
        """Type of one voxel."""
        return self._array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        return self._array[key]

    def __reduce__(self) -> tuple[type[Reopening], tuple[Any, ...]]:
        return Reopening, self._how
