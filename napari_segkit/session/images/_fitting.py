"""How labels that were made elsewhere fit an image: shape, voxel size and position, in a sentence, with a way to fix them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from segkit.geometry import Box, Triple
from segkit.volume import Spacing, Volume

__all__ = ["Fit", "fit"]

_WHOLE = 0.01  # of a voxel
_WORDS = {2: "half", 3: "a third of the", 4: "a quarter of the", 8: "an eighth of the"}


@dataclass(frozen=True, eq=False)
class Fit:
    """How labels fit.

    Parameters
    ----------
    ready
        Whether a training can use them.
    sentence
        Why, or why not.
    labels
        The labels as they will be used, on the voxels of the image.
    boxes
        Whether they cover a part of the image only.
    fixed
        The labels as a click on the fix would make them; None where there is no fix.
    label
        What that click says it does.
    """

    ready: bool
    sentence: str
    labels: Volume
    boxes: bool = False
    fixed: Volume | None = None
    label: str = ""


def fit(image: Volume, labels: Volume) -> Fit:
    """Compare labels with the image that they are to teach; only what is known of them is looked at, no voxel."""
    if labels.dtype.kind not in "biu":
        return Fit(False, f"These are {labels.dtype} numbers and no ids. Choose labels with whole numbers.", labels)
    if image.unit != labels.unit:
        return _without_size(image, labels)
    ratio = [b / a for a, b in zip(image.voxel_size, labels.voxel_size, strict=True)]
    if all(math.isclose(r, 1, rel_tol=1e-3) for r in ratio):
        return _placed(image, labels, "")
    up, down = (tuple(_whole(r if upwards else 1 / r) for r in ratio) for upwards in (True, False))
    for factor, upwards in ((up, True), (down, False)):
        if all(factor):
            return _matched(image, labels, cast("Triple", factor), upwards=upwards)
    return Fit(
        False,
        f"Voxels of {_numbers(labels.voxel_size)} {labels.unit} do not fit those of the image, "
        f"{_numbers(image.voxel_size)}. Correct the voxel size, or resample the labels.",
        labels,
    )


def _without_size(image: Volume, labels: Volume) -> Fit:
    """Fit by extents alone, since one of both does not say how large its voxels are."""
    on_image = replace(labels, unit=image.unit, voxel_size=image.voxel_size, offset=image.offset, levels=())
    if image.spatial_shape == labels.spatial_shape:
        return Fit(True, "As large as the image, used voxel by voxel.", on_image)
    pairs = list(zip(image.spatial_shape, labels.spatial_shape, strict=True))
    factor = tuple(_whole(a / b) for a, b in pairs)
    if all(factor):
        sizes = cast("Spacing", tuple(v * f for v, f in zip(image.voxel_size, factor, strict=True)))
        start = (o + (f - 1) / 2 * v for o, f, v in zip(image.offset, factor, image.voxel_size, strict=True))
        scaled = replace(on_image, voxel_size=sizes, offset=cast("Spacing", tuple(start)))
        return _matched(image, scaled, cast("Triple", factor), upwards=True)
    return Fit(
        False,
        f"Only one of both says its voxel size, and they have {_counts(labels)} and {_counts(image)} voxels. Crop one of them, "
        "or open the labels with their voxel size.",
        labels,
    )


def _placed(image: Volume, labels: Volume, resolution: str) -> Fit:
    """Fit labels with voxels of the size of the image's, which they may have been matched to."""
    also = f"{resolution}, and shifted by" if resolution else "Shifted by"
    said = f"{resolution}, aligned: will be matched." if resolution else ""
    pairs = zip(labels.offset, image.offset, image.voxel_size, strict=True)
    exact = [(a - b) / v for a, b, v in pairs]
    shift = [round(e) for e in exact]
    whole = all(abs(e - s) <= _WHOLE for e, s in zip(exact, shift, strict=True))
    same = labels.spatial_shape == image.spatial_shape
    if not whole:
        start = (o + s * v for o, s, v in zip(image.offset, shift, image.voxel_size, strict=True))
        moved = _changed(replace(labels, offset=cast("Spacing", tuple(start)), levels=()))
        return Fit(False, f"{also} {_shifts(exact)}.", labels, fixed=moved, label="Move to whole voxels")
    shared = Box.of_shape(labels.spatial_shape, shift) & image.box
    onto = _changed(replace(labels, offset=image.offset, levels=()))
    if same and any(shift):
        return Fit(False, f"{also} {_shifts(shift)}.", labels, fixed=onto, label="Move onto the image")
    if shared is None:
        return Fit(False, "They lie beside the image.", labels, fixed=onto, label="Move to the image's first voxel")
    if same:
        return Fit(True, said or "Fits the image voxel by voxel.", labels)
    return Fit(True, f"{said} They cover {shared} of the image and are used there.".strip(), labels, boxes=True)


