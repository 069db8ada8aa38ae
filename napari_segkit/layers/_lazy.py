"""A volume as napari may index it: nothing is read before numpy asks, then exactly what is shown, and never too much."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.volume import Volume

__all__ = ["LazyView"]

MOST_AT_ONCE = 2**28


class LazyView:
    """Voxels of a volume; indexing it gives another view, and `numpy.asarray` reads.

    napari indexes first the displayed axes and then the others; a store that reads at the first step reads a whole
    column of slices for each one that is shown.

    Parameters
    ----------
    volume
        The volume.
    parts
        What is shown of each of its axes, an index or a range; None for all.

    Attributes
    ----------
    volume, parts
        As given.
    """

    def __init__(self, volume: Volume, parts: tuple[int | range, ...] | None = None) -> None:
        self.volume = volume
        self.parts = tuple(range(n) for n in volume.shape) if parts is None else parts

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(len(part) for part in self.parts if isinstance(part, range))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        return self.volume.dtype

    @property
    def whole(self) -> bool:
        """Whether all of the volume is seen."""
        return self.shape == self.volume.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> LazyView:
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        if len(keys) > self.ndim:
            raise IndexError(f"{len(keys)} indices for {self.ndim} axes")
        wanted = iter(keys)
        parts: list[int | range] = []
        for part in self.parts:
            if isinstance(part, range):
                chosen = next(wanted)
                parts.append(part[chosen] if isinstance(chosen, slice) else part[int(chosen)])
            else:
                parts.append(part)
        return LazyView(self.volume, tuple(parts))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise DataError(
            f"{self.volume.source} is shown from where it is stored and is not painted in. Make a box on the page Data and "
            "paint there."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.size > MOST_AT_ONCE:
            raise DataError(
                f"{self.size:,} voxels of {self.volume.source} were asked for at once, which is refused above "
                f"{MOST_AT_ONCE:,}. Show a coarser level or a smaller part."
            )
        # Downwards ranges are read upwards and turned around.
        key = tuple(_slice(part) if isinstance(part, range) else part for part in self.parts)
        voxels = np.asarray(self.volume[key])
        turned = tuple(slice(None, None, -1 if part.step < 0 else 1) for part in self.parts if isinstance(part, range))
        return np.asarray(voxels[turned], dtype=dtype)


def _slice(part: range) -> slice:
    if not part:
        return slice(0, 0)
    low, high = min(part[0], part[-1]), max(part[0], part[-1])
    return slice(low, high + 1, abs(part.step))
