"""From a `Volume` to napari layers: the only place that knows how both describe an image.

Every layer gets scale, translate, units and axis labels: one layer without units makes napari drop those of all. Images
always get contrast limits, since napari would read voxels to find them. Stored data are handed over as `LazyView` and never
as a bare zarr or HDF5 array, which would read a whole column of slices for each one that is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_segkit.layers._lazy import LazyView
from napari_segkit.session.images._overview import needs_overview
from segkit.errors import DataError
from segkit.geometry import Box
from segkit.volume import Volume

__all__ = ["AXIS_LABELS", "NAMED_LIKE_LABELS", "LayerData", "layers_of", "placement", "volume_of_layer"]

LayerData = tuple[Any, dict[str, Any], str]
AXIS_LABELS = ("z", "y", "x")
NAMED_LIKE_LABELS = ("label", "segment", "mask", "annotation", "groundtruth", "ground_truth", "instances", "ids")
MOST_SEPARATE_CHANNELS = 16
MOST_IN_3D = 2**24
_READ_FOR_LIMITS = 2**21


def placement(voxel_size: Sequence[float], offset: Sequence[float], unit: str) -> dict[str, Any]:
    """Return the layer arguments that say where voxels lie, the same for every kind of layer."""
    return {
        "scale": tuple(float(size) for size in voxel_size),
        "translate": tuple(float(start) for start in offset),
        "units": ("nm" if unit == "nm" else "pixel",) * 3,
        "axis_labels": AXIS_LABELS,
    }


def kind_of(volume: Volume) -> Literal["image", "labels"]:
    """Tell labels from an image: by what the file says, then by its type, then by its name."""
    said = volume.metadata.get("kind")
    if said in ("segmentation", "labels", "prediction", "image"):
        return "labels" if said in ("segmentation", "labels") else "image"
    if volume.axes == "czyx" or volume.dtype.kind not in "uib":
        return "image"
    if volume.dtype.kind == "b" or volume.dtype.itemsize >= 4:
        return "labels"
    name = Path(volume.source.rstrip("/")).name.lower()
    return "labels" if any(word in name for word in NAMED_LIKE_LABELS) else "image"


def layers_of(
    volume: Volume, *, name: str = "", kind: Literal["image", "labels", "auto"] = "auto", **looks: Any
) -> list[LayerData]:
    """Return napari layer data for a volume, without reading more than a small piece of its coarsest level.

    Parameters
    ----------
    volume
        The volume; its levels become the levels of the layer.
    name
        Name of the layer; empty takes the end of the volume's source.
    kind
        Whether to show an image or labels; ``auto`` decides from the file, the type and the name.
    **looks
        Further arguments of the layer, such as ``colormap``.

    Returns
    -------
    list
        One layer, or one for each channel of an image.

    Raises
    ------
    DataError
        If even its coarsest level is too large to be shown as a whole.
    """
    if needs_overview(volume):
        raise DataError(
            f"{volume.source} has {math.prod(volume.spatial_shape):,} voxels and no coarser copies, so that it cannot be shown as "
            "a whole. Open it on the page Data of the segkit panel, which builds an overview or shows a cut-out, or make copies "
            "with 'segkit convert'."
        )
    name = name or Path(volume.source.rstrip("/")).stem or "volume"
    kind = kind_of(volume) if kind == "auto" else kind
    levels = [volume, *volume.levels, *_for_three_dimensions(volume, labels=kind == "labels")]
    arguments = {
        **placement(volume.voxel_size, volume.offset, volume.unit),
        "metadata": {"segkit": {"source": volume.source if _openable(volume) else "", "unit": volume.unit}},
    }
    if len(levels) > 1:
        arguments["multiscale"] = True
    arrays = [_lazy(level) for level in levels]
    if kind == "labels":
        if volume.axes == "czyx":
            arrays = [array[0] for array in arrays]
        arrays = [_unsigned(array) for array in arrays]
        return [(_single(arrays), arguments | {"name": name, "opacity": 0.6} | looks, "labels")]
    limits = contrast_limits(volume)
    if volume.axes == "zyx":
        return [(_single(arrays), arguments | {"name": name, "contrast_limits": limits} | looks, "image")]
    layers: list[LayerData] = []
    names = volume.channel_names or tuple(f"channel {c}" for c in range(volume.channels))
    for channel in range(min(volume.channels, MOST_SEPARATE_CHANNELS)):
        data = _single([array[channel] for array in arrays])
        own = {"name": f"{name}: {names[channel]}", "contrast_limits": limits, "visible": channel == 0}
        if volume.channels == 1:
            own |= {"name": name, "visible": True}
        segkit = {"segkit": {**arguments["metadata"]["segkit"], "channel": channel}}
        layers.append((data, arguments | own | {"metadata": segkit} | looks, "image"))
    return layers


def _openable(volume: Volume) -> bool:
    """Return whether the source is a place, and the whole of it is shown."""
    path = volume.source.rpartition(":")[0] or volume.source
    return "://" in volume.source or Path(volume.source).exists() or Path(path).is_file()


def _single(arrays: list[Any]) -> Any:
    return arrays if len(arrays) > 1 else arrays[0]


def _for_three_dimensions(volume: Volume, *, labels: bool) -> list[Volume]:
    """Return one more level where the coarsest has too many voxels for 3D, which napari shows whole."""
    coarsest = volume.levels[-1] if volume.levels else volume
    if _in_memory(coarsest) or math.prod(coarsest.spatial_shape) <= MOST_IN_3D:
        return []
    from segkit.store import coarser

    times = 1
    while True:
        found = coarser(coarsest, times, labels=labels)
        if math.prod(found.spatial_shape) <= MOST_IN_3D:
            return [found]
        times += 1


def _in_memory(volume: Volume) -> bool:
    return isinstance(volume.array, np.ndarray) and not isinstance(volume.array, np.memmap)


def _lazy(volume: Volume) -> Any:
    """Return the voxels as something that napari may index twice at no cost."""
    return volume.array if _in_memory(volume) else LazyView(volume)


def _unsigned(array: Any) -> Any:
    """Labels must be integers for napari."""
    kind = np.dtype(array.dtype).kind
    if kind in "ui":
        return array
    if isinstance(array, LazyView):
        return LazyView(_Cast.of(array.volume, np.uint8 if kind == "b" else np.uint64), array.parts)
    return array.view(np.uint8) if kind == "b" else array.astype(np.uint64)


@dataclass(frozen=True, slots=True)
class _Cast:
    """An array-like of another type."""

    array: Any
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, volume: Volume, dtype: Any) -> Volume:
        return replace(volume, array=cls(volume.array, np.dtype(dtype)), levels=())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        return np.asarray(self.array[key]).astype(self.dtype)


def contrast_limits(volume: Volume) -> tuple[float, float]:
    """Return the range to show, from the type where it has few values and otherwise from the middle of the coarsest level."""
    if volume.dtype.kind == "b":
        return 0.0, 1.0
    if volume.dtype == np.uint8:
        return 0.0, 255.0
    coarsest = volume.levels[-1] if volume.levels else volume
    # The middle, as flat as possible: a slice of many chunks costs less than a cube of slices.
    room = max(1, _READ_FOR_LIMITS // coarsest.channels)
    sides = [1, *coarsest.spatial_shape[1:]]
    while math.prod(sides) > room:
        sides[int(np.argmax(sides))] //= 2
    sides[0] = max(1, min(coarsest.spatial_shape[0], room // math.prod(sides), 16))
    start = [(n - side) // 2 for n, side in zip(coarsest.spatial_shape, sides, strict=True)]
    voxels = coarsest.read(Box.of_shape(sides, start))
    voxels = voxels[np.isfinite(voxels)] if voxels.dtype.kind == "f" else voxels
    if not voxels.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(voxels, (0.1, 99.9)))
    if volume.dtype.kind == "f" and 0 <= low <= high <= 1:
        return 0.0, 1.0  # a prediction
    return (low, high) if high > low else (low, low + 1)


def volume_of_layer(layer: Any) -> Volume:
    """Return the voxels of a napari image or labels layer as a volume, with its position; nothing is copied.

    Raises
    ------
    DataError
        If the layer is RGB, has more than 3 axes, or is rotated or sheared.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if getattr(layer, "rgb", False) or not 2 <= len(data.shape) <= 3:
        raise DataError(
            f"The layer '{layer.name}' has the shape {tuple(data.shape)}{' (RGB)' if getattr(layer, 'rgb', False) else ''}; an "
            "image of (z, y, x) or (y, x) is needed. Split it first (right click on the layer, Split RGB or Split Stack)."
        )
    scale, translate = [float(s) for s in layer.scale], [float(t) for t in layer.translate]
    if not np.allclose(layer.rotate, np.eye(len(scale))) or not np.allclose(layer.shear, 0):
        raise DataError(
            f"The layer '{layer.name}' is rotated or sheared, which volumes are not. Reset its transform first."
        )
    to_nm = [_nanometres(unit) for unit in layer.units]
    known = None not in to_nm or any(size != 1 for size in scale)
    factors = [factor or 1.0 for factor in to_nm]
    spacing = [size * factor for size, factor in zip(scale, factors, strict=True)]
    offset = [start * factor for start, factor in zip(translate, factors, strict=True)]
    if len(spacing) == 2:
        spacing, offset = [spacing[0], *spacing], [0.0, *offset]
    if isinstance(data, LazyView) and data.whole:
        data = data.volume.array
    return Volume.from_array(
        data,
        voxel_size=tuple(spacing) if known else (1.0, 1.0, 1.0),
        offset=tuple(offset),
        unit="nm" if known else "voxel",
        source=layer.name,
    )


def _nanometres(unit: Any) -> float | None:
    """Return how many nanometres a pint unit is; None for one that is no length."""
    try:
        return float((1 * unit).to("nm").magnitude)
    except Exception:  # pint's own errors differ between its versions
        return None
