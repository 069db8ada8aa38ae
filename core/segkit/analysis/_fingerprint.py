"""`Fingerprint`: what images and their labels are like, as numbers that fit on a page and into a JSON file.

Nothing here reads voxels; `segkit.analysis.fingerprint` fills these records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Triple
from segkit.volume import Spacing

__all__ = ["ClassCount", "Fingerprint", "Intensity", "LabelKind", "Labels", "SampleRow", "Spread"]

LabelKind = Literal["classes", "objects", "image", "none"]

_PERCENTILES = {"p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95}


@dataclass(frozen=True, slots=True)
class Spread:
    """How some numbers are spread.

    Parameters
    ----------
    count
        How many there are, at least 1.
    mean, sd
        Mean, and standard deviation over all of them (divided by `count`).
    minimum, p5, p25, median, p75, p95, maximum
        The smallest and the largest, and percentiles between them.
    """

    count: int
    mean: float
    sd: float
    minimum: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float

    @classmethod
    def of(cls, values: Iterable[float] | np.ndarray[Any, Any]) -> Spread | None:
        """Measure numbers; None where there are none."""
        array = np.asarray(values if isinstance(values, np.ndarray) else list(values), np.float64)
        if not array.size:
            return None
        between = {name: float(np.percentile(array, at)) for name, at in _PERCENTILES.items()}
        ends = {"minimum": float(array.min()), "maximum": float(array.max())}
        return cls(count=int(array.size), mean=float(array.mean()), sd=float(array.std()), **ends, **between)


@dataclass(frozen=True, slots=True)
class Intensity:
    """The values of one channel of the images, over all finite voxels that were read.

    Parameters
    ----------
    name
        Name of the channel; its number where it has none.
    mean, sd
        Mean and standard deviation.
    minimum, p0_5, median, p99_5, maximum
        The lowest and highest value, and percentiles 0.5, 50 and 99.5.
    saturated
        Share of voxels, 0..1, at the highest value that 8, 10, 12, 14 or 16 bits can hold, where that is also the highest
        value of their sample.
    not_finite
        Share of voxels, 0..1, that are NaN or infinite.
    """

    name: str
    mean: float
    sd: float
    minimum: float
    p0_5: float
    median: float
    p99_5: float
    maximum: float
    saturated: float
    not_finite: float


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How often an id occurs where labels are classes.

    Parameters
    ----------
    id
        The id; 0 is background.
    voxels
        Labelled voxels that have it.
    samples
        Samples in which it occurs.
    """

    id: int
    voxels: int
    samples: int


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known about the images.

    Parameters
    ----------
    kind
        ``"objects"`` where each id is an object, ``"classes"`` where ids are classes (a mask of one id too), ``"image"``
        where labels are an image to be restored, ``"none"`` where there are none.
    ids
        Different ids over all samples, background left out; 1 for a mask.
    labelled
        Share of voxels, 0..1, of which something is known.
    positive
        Share of the labelled voxels, 0..1, that are not background.
    objects
        Objects in each labelled sample. Where labels are classes, an object is a connected piece (26 neighbours, or 8 in a
        plane) of one class; where they are objects, it is an id. None where labels are an image or absent.
    object_voxels
        Voxels of each object.
    object_diameter
        Diameter of the disc (samples of one z) or ball of the same size, in voxels along x.
    object_extent
        Length of each object along z, y and x, in voxels; None, or one for each axis.
    touching
        Share of objects, 0..1, with a neighbouring voxel (26 or 8) that belongs to another object. Pieces of a mask never
        touch, whatever was there before it was one.
    classes
        Voxels of each class, by id; empty where labels are not classes.
    """

    kind: LabelKind
    ids: int = 0
    labelled: float = 0.0
    positive: float = 0.0
    objects: Spread | None = None
    object_voxels: Spread | None = None
    object_diameter: Spread | None = None
    object_extent: tuple[Spread, Spread, Spread] | None = None
    touching: float = 0.0
    classes: tuple[ClassCount, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample.

    Parameters
    ----------
    name
        What it is called.
    source
        Where its image came from.
    start
        Where it begins in its source, in voxels (z, y, x), counted from where the source's coordinates are 0.
    shape
        Extent in voxels (z, y, x).
    mean, sd, low, high
        Mean, standard deviation and percentiles 0.5 and 99.5 of its finite voxels, over all channels that are not constant in
        it; all are 0 where no voxel is finite.
    saturated, not_finite, labelled, positive
        Shares as in `Intensity` and `Labels`.
    objects
        Objects in it, extrapolated where only blocks of it were read; None where it is not labelled, or has no objects by
        the nature of its labels.
    object_voxels
        Median size of its objects; None where there are none.
    read
        Share of its voxels that was read, 0..1.
    digest
        The same for two samples of the same voxels, in whatever file; of what was read of them.
    """

    name: str
    source: str
    start: Triple
    shape: Triple
    mean: float
    sd: float
    low: float
    high: float
    saturated: float
    not_finite: float
    labelled: float
    positive: float
    objects: int | None
    object_voxels: float | None
    read: float
    digest: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What images and their labels are like.

    Parameters
    ----------
    samples
        How many there are.
    voxels
        Voxels of all of them, channels not counted.
    shape
        Smallest, median and largest extent of a sample along z, y and x, in voxels: three triples ``(z, y, x)``.
    voxel_size
        Size of a voxel in nm (z, y, x), of the first sample; None where it is not known.
    channels
        Channels of the first sample.
    dtype
        Type of its voxels, such as ``"uint8"``.
    intensity
        The values of each channel.
    labels
        What is known about the images.
    rows
        One for each sample that was read.
    read
        Share of all voxels that was read, 0..1; what is below 1 is estimated from blocks or from some of the samples.
    """

    samples: int
    voxels: int
    shape: tuple[Triple, Triple, Triple]
    voxel_size: Spacing | None
    channels: int
    dtype: str
    intensity: tuple[Intensity, ...]
    labels: Labels
    rows: tuple[SampleRow, ...]
    read: float = 1.0

    @property
    def planar(self) -> bool:
        """Whether every sample is a single plane (one z)."""
        return self.shape[2][0] == 1

    @property
    def anisotropy(self) -> float:
        """Length of a voxel along z divided by that along x; 1 where the size is not known."""
        return 1.0 if self.voxel_size is None else self.voxel_size[0] / self.voxel_size[2]

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values that JSON can say."""
        plain = _plain(asdict(self))
        assert isinstance(plain, dict)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fingerprint:
        """Return the record that `as_dict` wrote.

        Raises
        ------
        DataError
            If an entry is missing, unknown, or not what it should be.
        """
        try:
            labels = dict(data["labels"])
            for name in ("objects", "object_voxels", "object_diameter"):
                labels[name] = None if labels[name] is None else Spread(**labels[name])
            extent = labels["object_extent"]
            labels["object_extent"] = None if extent is None else tuple(Spread(**axis) for axis in extent)
            labels["classes"] = tuple(ClassCount(**count) for count in labels["classes"])
            rows = ({**row, "start": tuple(row["start"]), "shape": tuple(row["shape"])} for row in data["rows"])
            made: dict[str, Any] = {
                **{field.name: data[field.name] for field in fields(cls)},
                "shape": tuple(tuple(ends) for ends in data["shape"]),
                "voxel_size": None if data["voxel_size"] is None else tuple(data["voxel_size"]),
                "intensity": tuple(Intensity(**channel) for channel in data["intensity"]),
                "labels": Labels(**labels),
                "rows": tuple(SampleRow(**row) for row in rows),
            }
            return cls(**made)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"The fingerprint cannot be read ({type(error).__name__}: {error}). Make it again with 'segkit analyze'."
            ) from error


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in cast("list[object]", value)]
    return value
