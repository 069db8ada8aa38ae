"""How many objects were found where they are: points matched one to one within a radius.

For labels that say where objects are and not how large, such as clicks on centres: overlap says nothing about them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import UsageError

__all__ = ["Centres", "Detection", "match_points"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Detection:
    """The outcome of a comparison; every score is NaN where there is nothing to score.

    Parameters
    ----------
    radius
        How far apart the two points of a match may be.
    true_positives, false_positives, false_negatives
        Matched pairs, points found without a match, true points without one.
    """

    radius: float
    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Part of the points found that match a true one."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else math.nan

    @property
    def recall(self) -> float:
        """Part of the true points that match one found."""
        true = self.true_positives + self.false_negatives
        return self.true_positives / true if true else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / both if both else math.nan

    def __add__(self, other: Detection) -> Detection:
        """Return the outcome of two images together."""
        return Detection(
            max(self.radius, other.radius),
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )


def match_points(found: Array, truth: Array, radius: float) -> Detection:
    """Match points one to one; the largest possible number of matches counts.

    Parameters
    ----------
    found, truth
        Positions ``(N, 3)`` and ``(M, 3)``, or both with another number of axes, in one unit.
    radius
        How far apart the two points of a match may be, in that unit; above 0.

    Raises
    ------
    UsageError
        If the radius is not above 0.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching
    from scipy.spatial import cKDTree

    if not (math.isfinite(radius) and radius > 0):
        raise UsageError(f"The radius is {radius}, and points match within a distance above 0. Give one such as 3.")
    matches = 0
    if len(found) and len(truth):
        near = cKDTree(found).query_ball_tree(cKDTree(truth), radius)
        ends = np.cumsum([0, *map(len, near)])
        columns = np.array([other for others in near for other in others], np.int64)
        graph = csr_array((np.ones(len(columns), np.int8), columns, ends), shape=(len(found), len(truth)))
        matches = int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))
    return Detection(radius, matches, len(found) - matches, len(truth) - matches)


class Centres:
    """Centres of mass of the objects of a volume, summed up block by block; memory grows with the objects alone."""

    def __init__(self) -> None:
        self._ids = np.zeros(0, np.uint64)
        self._sums = np.zeros((0, 4))  # voxels, and the sums of their z, y, x
        self._new: list[tuple[Array, Array]] = []

    def update(self, ids: Array, start: tuple[int, int, int]) -> None:
        """Add a block of ids ``(Z, Y, X)`` that begins at the voxel `start`; 0 is background."""
        places = np.nonzero(ids)
        if not len(places[0]):
            return
        found, which = np.unique(ids[places], return_inverse=True)
        which = which.ravel()
        rows = [np.bincount(which)] + [
            np.bincount(which, at + float(first)) for at, first in zip(places, start, strict=True)
        ]
        self._new.append((found.astype(np.uint64), np.stack(rows, 1).astype(float)))
        if sum(len(ids) for ids, _ in self._new) > len(self._ids):
            self._fold()

    def _fold(self) -> None:
        ids = np.concatenate([self._ids, *(ids for ids, _ in self._new)])
        sums = np.concatenate([self._sums, *(sums for _, sums in self._new)])
        self._ids, which = np.unique(ids, return_inverse=True)
        which = which.ravel()
        self._sums = np.stack([np.bincount(which, column, len(self._ids)) for column in sums.T], 1)
        self._new = []

    @property
    def positions(self) -> Array:
        """Centres ``(N, 3)`` in voxels (z, y, x), in the order of the ids."""
        if self._new:
            self._fold()
        return self._sums[:, 1:] / self._sums[:, :1]
