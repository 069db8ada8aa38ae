"""What was computed and may be asked for again, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import numpy as np

__all__ = ["Kept"]

Array = np.ndarray[Any, Any]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Arrays by keys, and exceptions in place of those that could not be computed; the oldest are dropped first."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._bytes = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: Key) -> Value:
        """Return what is kept under a key, which counts as new again."""
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        self.drop(key)
        self._values[key] = value
        self._bytes += _size(value)

    def pop(self, key: Key) -> Value:
        """Return what is kept under a key, and keep it no longer."""
        value = self._values.pop(key)
        self._bytes -= _size(value)
        return value

    def drop(self, key: Key) -> None:
        """Keep nothing under a key."""
        if key in self._values:
            self.pop(key)

    def shrink(self, most: int) -> None:
        """Drop the oldest until the others hold at most so many bytes; the last one stays."""
        while len(self._values) > 1 and self._bytes > most:
            self.pop(next(iter(self._values)))


def _size(value: object) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else 0
