"""`Volume`: a lazily loaded image with axes, voxel size and position.

A volume never holds more than its metadata; voxels are read when a region is asked for. Anything with ``shape``,
``dtype`` and slicing can back one: a tensorstore, a memory map, an HDF5 dataset, a dask array, or a network that
computes what is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from segkit.errors import DataError, SegkitError, UsageError
from segkit.geometry import Box, Triple

if TYPE_CHECKING:
    import dask.array

__all__ = ["ArrayLike", "Volume"]

Axes = Literal["zyx", "czyx"]
Spacing = tuple[float, float, float]


class ArrayLike(Protocol):
    """What can back a volume; slicing may return anything that `numpy.asarray` takes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of one voxel."""

    def __getitem__(self, key: tuple[slice, ...], /) -> Any:
        """Return a region; the only kind of key used is one slice of step 1 for each axis."""


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of an array-like that begins at `start` and has `shape`, itself an array-like."""

    array: ArrayLike
    start: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        ranges = zip(key, self.start, self.shape, strict=True)
        return self.array[tuple(slice(s.indices(n)[0] + a, s.indices(n)[1] + a) for s, a, n in ranges)]


class _ComputedWindow(_Window):
    """The same, of what computes several regions at once."""

    __slots__ = ()

    @property
    def batch(self) -> int:
        return int(getattr(self.array, "batch", 1))

    def read_blocks(self, boxes: Iterable[Box]) -> Iterator[np.ndarray[Any, Any]]:
        array: Any = self.array
        blocks: Iterator[np.ndarray[Any, Any]] = array.read_blocks(box.shift(self.start[-3:]) for box in boxes)
        return blocks