def _matched(image: Volume, labels: Volume, factor: Triple, *, upwards: bool) -> Fit:
    """Bring labels of another resolution onto the image's voxels, as they are read."""
    known = {f for f in factor if f > 1}
    largest = max(factor)
    if upwards:
        said = f"{_WORDS.get(largest, f'1/{largest} of')} resolution" if len(known) == 1 else "coarser"
    else:
        said = f"{largest} times the resolution" if len(known) == 1 else "finer"
    array = _Matched(labels, image, factor, upwards)
    sign = -1 if upwards else 1
    sizes = image.voxel_size if upwards else labels.voxel_size
    start = [o + sign * (f - 1) / 2 * v for o, f, v in zip(labels.offset, factor, sizes, strict=True)]
    near = [(a - b) / v for a, b, v in zip(start, image.offset, image.voxel_size, strict=True)]
    if all(abs(n - round(n)) <= 0.5 * max(factor) for n in near):  # half a voxel is how the other program counts
        start = [o + round(n) * v for o, n, v in zip(image.offset, near, image.voxel_size, strict=True)]
    offset = cast("Spacing", tuple(start))
    made = replace(
        labels, array=array, voxel_size=image.voxel_size, offset=offset, axes="zyx", chunks=None, levels=(), metadata={}
    )
    return _placed(image, _changed(made), said.capitalize())


def _changed(labels: Volume) -> Volume:
    """Mark labels as no longer what their source says, so that they are written before a command reads them."""
    return replace(labels, metadata={**labels.metadata, "changed": True})


@dataclass(frozen=True)
class _Matched:
    """Labels read at another resolution: each voxel several times, or one of several."""

    labels: Volume
    image: Volume
    factor: Triple
    upwards: bool

    @property
    def shape(self) -> Triple:
        pairs = zip(self.labels.spatial_shape, self.factor, strict=True)
        if not self.upwards:
            return cast("Triple", tuple(max(1, n // f) for n, f in pairs))
        # Coarser levels round up, so the last voxel may reach beyond the image.
        sides = zip(pairs, self.image.spatial_shape, strict=True)
        return cast("Triple", tuple(m if m <= n * f < m + f else n * f for (n, f), m in sides))

    @property
    def dtype(self) -> Any:
        return self.labels.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        first = [part.start for part in key]
        last = [part.stop for part in key]
        if self.upwards:
            coarse = Box(
                cast("Triple", tuple(a // f for a, f in zip(first, self.factor, strict=True))),
                cast("Triple", tuple(-(-b // f) for b, f in zip(last, self.factor, strict=True))),
            )
            voxels = self.labels.read(coarse).reshape(coarse.shape)
            for axis, f in enumerate(self.factor):
                voxels = np.repeat(voxels, f, axis)
            starts = [a - c * f for a, c, f in zip(first, coarse.start, self.factor, strict=True)]
            return voxels[tuple(slice(s, s + b - a) for s, a, b in zip(starts, first, last, strict=True))]
        middle = [f // 2 for f in self.factor]
        fine = Box(
            cast("Triple", tuple(a * f + m for a, f, m in zip(first, self.factor, middle, strict=True))),
            cast("Triple", tuple((b - 1) * f + m + 1 for b, f, m in zip(last, self.factor, middle, strict=True))),
        )
        return self.labels.read(fine).reshape(fine.shape)[tuple(slice(None, None, f) for f in self.factor)]


def _whole(ratio: float) -> int:
    """Return a ratio as a whole number from 1 up, or 0 where it is none."""
    return round(ratio) if ratio > 0.9 and math.isclose(ratio, round(ratio), rel_tol=0.02) else 0


def _shifts(shift: list[float] | list[int]) -> str:
    parts = [
        f"{abs(s):.3g} voxel{'' if abs(s) == 1 else 's'} in {axis}" for axis, s in zip("zyx", shift, strict=True) if s
    ]
    return ", ".join(parts)


def _numbers(values: Spacing) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(f"{value:g}" for value in values)


def _counts(volume: Volume) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(str(n) for n in volume.spatial_shape)
