"""Whether the two parts of a split are alike: objects, foreground and brightness of their samples, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from segkit.addressing import rng
from segkit.analysis._fingerprint import SampleRow, Spread
from segkit.analysis._survey import Survey, survey
from segkit.contracts import Sample
from segkit.geometry import Box, Lattice, Triple

__all__ = ["PartTest", "Parts", "compare_parts"]

_FEW = 8  # samples below which a part is compared patch by patch
_PATCHES = 64
_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class PartTest:
    """A Kolmogorov-Smirnov test of whether something is spread alike in both parts.

    Parameters
    ----------
    what
        What is compared.
    train, held_out
        How it is spread in each part.
    statistic
        Largest difference of the two cumulative distributions, 0..1.
    p
        How likely a difference at least as large is between two random halves of one set; small where the parts differ.
    """

    what: str
    train: Spread
    held_out: Spread
    statistic: float
    p: float

    @property
    def alike(self) -> bool:
        """Whether no difference was found (p of 0.05 or more)."""
        return self.p >= _LEVEL


@dataclass(frozen=True, slots=True)
class Parts:
    """How the parts of a split compare.

    Parameters
    ----------
    unit
        What was compared: ``"samples"``, or ``"patches"`` where a part has few samples.
    tests
        One for the objects, the positive share and the brightness of each, as far as there are any.
    counts
        Objects of each sample or patch of the training and of the held-out part; empty where there are no objects.
    """

    unit: str
    tests: tuple[PartTest, ...]
    counts: tuple[tuple[int, ...], tuple[int, ...]]

    def sentences(self) -> list[str]:
        """Say how the parts compare, a sentence for each test."""
        out = []
        for test in self.tests:
            a, b = test.train, test.held_out
            verdict = "no difference found" if test.alike else "the parts differ"
            out.append(
                f"{test.what}: {a.mean:.4g} on average in {a.count} training {self.unit}, {b.mean:.4g} in {b.count} held out; "
                f"{verdict} (Kolmogorov-Smirnov, p = {test.p:.2g})."
            )
        return out

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return {**asdict(self), "sentences": self.sentences()}


def compare_parts(
    train: Sequence[Sample],
    held_out: Sequence[Sample],
    patch_shape: Triple,
    *,
    objects: bool | None = None,
    known: Survey | None = None,
    seed: int = 0,
) -> Parts:
    """Compare the samples of two parts, or where a part has fewer than 8 samples, patches of both.

    Parameters
    ----------
    train, held_out
        The parts, each with at least one sample.
    patch_shape
        Shape of a patch (z, y, x); up to 64 of each part, which do not overlap, stand for it.
    objects
        Whether ids are objects; see `segkit.analysis.fingerprint`.
    known
        A survey of the data before they were split, so that whole samples are not read again.
    seed
        Decides which patches.
    """
    from scipy.stats import ks_2samp

    unit, parts = "samples", [list(train), list(held_out)]
    if min(map(len, parts)) < _FEW:
        unit, parts = "patches", [_patches(part, patch_shape, seed) for part in parts]
    found = survey([*parts[0], *parts[1]], objects=objects, seed=seed, known=known)
    rows = [
        [
            row
            for row, number in zip(found.fingerprint.rows, found.numbers, strict=True)
            if (number < len(parts[0])) == first
        ]
        for first in (True, False)
    ]
    tests = []
    for what, of in _MEASURES.items():
        values = [[value for row in part if (value := of(row)) is not None] for part in rows]
        a, b = Spread.of(values[0]), Spread.of(values[1])
        if what != "brightness" and found.fingerprint.labels.objects is None:
            continue
        if a is not None and b is not None and min(a.minimum, b.minimum) < max(a.maximum, b.maximum):
            result = ks_2samp(*values)
            tests.append(PartTest(what, a, b, float(result.statistic), float(result.pvalue)))
    counts = [tuple(row.objects for row in part if row.objects is not None) for part in rows]
    return Parts(unit, tuple(tests), (counts[0], counts[1]))


def _objects(row: SampleRow) -> float | None:
    return row.objects


def _positive(row: SampleRow) -> float | None:
    return row.positive if row.labelled else None


def _brightness(row: SampleRow) -> float | None:
    return row.mean


_MEASURES = {"objects": _objects, "positive share": _positive, "brightness": _brightness}


def _patches(samples: Sequence[Sample], shape: Triple, seed: int) -> list[Sample]:
    """Return patches that do not overlap, all or a seeded choice of them; a sample smaller than a patch is one."""
    lattices = []
    for sample in samples:
        extent = sample.raw.spatial_shape
        z, y, x = (min(n, p) for n, p in zip(extent, shape, strict=True))
        whole = [n // p * p for n, p in zip(extent, (z, y, x), strict=True)]  # smaller pieces would hold fewer objects
        lattices.append(Lattice(Box.of_shape(whole), (z, y, x)))
    ends = [sum(len(lattice) for lattice in lattices[: n + 1]) for n in range(len(lattices))]
    chosen = rng(seed, 0, 0, "compared patches").choice(ends[-1], min(_PATCHES, ends[-1]), replace=False)
    found = []
    for number in sorted(int(n) for n in chosen):
        which = next(n for n, end in enumerate(ends) if number < end)
        box = lattices[which][number - (ends[which - 1] if which else 0)]
        sample = samples[which]
        cut = {what: v.crop(box) for what in ("labels", "mask") if (v := getattr(sample, what)) is not None}
        found.append(replace(sample, name=f"{sample.name} [{box}]", raw=sample.raw.crop(box), **cut))
    return found
