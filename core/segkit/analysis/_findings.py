"""What a person should know about the data before training on them, as sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segkit.analysis._fingerprint import Fingerprint, SampleRow
from segkit.analysis._outliers import outlying
from segkit.analysis._survey import Survey, telling_channels
from segkit.analysis._thumbnails import Twin, find_twins

__all__ = ["Finding", "find"]

_NAMED = 3
_RARE = 1e-3  # share of the labelled voxels below which a class is rare
_SPARSE = 0.01
_TOUCHING = 0.02
_SATURATED = 1e-3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data that a person should know.

    Parameters
    ----------
    kind
        What it is about, a word such as ``"duplicates"``.
    level
        ``"warning"`` where it is likely to harm a training or its evaluation, ``"note"`` otherwise.
    text
        A sentence.
    samples
        Names of the samples it is about; empty where it is about all.
    """

    kind: str
    level: Literal["warning", "note"]
    text: str
    samples: tuple[str, ...] = ()


def find(survey: Survey) -> list[Finding]:
    """Return what a person should know, warnings first."""
    parts = (_reading, _extents, _channels, _labels, _objects, _classes, _duplicates, _outliers)
    found = [finding for part in parts for finding in part(survey)]
    return sorted(found, key=lambda finding: finding.level == "note")


def named(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def _are(count: int, what: str = "sample") -> str:
    return f"1 {what} has" if count == 1 else f"{count} {what}s have"


def _reading(survey: Survey) -> Iterator[Finding]:
    found = survey.fingerprint
    if found.read < 1:
        cut = sum(row.read < 1 for row in found.rows)
        how = f"blocks of {cut} of them" if cut else "all of each"
        text = f"{found.read:.2%} of the voxels were read: {len(found.rows)} of {found.samples} samples, {how}. Numbers are estimates."
        yield Finding("reading", "note", text)


def _extents(survey: Survey) -> Iterator[Finding]:
    found = survey.fingerprint
    shapes = {row.shape for row in found.rows}
    if len(shapes) > 1:
        small, _, large = (" x ".join(map(str, ends)) for ends in found.shape)
        yield Finding(
            "extents", "note", f"The samples have {len(shapes)} different extents, from {small} to {large} (z, y, x)."
        )
    sizes = {sample.raw.voxel_size for sample in survey.samples[:1000]}
    if len(sizes) > 1:
        text = f"The samples have {len(sizes)} different voxel sizes: resample them, or objects differ in size from file to file."
        yield Finding("voxel size", "warning", text)
    if found.voxel_size is None and not found.planar:
        yield Finding(
            "voxel size", "note", "No file says its voxel size: give it as `voxel_size` if voxels are not cubes."
        )
    elif found.voxel_size is not None and not found.planar and found.anisotropy >= 2:
        yield Finding("voxel size", "note", f"Voxels are {found.anisotropy:.3g} times as long along z as along x.")


def _channels(survey: Survey) -> Iterator[Finding]:
    found = survey.fingerprint
    others = [o for o in survey.measured if o.channels != found.channels]
    if others:
        names = [survey.samples[o.reading.which].name for o in others]
        text = f"{_are(len(names))} another number of channels than the {found.channels} of the first: {named(names)}."
        yield Finding("channels", "warning", text, tuple(names))
    constant = [channel.name for channel in found.intensity if channel.sd == 0]
    if constant:
        yield Finding(
            "channels", "warning", f"Channel {', '.join(constant)} is the same everywhere: choose the others."
        )
    telling = telling_channels(survey)
    same = [c.name for number, c in enumerate(found.intensity) if c.sd > 0 and number not in telling]
    if same:
        text = f"Channel{'s' * (len(same) > 1)} {', '.join(same)} repeat{'s' * (len(same) == 1)} an earlier one, which says as much."
        yield Finding("channels", "warning", text)
    rows = [row for row in found.rows if row.not_finite]
    if rows:
        share = max(channel.not_finite for channel in found.intensity)
        text = f"{share:.2%} of the voxels are NaN or infinite, in {len(rows)} samples: {named([row.name for row in rows])}. "
        text += 'Set sampling.non_finite = "mask".'
        yield Finding("not finite", "warning", text, tuple(row.name for row in rows))
    rows = [row for row in found.rows if row.saturated > _SATURATED and row.sd > 0]
    if rows and not constant:
        rows = sorted(rows, key=lambda row: -row.saturated)
        text = f"{_are(len(rows))} more than 0.1 % saturated voxels, up to {rows[0].saturated:.1%}: {named([r.name for r in rows])}."
        yield Finding("saturated", "note", text, tuple(row.name for row in rows))
    flat = [row.name for row in found.rows if row.sd == 0]
    if flat:
        verb = "is" if len(flat) == 1 else "are"
        yield Finding(
            "flat", "warning", f"{len(flat)} of the images {verb} the same everywhere: {named(flat)}.", tuple(flat)
        )


def _labels(survey: Survey) -> Iterator[Finding]:
    found, samples = survey.fingerprint, [survey.samples[number] for number in survey.numbers]
    if found.labels.kind == "none":
        yield Finding("labels", "warning", "No sample has labels: nothing can be learnt from them yet.")
        return
    missing = [sample.name for sample in samples if sample.labels is None]
    if missing:
        text = f"{_are(len(missing), 'image')} no labels: {named(missing)}."
        yield Finding("labels", "warning", text, tuple(missing))
    unmasked = [sample.name for sample in samples if sample.mask is None]
    if 0 < len(unmasked) < len(samples):
        text = f"Masks are missing for {len(unmasked)} of {len(samples)} samples, which count as labelled everywhere: {named(unmasked)}."
        yield Finding("masks", "warning", text, tuple(unmasked))
    blank = [row.name for row, s in zip(found.rows, samples, strict=True) if s.labels is not None and not row.labelled]
    if blank:
        text = f"{_are(len(blank))} labels of which nothing is known (mask or `unlabelled`): {named(blank)}."
        yield Finding("unlabelled", "warning", text, tuple(blank))
    if 0 < found.labels.labelled < 1:
        partial = sum(0 < row.labelled < 1 for row in found.rows)
        text = f"{found.labels.labelled:.2%} of the voxels are labelled; {partial} samples are labelled in part."
        yield Finding("labelled", "note", text)
    floating = [s.name for s in samples if s.labels is not None and s.labels.dtype.kind == "f"]
    if floating and found.labels.kind != "image":
        yield Finding(
            "labels",
            "note",
            f"Labels are stored as floating-point numbers in {len(floating)} samples.",
            tuple(floating),
        )


def _objects(survey: Survey) -> Iterator[Finding]:
    found, labels = survey.fingerprint, survey.fingerprint.labels
    empty = [row.name for row in found.rows if row.objects == 0]
    if empty:
        yield Finding("empty", "note", f"{_are(len(empty))} no object: {named(empty)}.", tuple(empty))
    if labels.objects is None or labels.object_voxels is None:
        return
    if labels.touching > _TOUCHING:
        text = (
            f"Objects touch: {labels.touching:.0%} of them touch another one. Choose a task that tells objects apart."
        )
        yield Finding("touching", "note", text)
    sizes = labels.object_voxels
    if sizes.p95 <= 4:
        text = f"Objects are marks of {sizes.median:.0f} voxel: they say where objects are, not how large. Grow them to discs, and score by distance."
        yield Finding("marks", "warning", text)
    elif labels.kind == "objects" or labels.ids == 1:
        specks = int((survey.object_voxels < 0.01 * sizes.mean).sum())
        if specks:
            text = f"{specks} of {sizes.count} objects are specks of less than 1 % of the mean size ({sizes.mean:.0f} voxels)."
            yield Finding("specks", "note", text)
    if labels.positive < _SPARSE:
        yield Finding("sparse", "note", f"Only {labels.positive:.2%} of the labelled voxels are foreground.")


def _classes(survey: Survey) -> Iterator[Finding]:
    classes = survey.fingerprint.labels.classes
    total = sum(count.voxels for count in classes)
    if len(classes) < 3 or not total:
        return
    rare = [str(count.id) for count in classes if count.voxels < _RARE * total]
    lonely = [str(count.id) for count in classes if count.samples < 3]
    if rare:
        yield Finding("classes", "note", f"Rare classes, below 0.1 % of the labelled voxels: {', '.join(rare)}.")
    if lonely:
        text = f"Classes in fewer than 3 samples, so that a split may leave one part without: {', '.join(lonely)}."
        yield Finding("classes", "warning", text)


def _duplicates(survey: Survey) -> Iterator[Finding]:
    rows = survey.fingerprint.rows
    copies: dict[str, list[str]] = defaultdict(list)
    for row, picture in zip(rows, survey.thumbnails, strict=True):
        if picture is not None:
            copies[row.digest].append(row.name)
    for group in (group for group in copies.values() if len(group) > 1):
        text = f"'{group[0]}' and {named(group[1:])} hold the same voxels: keep one."
        yield Finding("duplicates", "warning", text, tuple(group))
    twins = [t for t in find_twins(survey.thumbnails) if rows[t.first].digest != rows[t.second].digest]
    if twins:
        yield _twin_finding(rows, twins)


def _twin_finding(rows: Sequence[SampleRow], twins: Sequence[Twin]) -> Finding:
    alike = list(dict.fromkeys(number for twin in twins for number in (twin.first, twin.second)))
    best = twins[0]
    turned = f", {best.turned}" if best.turned else ""
    text = (
        f"{len(alike)} samples look like another one ({len(twins)} pairs, nearly alike): such as '{rows[best.first].name}' and "
        f"'{rows[best.second].name}' (correlation {best.correlation:.3f}{turned}). Keep pairs in one part of a split."
    )
    return Finding("near duplicates", "warning", text, tuple(rows[number].name for number in alike))


def _outliers(survey: Survey) -> Iterator[Finding]:
    for what, numbers in measures(survey.fingerprint).items():
        chosen = [(row, value) for row, value in numbers if value is not None]
        values = [value for _, value in chosen]
        found = outlying(values)
        if found:
            middle = float(np.median(values))
            told = [f"'{chosen[n][0].name}' ({values[n]:.4g})" for n, _ in found[:_NAMED]]
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            text = f"Outliers in {what} (median {middle:.4g}): {', '.join(told)}{more}."
            yield Finding("outliers", "note", text, tuple(chosen[n][0].name for n, _ in found))


def measures(found: Fingerprint) -> dict[str, list[tuple[SampleRow, float | None]]]:
    """Return the numbers of each sample in which one may stand apart."""

    def of(values: Iterable[float | None]) -> list[tuple[SampleRow, float | None]]:
        return list(zip(found.rows, values, strict=True))

    return {
        "brightness": of(row.mean for row in found.rows),
        "contrast": of(row.sd for row in found.rows),
        "object count": of(row.objects for row in found.rows),
        "object size": of(row.object_voxels for row in found.rows),
    }
