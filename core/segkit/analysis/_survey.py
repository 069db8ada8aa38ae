"""`survey`: one pass over all samples, and the fingerprint that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from segkit.analysis._fingerprint import ClassCount, Fingerprint, Intensity, LabelKind, Labels, SampleRow, Spread
from segkit.analysis._measuring import Measured, measure
from segkit.analysis._objects import Regions
from segkit.analysis._places import start_of
from segkit.analysis._reading import BUDGET, plan_reading
from segkit.contracts import Sample
from segkit.errors import DataError
from segkit.geometry import Triple
from segkit.progress import Progress, silent
from segkit.volume import Spacing

__all__ = ["Survey", "fingerprint", "survey", "telling_channels"]

Array = np.ndarray[Any, Any]

_VALUES = 2**20  # values of a channel that are kept for percentiles, over all samples
_CLASSES = 64  # at most so many ids are taken for classes
_PIECES = 1.5  # connected pieces of an id in a sample from which ids are classes


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over all samples found.

    Parameters
    ----------
    samples
        What was surveyed.
    fingerprint
        Its numbers.
    thumbnails
        A small picture of each row of the fingerprint; None where a sample is the same everywhere or was not read whole.
    numbers
        Number of the sample that each row of the fingerprint is about.
    values
        Some values of each channel, ``(C, N)`` float32, which may be NaN.
    object_voxels
        Size of every object that was seen whole.
    measured
        What was found in each sample, in the order of the rows.
    """

    samples: Sequence[Sample]
    fingerprint: Fingerprint
    thumbnails: Sequence[Array | None]
    numbers: Sequence[int]
    values: Array
    object_voxels: Array
    measured: Sequence[Measured]


def fingerprint(
    samples: Sequence[Sample],
    *,
    objects: bool | None = None,
    seed: int = 0,
    budget: int = BUDGET,
    progress: Progress = silent,
) -> Fingerprint:
    """Measure what images and their labels are like.

    Data of up to 2 GiB are read whole. Of more, up to that much is read, in blocks and samples drawn from `seed`; memory does
    not depend on the size of the data.

    Parameters
    ----------
    samples
        What is measured.
    objects
        Whether ids are objects (true) or classes (false); None finds out: a single id is a class, and so are up to 64 ids
        each of which falls into several pieces.
    seed
        Decides what is read of large data.
    budget
        Bytes of voxels that are read.
    progress
        Called with the samples done and in all.

    Raises
    ------
    DataError
        If there is no sample, or a sample cannot be read.
    """
    return survey(samples, objects=objects, seed=seed, budget=budget, progress=progress).fingerprint


