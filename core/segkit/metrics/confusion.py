"""Which class is taken for which: the confusion matrix of classes that exclude each other, and the scores in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.metrics.contingency import Overlaps

__all__ = ["Confusion"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Confusion:
    """How many voxels of each class were given to each class.

    A score that is not defined, such as the recall of a class that is not there, is NaN.

    Parameters
    ----------
    names
        Of the classes.
    counts
        Voxels, int64 ``(K, K)``: a row for each class in the labels, a column for each class found.
    """

    names: tuple[str, ...]
    counts: Array

    @classmethod
    def of(cls, overlaps: Overlaps, names: Mapping[int, str]) -> Confusion:
        """Sort pairs of ids into a matrix.

        Parameters
        ----------
        overlaps
            Of class ids, found and labelled.
        names
            Id and name of each class, in the order of the rows.

        Raises
        ------
        DataError
            If an id occurs that has no name.
        """
        place = {i: row for row, i in enumerate(names)}
        counts = np.zeros((len(names), len(names)), np.int64)
        pairs = zip(overlaps.labels.tolist(), overlaps.segments.tolist(), overlaps.counts.tolist(), strict=True)
        for label, segment, count in pairs:
            if label not in place or segment not in place:
                raise DataError(
                    f"There are voxels of class {segment if label in place else label}, but the classes are "
                    f"{', '.join(map(str, names))}. Name all classes, and say which id is not annotated."
                )
            counts[place[label], place[segment]] = count
        return cls(tuple(names.values()), counts)

    @cached_property
    def present(self) -> Array:
        """Which classes there are in the labels, bool ``(K,)``."""
        return np.asarray(self.counts.sum(1) > 0)

    @property
    def precision(self) -> Array:
        """Share of what was given to a class that belongs there, float64 ``(K,)``."""
        return _divided(self.counts.diagonal(), self.counts.sum(0))

    @property
    def recall(self) -> Array:
        """Share of a class that was given to it, float64 ``(K,)``."""
        return _divided(self.counts.diagonal(), self.counts.sum(1))

    @property
    def f1(self) -> Array:
        """Harmonic mean of precision and recall, which is the Dice coefficient, float64 ``(K,)``."""
        return _divided(2 * self.counts.diagonal(), self.counts.sum(0) + self.counts.sum(1))

    @property
    def jaccard(self) -> Array:
        """Intersection over union, float64 ``(K,)``."""
        hits = self.counts.diagonal()
        return _divided(hits, self.counts.sum(0) + self.counts.sum(1) - hits)

    @property
    def accuracy(self) -> float:
        """Share of all voxels that were given to their class."""
        return float(_divided(self.counts.trace(), self.counts.sum()))

    def macro(self) -> dict[str, float]:
        """Return the mean of each score over the classes that are present.

        A class that is present and never found has a precision of 0 here. One that is absent does not count, however often
        it was found; what it was taken for costs precision there.
        """
        scores = {"f1": self.f1, "jaccard": self.jaccard, "precision": self.precision, "recall": self.recall}
        if not self.present.any():
            return dict.fromkeys(scores, float("nan"))
        return {name: float(np.nan_to_num(each[self.present]).mean()) for name, each in scores.items()}

    def as_csv(self) -> str:
        """Return the matrix as text: a line for each class in the labels, with its scores at the end."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["labelled as", *self.names, "precision", "recall", "f1", "jaccard"])
        scores = np.stack([self.precision, self.recall, self.f1, self.jaccard], axis=1)
        for name, row, values in zip(self.names, self.counts.tolist(), scores.tolist(), strict=True):
            writer.writerow([name, *row, *(f"{value:.6f}" if np.isfinite(value) else "" for value in values)])
        return text.getvalue()


def _divided(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0))
