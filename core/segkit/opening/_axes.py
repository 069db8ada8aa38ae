"""From the axes that a file has to (c, z, y, x), lazily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.errors import DataError

__all__ = ["Arranged", "arrange"]

_CHANNELS = "cs"  # TIFF tells channels from the samples of a pixel
_DEPTHS = "ziqr"  # sequences of unknown kind are taken for depth


@dataclass(frozen=True, slots=True)
class Arranged:
    """An array seen with axes (z, y, x) or (c, z, y, x).

    Parameters
    ----------
    array
        As it is stored.
    order
        Which axis of `array` each of (c), z, y and x is; None for a z that it does not have.
    """

    array: Any
    order: tuple[int | None, ...]

    @property
    def axes(self) -> Literal["zyx", "czyx"]:
        """Letters of the axes."""
        return "czyx" if len(self.order) == 4 else "zyx"

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(1 if axis is None else int(self.array.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> Any:
        """Type of one voxel."""
        return self.array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        stored = [slice(0, 1)] * len(self.array.shape)
        for part, axis in zip(key, self.order, strict=True):
            if axis is not None:
                stored[axis] = part
        voxels = np.asarray(self.array[tuple(stored)])
        kept = [axis for axis in self.order if axis is not None]
        rest = [axis for axis in range(voxels.ndim) if axis not in kept]
        voxels = voxels.transpose(rest + kept)[(0,) * len(rest)]
        return voxels if None not in self.order else np.expand_dims(voxels, self.order.index(None))


def arrange(array: Any, axes: str, source: str) -> Arranged:
    """Return an array with its axes in segkit's order.

    Parameters
    ----------
    array
        As it is stored.
    axes
        A letter for each of its axes: x, y, z, c or s (channels), t (time), i, q or r (a sequence, taken for z where
        there is no z), or any other; others must have a length of 1.
    source
        For messages.

    Raises
    ------
    DataError
        If there is no x or y, or another axis is longer than 1.
    """
    axes = axes.lower()
    lengths = [int(n) for n in array.shape]
    if min(lengths, default=0) < 1:
        raise DataError(f"{source} has the shape {tuple(lengths)}, which holds no voxels. Check how it was written.")

    def find(letters: str) -> int | None:
        found = [i for i, a in enumerate(axes) if a in letters]
        return max(found, key=lambda i: lengths[i], default=None)

    x, y, z, c = find("x"), find("y"), find("z"), find(_CHANNELS)
    if z is None or lengths[z] == 1:
        z = find(_DEPTHS)
    left = [i for i in range(len(axes)) if i not in (x, y, z, c) and lengths[i] > 1]
    if x is None or y is None or left or len(axes) != len(lengths):
        extra = f"; '{axes[left[0]]}' has a length of {lengths[left[0]]}" if left else ""
        raise DataError(
            f"{source} has the axes '{axes}' and shape {tuple(lengths)}{extra}, but a volume has z, y, x and channels only. Save "
            "each time point or position by itself, or open it in Python and pass a 3D array."
        )
    return Arranged(array, (z, y, x) if c is None else (c, z, y, x))