def survey(
    samples: Sequence[Sample],
    *,
    objects: bool | None = None,
    seed: int = 0,
    budget: int = BUDGET,
    known: Survey | None = None,
    progress: Progress = silent,
) -> Survey:
    """Return the fingerprint with what findings and pictures are made of; see `fingerprint`.

    Samples that the survey `known` has read whole are not read again.
    """
    if not samples:
        raise DataError("There is no sample to look at. Name an image, or a recipe whose dataset has one.")
    readings = plan_reading(samples, budget=budget, seed=seed)
    progress(0, len(readings))
    before = {} if known is None else {id(known.samples[o.reading.which]): o for o in known.measured}
    measured = []
    for done, reading in enumerate(readings, 1):
        one = before.get(id(samples[reading.which]))
        if one is not None and one.reading.share == reading.share == 1:
            measured.append(one.at(reading))
        else:
            measured.append(measure(samples[reading.which], reading, values=_VALUES // len(readings), seed=seed))
        progress(done, len(readings))
    kind = _kind(samples, measured, objects)
    chosen = [one.ids if kind == "objects" else one.pieces for one in measured]
    shapes = np.array([sample.raw.spatial_shape for sample in samples])
    extents = (shapes.min(axis=0), np.median(shapes, axis=0), shapes.max(axis=0))
    first, total = samples[0].raw, sum(sample.raw.box.size for sample in samples)
    seen = sum(one.reading.share * samples[one.reading.which].raw.box.size for one in measured)
    values = np.concatenate([part for one in measured if one.channels == first.channels for part in one.values], axis=1)
    found = Fingerprint(
        samples=len(samples),
        voxels=total,
        shape=cast("tuple[Triple, Triple, Triple]", tuple(tuple(int(n) for n in ends) for ends in extents)),
        voxel_size=first.voxel_size if first.unit == "nm" else None,
        channels=first.channels,
        dtype=first.dtype.name,
        intensity=_intensity(first.channel_names, measured, values),
        labels=_labels(samples, kind, measured, chosen),
        rows=tuple(_row(samples[o.reading.which], o, c, kind) for o, c in zip(measured, chosen, strict=True)),
        read=1.0 if all(o.reading.share == 1 for o in measured) and len(measured) == len(samples) else seen / total,
    )
    sizes = np.concatenate([regions.voxels[regions.complete] for regions in chosen])
    numbers = [one.reading.which for one in measured]
    return Survey(samples, found, [one.thumbnail for one in measured], numbers, values, sizes, measured)


def telling_channels(survey: Survey) -> list[int]:
    """Return the channels that change and do not repeat another one; the first where there is none."""
    values, found = survey.values, survey.fingerprint.intensity
    telling: list[int] = []
    for number, channel in enumerate(found):
        if channel.sd > 0 and not any(np.array_equal(values[number], values[n], equal_nan=True) for n in telling):
            telling.append(number)
    return telling or [0]


def _kind(samples: Sequence[Sample], measured: Sequence[Measured], objects: bool | None) -> LabelKind:
    if all(samples[one.reading.which].labels is None for one in measured):
        return "none"
    if any(one.image for one in measured):
        return "image"
    if objects is not None:
        return "objects" if objects else "classes"
    ids = {number for one in measured for number in one.class_voxels}
    pairs, pieces = sum(len(one.class_voxels) for one in measured), sum(len(one.pieces.voxels) for one in measured)
    few = len(ids) == 1 or (len(ids) <= _CLASSES and pieces > _PIECES * pairs)
    return "classes" if few else "objects"


def _intensity(names: Sequence[str], measured: Sequence[Measured], values: Array) -> tuple[Intensity, ...]:
    alike = [one for one in measured if one.channels == len(values)]
    counts = np.stack([one.count for one in alike]).astype(np.float64)
    total = np.maximum(counts.sum(axis=0), 1)
    mean = (counts * np.stack([one.mean for one in alike])).sum(axis=0) / total
    around = np.stack([one.squares + one.count * (one.mean - mean) ** 2 for one in alike]).sum(axis=0)
    not_finite = np.stack([one.not_finite for one in alike]).sum(axis=0)
    saturated = np.stack([one.saturated for one in alike]).sum(axis=0)
    found = []
    for channel, kept in enumerate(values):
        kept = kept[np.isfinite(kept)]
        between = np.percentile(kept, [0.5, 50, 99.5]) if kept.size else np.zeros(3)
        some = counts[:, channel] > 0
        found.append(
            Intensity(
                name=names[channel] if channel < len(names) else str(channel),
                mean=float(mean[channel]),
                sd=float(np.sqrt(around[channel] / total[channel])),
                minimum=min((float(o.lowest[channel]) for o, s in zip(alike, some, strict=True) if s), default=0.0),
                p0_5=float(between[0]),
                median=float(between[1]),
                p99_5=float(between[2]),
                maximum=max((float(o.highest[channel]) for o, s in zip(alike, some, strict=True) if s), default=0.0),
                saturated=float(saturated[channel] / total[channel]),
                not_finite=float(not_finite[channel] / (total[channel] + not_finite[channel])),
            )
        )
    return tuple(found)


def _labels(
    samples: Sequence[Sample], kind: LabelKind, measured: Sequence[Measured], chosen: Sequence[Regions]
) -> Labels:
    known, looked = sum(one.known for one in measured), max(1, sum(one.looked for one in measured))
    if kind in ("none", "image"):
        return Labels(kind, labelled=known / looked)
    counts: dict[int, list[int]] = {}
    for one in measured:
        for number, voxels in one.class_voxels.items():
            counts.setdefault(number, []).append(voxels)
    positive = sum(one.positive for one in measured)
    objects = [_objects(o, c, samples[o.reading.which]) for o, c in zip(measured, chosen, strict=True)]
    regions = Regions.joined(list(chosen))
    whole = regions.complete if regions.complete.any() else regions.counted
    planar = all(sample.raw.spatial_shape[0] == 1 for sample in samples)
    shape = samples[0].raw.voxel_size
    extents = [Spread.of(regions.extent[whole, axis]) for axis in range(3)]
    background = [one.known - one.positive for one in measured if one.known > one.positive]
    classes = [ClassCount(0, sum(background), len(background))] if background else []
    classes += [ClassCount(number, sum(found), len(found)) for number, found in sorted(counts.items())]
    return Labels(
        kind=kind,
        ids=sum(len(one.class_voxels) for one in measured) if kind == "objects" else len(counts),
        labelled=known / looked,
        positive=positive / max(1, known),
        objects=Spread.of([n for n in objects if n is not None]),
        object_voxels=Spread.of(regions.voxels[whole]),
        object_diameter=Spread.of(_diameter(regions.voxels[whole], shape, planar)),
        object_extent=None if extents[0] is None else cast("tuple[Spread, Spread, Spread]", tuple(extents)),
        touching=float(regions.touching[regions.counted].mean())
        if kind == "objects" and regions.counted.any()
        else 0.0,
        classes=tuple(classes) if kind == "classes" else (),
    )


def _diameter(voxels: Array, size: Spacing, planar: bool) -> Array:
    """Return the diameter of discs or balls of so many voxels, in voxels along x."""
    if planar:
        return 2 * np.sqrt(voxels * (size[1] / size[2]) / np.pi)
    return np.cbrt(6 * voxels * (size[0] * size[1] / size[2] ** 2) / np.pi)


def _objects(one: Measured, regions: Regions, sample: Sample) -> int | None:
    """Return the objects of a sample, extrapolated to what was not read."""
    return None if sample.labels is None or not one.known else round(int(regions.counted.sum()) / one.reading.share)


def _row(sample: Sample, one: Measured, regions: Regions, kind: LabelKind) -> SampleRow:
    # A channel that never changes, such as that of transparency, says nothing about brightness.
    live = one.squares > 0 if (one.squares > 0).any() else np.ones(one.channels, bool)
    count, means = one.count[live], one.mean[live]
    total = max(1, int(count.sum()))
    mean = float((count * means).sum() / total)
    around = float((one.squares[live] + count * (means - mean) ** 2).sum())
    kept = np.concatenate([part[live].ravel() for part in one.values])
    kept = kept[np.isfinite(kept)]
    low, high = np.percentile(kept, [0.5, 99.5]) if kept.size else (0.0, 0.0)
    has_objects = kind in ("classes", "objects")
    return SampleRow(
        name=sample.name,
        source=sample.raw.source,
        start=start_of(sample),
        shape=sample.raw.spatial_shape,
        mean=mean,
        sd=float(np.sqrt(around / total)),
        low=float(low),
        high=float(high),
        saturated=float(one.saturated[live].sum() / total),
        not_finite=float(one.not_finite.sum() / (int(one.count.sum()) + one.not_finite.sum() or 1)),
        labelled=one.known / max(1, one.looked),
        positive=one.positive / max(1, one.known),
        objects=_objects(one, regions, sample) if has_objects else None,
        object_voxels=float(np.median(regions.voxels)) if has_objects and len(regions.voxels) else None,
        read=one.reading.share,
        digest=one.digest,
    )
