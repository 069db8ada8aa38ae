"""How many objects were found: segments matched with labelled objects one to one by their intersection over union.

Id 0 is background on both sides and never matched; a segment that reaches into the background pays for it in its
union. A match needs an intersection over union *above* the threshold, so from 0.5 on an object has at most one match
and no assignment is needed (Kirillov et al., CVPR 2019); below, the largest possible number of matches counts.

`Matching.average_precision` is TP / (TP + FP + FN) as in the 2018 Data Science Bowl (Caicedo et al., Nat. Methods 16,
2019), averaged there over the thresholds 0.5, 0.55, ..., 0.95. It is not the area under a precision-recall curve, which
needs a confidence for each object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.errors import UsageError
from segkit.metrics.contingency import Overlaps

__all__ = ["DSB_THRESHOLDS", "Matching", "match", "mean_average_precision"]

DSB_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True, slots=True)
class Matching:
    """The outcome at one threshold; every score is NaN where there is nothing to score.

    Parameters
    ----------
    threshold
        The intersection over union that a match must exceed.
    true_positives, false_positives, false_negatives
        Matched pairs, segments without a match, labelled objects without one.
    quality
        Sum of the intersections over union of the matched pairs; NaN below a threshold of 0.5, where several sets of
        matches are equally large.
    """

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    quality: float

    def _share(self, numerator: float, false_positives: float, false_negatives: float) -> float:
        whole = self.true_positives + false_positives + false_negatives
        return numerator / whole if whole else math.nan

    @property
    def precision(self) -> float:
        """Part of the segments that match an object."""
        return self._share(self.true_positives, self.false_positives, 0)

    @property
    def recall(self) -> float:
        """Part of the objects that match a segment."""
        return self._share(self.true_positives, 0, self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return self._share(self.true_positives, self.false_positives / 2, self.false_negatives / 2)

    @property
    def average_precision(self) -> float:
        """Matched pairs among all that was found or should have been."""
        return self._share(self.true_positives, self.false_positives, self.false_negatives)

    @property
    def panoptic_quality(self) -> float:
        """F1 times the mean intersection over union of the matches (Kirillov et al. 2019)."""
        return self._share(self.quality, self.false_positives / 2, self.false_negatives / 2)


def match(overlaps: Overlaps, thresholds: Sequence[float] = DSB_THRESHOLDS) -> tuple[Matching, ...]:
    """Match segments with labelled objects at each threshold.

    Parameters
    ----------
    overlaps
        Of the segmentation and the labels, background included.
    thresholds
        Intersections over union, each from 0 up to but without 1.

    Raises
    ------
    UsageError
        If a threshold is out of range.
    """
    for threshold in thresholds:
        if not 0 <= threshold < 1:
            raise UsageError(
                f"The matching threshold {threshold} is out of range: a match exceeds it. Use 0 up to below 1."
            )
    objects = (overlaps.segments != 0) & (overlaps.labels != 0)
    shared = overlaps.counts[objects]
    union = overlaps.segment_sizes[objects] + overlaps.label_sizes[objects] - shared
    iou = shared / union
    segments = np.unique(overlaps.segments[overlaps.segments != 0])
    labels = np.unique(overlaps.labels[overlaps.labels != 0])
    outcomes = []
    for threshold in thresholds:
        good = iou > threshold
        if threshold >= 0.5:
            found, quality = int(np.count_nonzero(good)), math.fsum(iou[good])
        else:
            rows = np.searchsorted(segments, overlaps.segments[objects][good])
            columns = np.searchsorted(labels, overlaps.labels[objects][good])
            found, quality = _most_matches(rows, columns, (len(segments), len(labels))), math.nan
        outcomes.append(Matching(threshold, found, len(segments) - found, len(labels) - found, quality))
    return tuple(outcomes)


def _most_matches(rows: np.ndarray[Any, Any], columns: np.ndarray[Any, Any], shape: tuple[int, int]) -> int:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not len(rows):
        return 0
    graph = csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=shape)
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))


def mean_average_precision(matchings: Sequence[Matching]) -> float:
    """Return the mean of the average precisions, NaN where there is nothing to match."""
    return math.fsum(m.average_precision for m in matchings) / len(matchings)
