"""One scene of a microscope file as an array; called in the process that `segkit.opening.Isolated` starts."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.opening import decoding

__all__ = ["open_scene"]

logging.getLogger("bioio").addHandler(logging.NullHandler())

_LARGEST_PLANE = 2**29
_LEAST_LIMIT = 2**26
_HIGHEST_RATIO = 20_000
_OF_MANY_FILES = (".oif", ".vsi")


@dataclass(frozen=True, slots=True)
class _Planes:
    """A dask array, of which a region is computed at once."""

    lazy: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.lazy.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.lazy.dtype)
        return dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.lazy.chunksize)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        voxels: np.ndarray[Any, Any] = np.asarray(self.lazy[key].compute(scheduler="synchronous"))
        return voxels


@dataclass(frozen=True, slots=True)
class _Colours:
    """A CZI of coloured pixels, whose planes bioio-czi reads right one by one, but not through dask (3.0.1)."""

    image: Any
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    time: int

    @property
    def chunks(self) -> tuple[int, ...]:
        return tuple(n if axis in "YXS" else 1 for axis, n in zip(self.axes, self.shape, strict=True))

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        wanted = dict(zip(self.axes, key, strict=True))
        voxels: np.ndarray[Any, Any] = np.asarray(self.image.get_image_data(self.axes, T=self.time, **wanted))
        return voxels


def open_scene(path: str, scene: str, time: int | None) -> tuple[_Planes | _Colours, dict[str, Any]]:
    """Return a scene at one time point, and what the file says of it.

    Raises
    ------
    DataError
        If the file is damaged, or has no such scene or time point, or several time points of which none was chosen.
    """
    with decoding(path, "a microscope file"):
        image = _image(path)
        scenes = [str(name) for name in image.scenes]
        image.set_scene(_number(path, scene, scenes))
        axes = image.dims.order
        _check_claim(path, image.shape, np.dtype(image.dtype))
        shape, dtype = dict(zip(axes, image.shape, strict=True)), np.dtype(image.dtype)
        if "T" in axes:
            count = shape.pop("T")
            if time is None and count > 1:
                raise DataError(
                    f"{path} has {count} time points; a volume has none. Choose one, from 0, such as {path}#time=0."
                )
            if not 0 <= (time or 0) < count:
                raise DataError(f"{path} has {count} time points; there is no number {time} (from 0).")
        if dtype.kind not in "biuf":
            raise DataError(f"{path} holds pixels of type {dtype}, which are no numbers to segment.")
        letters = "".join(shape)
        planes: _Planes | _Colours
        if "S" in shape and Path(path).suffix.lower() == ".czi":
            planes = _Colours(image, letters, tuple(int(n) for n in shape.values()), dtype, time or 0)
        else:
            planes = _Planes(image.get_image_dask_data(letters, T=time or 0))
        if np.prod(planes.chunks, dtype=float) * planes.dtype.itemsize > _LARGEST_PLANE:
            raise DataError(
                f"{path} is read in pieces of {planes.chunks}, above 512 MiB each. Convert it to OME-Zarr with the maker's "
                "program or bioformats2raw."
            )
        sizes = image.physical_pixel_sizes
        facts = {
            "axes": letters,
            "chunks": planes.chunks,
            "scene": str(image.current_scene),
            "scenes": scenes,
            "channel_names": [str(name) for name in image.channel_names or ()],
            "pixel_sizes_um": {axis: _length(getattr(sizes, axis)) for axis in "ZYX"},
        }
    return planes, facts


def _check_claim(path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what the file cannot hold, before a graph of all its planes is made."""
    claimed, size = math.prod(shape) * dtype.itemsize, Path(path).stat().st_size
    if Path(path).suffix.lower() not in _OF_MANY_FILES and claimed > max(_LEAST_LIMIT, _HIGHEST_RATIO * size):
        raise DataError(f"{path} claims {claimed} bytes of pixels in {size}. It is damaged; copy it again.")


def _image(path: str) -> Any:
    from bioio import BioImage

    try:
        return BioImage(path, chunk_dims=["Y", "X"])  # some readers take a whole stack for one piece otherwise
    except TypeError:
        return BioImage(path)


def _number(path: str, scene: str, scenes: list[str]) -> int:
    if not scene:
        return 0
    if scene in scenes:
        return scenes.index(scene)
    if scene.isdecimal() and int(scene) < len(scenes):
        return int(scene)
    raise DataError(f"{path} has no scene '{scene}'. Its scenes, counted from 0: {', '.join(scenes[:20])}.")


def _length(value: Any) -> float:
    """Return a length in micrometres; 0 where the file does not say."""
    number = float(value) if value is not None else 0.0
    return number if np.isfinite(number) and number > 0 else 0.0