@dataclass(frozen=True, eq=False)
class Volume:
    """A lazily loaded image or label volume.

    Parameters
    ----------
    array
        The voxels, ``(z, y, x)`` or ``(c, z, y, x)``. A 2D image has one z.
    axes
        ``"zyx"``, or ``"czyx"`` where there are channels.
    voxel_size
        Size of a voxel in `unit`, ``(z, y, x)``; each above 0.
    offset
        Position of the centre of voxel (0, 0, 0) in `unit`, ``(z, y, x)``.
    unit
        ``"nm"``, or ``"voxel"`` where the size of a voxel is not known; `voxel_size` then gives proportions only.
    chunks
        Shape in which the backing store keeps the voxels, one number for each axis; None where reading is equally
        cheap everywhere.
    levels
        The same image at coarser and coarser resolution, finest first, without this one.
    source
        Where it came from, for messages; what `segkit.open_volume` takes if it came from there.
    channel_names
        A name for each channel, or empty.
    metadata
        What else the file said and its format keeps, such as a georeference.
    """

    array: ArrayLike
    axes: Axes = "zyx"
    voxel_size: Spacing = (1.0, 1.0, 1.0)
    offset: Spacing = (0.0, 0.0, 0.0)
    unit: Literal["nm", "voxel"] = "voxel"
    chunks: tuple[int, ...] | None = None
    levels: tuple[Volume, ...] = ()
    source: str = "array"
    channel_names: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.array.shape) != len(self.axes):
            raise DataError(
                f"{self.source} has {len(self.array.shape)} axes (shape {tuple(self.array.shape)}), but its axes are said to "
                f"be '{self.axes}'. Name as many axes as there are."
            )
        if not all(math.isfinite(v) and v > 0 for v in self.voxel_size):
            raise DataError(
                f"{self.source} has the voxel size {self.voxel_size}; each must be above 0. Give the right one, as "
                "'voxel_size' or with 'segkit convert --voxel-size'."
            )

    @classmethod
    def from_array(cls, array: Any, *, axes: str | None = None, **metadata: Any) -> Volume:
        """Make a volume of an array in memory, a dask array or any other array-like.

        Parameters
        ----------
        array
            Voxels with 2 to 4 axes.
        axes
            A letter for each axis, from ``"yx"``, ``"zyx"``, ``"cyx"`` or ``"czyx"``; None reads 2 axes as an image, 3
            as ``"zyx"`` and 4 as ``"czyx"``.
        **metadata
            Any other field of `Volume`, such as ``voxel_size=(30, 8, 8), unit="nm"``. A voxel size alone is taken to
            be in nanometres.

        Raises
        ------
        UsageError
            If there are fewer axes than 2 or more than 4, or the letters do not fit.
        """
        shape = tuple(array.shape)
        axes = axes or {2: "yx", 3: "zyx", 4: "czyx"}.get(len(shape), "")
        if axes not in ("yx", "zyx", "cyx", "czyx") or len(axes) != len(shape):
            raise UsageError(
                f"An array of shape {shape} cannot be a volume with axes {axes or 'unknown'!r}. Pass axes='yx', 'zyx', 'cyx' "
                "or 'czyx', one letter for each axis of the array."
            )
        if "z" not in axes:
            array = array.reshape((*shape[:-2], 1, *shape[-2:]))
        if "voxel_size" in metadata:
            metadata.setdefault("unit", "nm")
        chunks = getattr(array, "chunksize", None)  # dask
        metadata.setdefault("chunks", tuple(chunks) if chunks else None)
        return cls(array, "czyx" if "c" in axes else "zyx", **metadata)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, in the order of `axes`."""
        return tuple(int(n) for n in self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel, in the byte order of this machine."""
        own: Any = self.array.dtype
        dtype: np.dtype[Any] = np.dtype(getattr(own, "numpy_dtype", own))
        return dtype.newbyteorder("=")

    @property
    def spatial_shape(self) -> Triple:
        """Extent in voxels, ``(z, y, x)``."""
        return cast("Triple", self.shape[-3:])

    @property
    def channels(self) -> int:
        """Number of channels; 1 where there is no such axis."""
        return self.shape[0] if self.axes == "czyx" else 1

    @property
    def chunk_start(self) -> Triple:
        """Where a chunk of the store begins, ``(z, y, x)``, at or before voxel 0: not 0 where a crop cuts through chunks."""
        array, start = self.array, [0, 0, 0]
        while isinstance(array, _Window):
            start = [a + b for a, b in zip(start, array.start[-3:], strict=True)]
            array = array.array
        z, y, x = (-(a % c) for a, c in zip(start, (self.chunks or (1, 1, 1))[-3:], strict=True))
        return z, y, x

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels, uncompressed."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def box(self) -> Box:
        """The region this volume covers, in its own voxels."""
        return Box.of_shape(self.spatial_shape)

    @property
    def dask(self) -> dask.array.Array:
        """The voxels as a dask array, one task for each chunk of the store (or about 64 MiB where it has none)."""
        import dask.array

        return dask.array.from_array(
            _NumpyReads(self),
            chunks=self.chunks or "64MiB",
            asarray=False,
            fancy=False,
            meta=np.empty((0,) * len(self.axes), self.dtype),
        )

    def read(self, box: Box | None = None) -> np.ndarray[Any, Any]:
        """Read a region.

        Parameters
        ----------
        box
            Voxels of this volume; None for all of them. What lies outside the volume is filled by reflection at its
            borders.

        Returns
        -------
        numpy.ndarray
            ``(C, Z, Y, X)`` or ``(Z, Y, X)``, as `axes` says, in the byte order of this machine.

        Raises
        ------
        DataError
            If the store is damaged there, or the region does not touch the volume.
        """
        box = self.box if box is None else box
        inside = box & self.box
        if inside is None:
            raise DataError(f"The region {box} lies outside of {self.source}, which covers {self.box}.")
        lead = (slice(0, self.channels),) if self.axes == "czyx" else ()
        voxels = self._fetch((*lead, *inside.slices))
        if inside != box:
            before = [a - b for a, b in zip(inside.start, box.start, strict=True)]
            after = [b - a for a, b in zip(inside.stop, box.stop, strict=True)]
            margins = [(0, 0)] * len(lead) + list(zip(before, after, strict=True))
            voxels = np.pad(voxels, margins, mode="reflect")
        return voxels

    def read_blocks(self, boxes: Iterable[Box]) -> Iterator[np.ndarray[Any, Any]]:
        """Yield the voxels of many regions inside the volume, in order.

        What computes its voxels as they are read may work on several regions at once: an array-like that has a method
        ``read_blocks``, which takes the same boxes, is asked through it.

        Parameters
        ----------
        boxes
            Regions inside this volume.

        Raises
        ------
        DataError
            At the region that cannot be read; those after it are not yielded.
        """
        together = getattr(self.array, "read_blocks", None)
        yield from map(self.read, boxes) if together is None else together(boxes)

    def _fetch(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        try:
            voxels = np.asarray(self.array[key])
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            if isinstance(error, SegkitError):
                raise
            raise DataError(
                f"Reading {self.source} at {[f'{s.start}:{s.stop}' for s in key]} failed: {' '.join(str(error).split())[:300]} "
                "The data are incomplete or damaged there; copy or write them again."
            ) from error
        return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        """Read voxels with numpy's basic indexing: integers, slices and an ellipsis."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (len(self.shape) - len(parts) + 1)
        parts += [slice(None)] * (len(self.shape) - len(parts))
        ranges: list[slice] = []
        after: list[slice | int] = []
        for part, length in zip(parts, self.shape, strict=True):
            if isinstance(part, slice):
                start, stop, step = part.indices(length)
                if step < 1:
                    raise IndexError("a volume is read forwards: use a positive step")
                ranges.append(slice(start, max(start, stop)))
                after.append(slice(None, None, step))
            else:
                index = int(part) + (length if int(part) < 0 else 0)
                if not 0 <= index < length:
                    raise IndexError(f"index {int(part)} of an axis with {length} voxels")
                ranges.append(slice(index, index + 1))
                after.append(0)
        return self._fetch(tuple(ranges))[tuple(after)]

    def crop(self, box: Box) -> Volume:
        """Return the part of this volume inside `box`, lazily; its `offset` moves along.

        Raises
        ------
        UsageError
            If `box` is not inside the volume.
        """
        if not self.box.contains(box):
            raise UsageError(
                f"The region {box} is not inside {self.source}, which covers {self.box}. Choose one that is."
            )
        if box == self.box:
            return self
        lead = (self.channels,) if self.axes == "czyx" else ()
        kind = _ComputedWindow if hasattr(self.array, "read_blocks") else _Window
        window = kind(self.array, (0,) * len(lead) + box.start, lead + box.shape)
        moved = [o + s * v for o, s, v in zip(self.offset, box.start, self.voxel_size, strict=True)]
        return replace(self, array=window, offset=cast("Spacing", tuple(moved)), levels=())

    def with_array(
        self, array: ArrayLike, axes: Axes, *, chunks: Sequence[int] | None = None, **changes: Any
    ) -> Volume:
        """Return another volume of voxels that lie exactly where these do, such as a prediction of this image."""
        chosen = tuple(chunks) if chunks else None
        return replace(self, array=array, axes=axes, chunks=chosen, levels=(), **{"channel_names": (), **changes})

    def __repr__(self) -> str:
        size = " x ".join(f"{v:g}" for v in self.voxel_size) + f" {self.unit}"
        return f"<Volume {self.axes} {self.shape} {self.dtype}, voxel {size}, {self.source}>"


@dataclass(frozen=True, slots=True)
class _NumpyReads:
    """A volume as dask sees it: every slice is a read array."""

    volume: Volume

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    @property
    def ndim(self) -> int:
        return len(self.volume.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.volume.dtype

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        return self.volume[key]
