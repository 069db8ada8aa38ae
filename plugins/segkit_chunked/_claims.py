"""Numbers out of metadata that anybody may have written, each refused where it cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["TYPES", "check_grid", "integers", "lengths"]

TYPES = (*(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)), "float32", "float64")
_LARGEST_CHUNK = 2 * 2**30
_LARGEST_ARRAY = 2**62
_FARTHEST = 2**53
_MOST_TINY_CHUNKS = 2**20


def integers(values: Any, count: int | None, what: str, least: int = 1) -> tuple[int, ...]:
    """Return a list of `count` (None: 1 to 8) integers of at least `least`.

    Raises
    ------
    ValueError
        If it is something else.
    """
    fits = isinstance(values, list) and (len(values) == count or (count is None and 1 <= len(values) <= 8))
    if not fits or not all(type(v) is int or (type(v) is float and v.is_integer()) for v in values):
        raise ValueError(f"{what} is {_short(values)}, and {count or 'some'} whole numbers were due")
    numbers = tuple(int(v) for v in values)
    if min(numbers) < least or max(map(abs, numbers)) > _FARTHEST:
        raise ValueError(f"{what} is {_short(values)}, which is out of range")
    return numbers


def lengths(values: Any, count: int, what: str) -> tuple[float, ...]:
    """Return a list of `count` finite numbers above 0.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(values, list) or len(values) != count or not all(type(v) in (int, float) for v in values):
        raise ValueError(f"{what} is {_short(values)}, and {count} numbers were due")
    numbers = tuple(float(v) for v in values)
    if not all(math.isfinite(v) and 0 < v < 1e15 for v in numbers):
        raise ValueError(f"{what} is {_short(values)}; each must be above 0")
    return numbers


def check_grid(shape: Sequence[int], chunk: Sequence[int], dtype: Any) -> None:
    """Refuse an array or chunks of a size that nobody can have written or could read.

    Raises
    ------
    ValueError
        If they are.
    """
    if dtype not in TYPES:
        raise ValueError(f"its voxels are of type {_short(dtype)}, which is none of {', '.join(TYPES)}")
    if math.prod(shape) * np.dtype(dtype).itemsize > _LARGEST_ARRAY:
        raise ValueError(f"its shape {tuple(shape)} is beyond any disk")
    # A small image in one generous chunk is fine; the chunk is what has to fit in memory.
    if math.prod(chunk) * np.dtype(dtype).itemsize > _LARGEST_CHUNK:
        raise ValueError(f"its chunks {tuple(chunk)} are larger than 2 GiB each")
    count = math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
    if math.prod(chunk) < 64 and count > _MOST_TINY_CHUNKS:
        raise ValueError(
            f"its shape {tuple(shape)} in chunks of {tuple(chunk)} is {count} chunks, which no reader gets through"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
