"""Whether what is held out was, in effect, trained on: copies, twins, neighbours in one volume, and shared scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from segkit.analysis._correlation import AxisCorrelation, autocorrelation
from segkit.analysis._places import groups_of, place_of
from segkit.analysis._survey import Survey, survey
from segkit.analysis._thumbnails import nearest_twins
from segkit.contracts import Sample
from segkit.errors import DataError
from segkit.geometry import Box, Triple
from segkit.progress import Progress, silent

__all__ = ["Leakage", "TwinPair", "leakage"]

Verdict = Literal["none", "suspected", "some", "massive"]

_MASSIVE = 0.5  # share of what is held out
_LARGEST = 2**30  # bytes of an image that is compared with others by its picture


@dataclass(frozen=True, slots=True)
class TwinPair:
    """A held-out sample and the training sample that it looks like.

    Parameters
    ----------
    held_out, train
        Their names.
    correlation
        Pearson correlation of their thumbnails, 1 for an exact copy.
    turned
        How they are turned against each other: ``""``, ``"mirrored"`` or ``"turned"``.
    """

    held_out: str
    train: str
    correlation: float
    turned: str


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the held-out part of the data shares with the training part.

    Parameters
    ----------
    train, held_out
        Samples in each part.
    copies
        Held-out samples whose voxels are those of a training sample.
    twins
        The nearest training sample of each held-out sample that has one which looks the same, copies first.
    overlapping
        Held-out samples that share voxels, or a place on a map, with a training sample.
    near_half, near_tenth
        Share of the held-out voxels, 0..1, that are so near to a training sample in the same image that the image still
        correlates above 0.5, or above 0.1, with itself over that distance along an axis.
    neighbours
        Held-out samples of which some voxels are that near (0.1).
    gap
        Voxels (z, y, x) that lie between a held-out sample and the training sample nearest to it, for the pair that is
        nearest of all; None where no image is in both parts.
    correlation
        How the images' correlation falls with distance, along each axis; empty where no image is in both parts.
    groups
        Groups of names (such as scenes) that are in both parts.
    grouped
        Held-out samples in these groups.
    mapped
        Whether neighbours are told by their place on a map, not in one image.
    looked
        Held-out samples that were looked at for copies and twins: all but those above 1 GiB, and of very many a choice.
    """

    train: int
    held_out: int
    copies: int
    twins: tuple[TwinPair, ...]
    overlapping: int
    near_half: float
    near_tenth: float
    neighbours: int
    gap: Triple | None
    correlation: tuple[AxisCorrelation, ...]
    groups: tuple[str, ...]
    grouped: int
    mapped: bool = False
    looked: int = 0

    @property
    def verdict(self) -> Verdict:
        """``massive`` from half of the held-out part, ``some`` below that, ``suspected`` from names alone."""
        share = max(len(self.twins) / self.held_out, self.overlapping / self.held_out, self.near_half)
        if share >= _MASSIVE:
            return "massive"
        if self.twins or self.overlapping or self.near_tenth:
            return "some"
        return "suspected" if self.grouped else "none"

    def sentences(self) -> list[str]:
        """Say what was found and what to do, a sentence each."""
        n, out, where = self.held_out, [], "on the same map" if self.mapped else "of the same image"
        if self.twins:
            first = self.twins[0]
            copies = f", {self.copies} of them an exact copy" if self.copies else ""
            turned = f", {first.turned}" if first.turned else ""
            out.append(
                f"{len(self.twins)} of {n} held-out samples have a twin in training that looks the same{copies}, such as "
                f"'{first.held_out}' and '{first.train}' (correlation {first.correlation:.3f}{turned})."
            )
        if self.overlapping:
            out.append(f"{self.overlapping} of {n} held-out samples overlap with training samples {where}.")
        if self.neighbours:
            out.append(
                f"{self.neighbours} of {n} held-out samples lie next to training samples {where}: {self.near_half:.0%} of their "
                f"voxels are so near that the image still correlates above 0.5 with itself, {self.near_tenth:.0%} above 0.1."
            )
        if self.gap is not None and not self.neighbours and not self.overlapping:
            out.append(
                f"The parts {where} lie at least {max(self.gap)} voxels apart, farther than the image correlates with itself."
            )
        if self.grouped:
            named = ", ".join(f"'{group}'" for group in self.groups[:3]) + (", ..." if len(self.groups) > 3 else "")
            out.append(
                f"{self.grouped} of {n} held-out samples come from groups (by their names) that training has too: {named}."
            )
        if self.looked < n and n > 1:
            out.append(f"{self.looked} of {n} held-out samples were looked at for copies and twins.")
        if not out:
            out.append("No held-out sample has a copy, a twin or a neighbour in training.")
        return [*out, *self._advice()]

    def _advice(self) -> list[str]:
        out = []
        if self.verdict == "massive":
            out.append(
                "Scores on this part measure memory as much as skill; they say little about images of another place."
            )
        if self.mapped or (self.grouped and not self.neighbours):
            return [*out, "Split by 'groups', so that a whole scene or slab is either trained on or held out."]
        if self.neighbours or self.overlapping:
            reach = ", ".join(
                f"{c.tenth} along {c.axis}" if c.tenth else f"more than {c.distances[-1]} along {c.axis}"
                for c in self.correlation
            )
            return [
                *out,
                f"Split by 'end' with a gap as long as the image correlates (above 0.1) with itself: {reach}.",
            ]
        return [*out, "Keep one of each pair, or split by 'groups'."] if self.twins else out

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values, with verdict and sentences."""
        return {"verdict": self.verdict, "sentences": self.sentences(), **asdict(self)}


def leakage(
    train: Sequence[Sample],
    held_out: Sequence[Sample],
    *,
    known: Survey | None = None,
    correlation: Sequence[AxisCorrelation] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Leakage:
    """Find what the held-out part of the data shares with the training part.

    Parameters
    ----------
    train, held_out
        The parts, such as `segkit.sampling.split_samples` makes them.
    known
        A survey of the data before they were split, so that whole samples are not read again; None reads them.
    correlation
        What `segkit.analysis.autocorrelation` says of the data; None measures it where an image is in both parts.
    seed
        Decides which regions are looked at for the correlation.
    progress
        Called with the samples done and in all.

    Raises
    ------
    DataError
        If a part is empty.
    """
    if not train or not held_out:
        raise DataError("There is no leakage between parts of which one is empty. Hold something out: set split.share.")
    seen, twins, copies = _pictured(train, held_out, known, seed, progress)
    near = _Nearness.of(train, held_out, correlation, seed)
    shared, grouped = _shared_groups([s.name for s in train], [s.name for s in held_out])
    return Leakage(
        len(train),
        len(held_out),
        copies,
        twins,
        near.overlapping,
        near.half,
        near.tenth,
        near.neighbours,
        near.gap,
        near.correlation,
        shared,
        grouped,
        near.mapped,
        seen,
    )


def _pictured(
    train: Sequence[Sample], held_out: Sequence[Sample], known: Survey | None, seed: int, progress: Progress
) -> tuple[int, tuple[TwinPair, ...], int]:
    """Return how many held-out samples were looked at, their twins, and how many of these are copies."""
    before = set() if known is None else {id(sample) for sample in known.samples}
    parts = [[sample for sample in part if sample.raw.nbytes <= _LARGEST] for part in (train, held_out)]
    if not parts[0] or not parts[1]:
        return 0, (), 0
    # Labels play no part here; of what has been surveyed already nothing is read anyway.
    bare = [s if id(s) in before else replace(s, labels=None, mask=None) for part in parts for s in part]
    found = survey(bare, seed=seed, known=known, progress=progress)
    first = [row for row, number in enumerate(found.numbers) if number < len(parts[0])]
    second = [row for row, number in enumerate(found.numbers) if number >= len(parts[0])]
    return len(second), *_twins(found, first, second)


def _twins(found: Survey, first: Sequence[int], second: Sequence[int]) -> tuple[tuple[TwinPair, ...], int]:
    rows, pictures = found.fingerprint.rows, found.thumbnails
    by_digest = {rows[n].digest: n for n in reversed(first)}
    # An image that is the same everywhere is a copy of any other such image, which says nothing.
    copied = {n: by_digest[rows[n].digest] for n in second if pictures[n] is not None and rows[n].digest in by_digest}
    pairs = [TwinPair(rows[n].name, rows[other].name, 1.0, "") for n, other in copied.items()]
    rest = [n for n in second if n not in copied]
    alike = nearest_twins([pictures[n] for n in rest], [pictures[n] for n in first])
    others = [TwinPair(rows[rest[t.first]].name, rows[first[t.second]].name, t.correlation, t.turned) for t in alike]
    return tuple(pairs + sorted(others, key=lambda pair: -pair.correlation)), len(copied)


@dataclass(frozen=True, slots=True)
class _Nearness:
    """How near the parts lie to each other where they were cut from the same images."""

    overlapping: int = 0
    neighbours: int = 0
    half: float = 0.0
    tenth: float = 0.0
    gap: Triple | None = None
    correlation: tuple[AxisCorrelation, ...] = ()
    mapped: bool = False

    @classmethod
    def of(
        cls,
        train: Sequence[Sample],
        held_out: Sequence[Sample],
        correlation: Sequence[AxisCorrelation] | None,
        seed: int,
    ) -> _Nearness:
        places = [place_of(sample) for sample in train]
        held = [place_of(sample) for sample in held_out]
        both = {place.origin for place in places} & {place.origin for place in held}
        if not both:
            return cls()
        members = [s for s, p in zip([*train, *held_out], [*places, *held], strict=True) if p.origin in both]
        correlation = autocorrelation(members, seed=seed) if correlation is None else correlation
        reach = {level: [_reach(correlation, axis, level) for axis in "zyx"] for level in ("half", "tenth")}
        boxes = {origin: [place.box for place in places if place.origin == origin] for origin in both}
        ends = {
            o: (np.array([b.start for b in found]), np.array([b.stop for b in found])) for o, found in boxes.items()
        }
        overlapping = neighbours = 0
        near = {"half": 0, "tenth": 0}
        gaps: list[Triple] = []
        for place in held:
            if place.origin not in both:
                continue
            starts, stops = ends[place.origin]
            apart = np.maximum(np.maximum(starts - place.box.stop, place.box.start - stops), 0)
            shares_voxels = bool(((starts < place.box.stop) & (stops > place.box.start)).all(axis=1).any())
            overlapping += shares_voxels
            z, y, x = apart[np.argmin(apart.max(axis=1))].tolist()
            gaps.append((z, y, x))
            found = {level: _inside(place.box, starts, stops, reach[level]) for level in near}
            neighbours += found["tenth"] > 0
            for level, voxels in found.items():
                near[level] += voxels
        total = sum(place.box.size for place in held)
        return cls(
            overlapping,
            neighbours,
            near["half"] / total,
            near["tenth"] / total,
            min(gaps, key=max),
            tuple(correlation),
            any(place.mapped for place in held if place.origin in both),
        )


def _reach(correlation: Sequence[AxisCorrelation], axis: str, level: str) -> int:
    """Return over how many voxels behind the last one of a sample its image is remembered."""
    for found in correlation:
        if found.axis == axis:
            distance = found.half if level == "half" else found.tenth
            return (found.distances[-1] if distance is None else distance) - 1
    return 0


def _inside(box: Box, starts: np.ndarray[Any, Any], stops: np.ndarray[Any, Any], reach: Sequence[int]) -> int:
    """Return how many voxels of a box lie within reach of the training boxes, along one axis at a time."""
    inside = np.zeros(box.shape, bool) if box.size <= 2**24 else None
    most = 0
    for axis in range(3):
        grown = [reach[a] if a == axis else 0 for a in range(3)]
        low = np.maximum(starts - grown, box.start) - box.start
        high = np.minimum(stops + grown, box.stop) - box.start
        for a, b in zip(low[(low < high).all(axis=1)], high[(low < high).all(axis=1)], strict=True):
            most = max(most, int(np.prod(b - a)))
            if most == box.size:
                return box.size
            if inside is not None:
                inside[a[0] : b[0], a[1] : b[1], a[2] : b[2]] = True
    return most if inside is None else int(np.count_nonzero(inside))


def _shared_groups(train: Sequence[str], held_out: Sequence[str]) -> tuple[tuple[str, ...], int]:
    groups = groups_of([*train, *held_out])
    if len(set(groups)) == len(groups):
        return (), 0
    shared = set(groups[: len(train)]) & set(groups[len(train) :])
    return tuple(sorted(shared)), sum(group in shared for group in groups[len(train) :])
