"""How alike two partitions of the same voxels are, whatever their ids are called.

All take `Overlaps`, so a volume of any size is read once for all of them. Id 0 is a segment like any other here; leave
out the voxels that the labels call background beforehand (`without_background`) to compare objects only, as the CREMI
and SNEMI3D challenges do, and those that are in no segment too (`segmented`) to judge only what was segmented.

Sources: variation of information, Meila, J. Multivariate Anal. 98 (2007), in bits and split in two as by Nunez-Iglesias
et al., PLoS ONE 8 (2013); adapted Rand error, Arganda-Carreras et al., Front. Neuroanat. 9 (2015), in the unbiased
form over pairs of distinct voxels; Rand index, Rand, J. Am. Stat. Assoc. 66 (1971).
"""

from __future__ import annotations

import math

import numpy as np

from segkit.metrics.contingency import Overlaps

__all__ = [
    "adapted_rand",
    "coverage",
    "purity",
    "rand_index",
    "segmented",
    "variation_of_information",
    "without_background",
]


def without_background(overlaps: Overlaps) -> Overlaps:
    """Leave out the voxels whose label is 0; what the segmentation says there no longer counts for or against it."""
    return overlaps.where(overlaps.labels != 0)


def segmented(overlaps: Overlaps) -> Overlaps:
    """Leave out the voxels that are in no segment or in no object: those whose id is 0 on either side."""
    return overlaps.where((overlaps.segments != 0) & (overlaps.labels != 0))


def coverage(overlaps: Overlaps) -> float:
    """Return the part of all voxels of objects that are in a segment, 0 to 1; NaN without objects."""
    objects = overlaps.labels != 0
    return _ratio(
        float(overlaps.counts[objects & (overlaps.segments != 0)].sum()), float(overlaps.counts[objects].sum())
    )


def purity(overlaps: Overlaps) -> float:
    """Return the part of the voxels in a segment and an object that are of the main object of their segment, 0 to 1.

    It falls with mergers and not with splits; NaN where nothing is segmented. As in Manning, Raghavan & Schütze,
    Introduction to Information Retrieval (2008), section 16.3.
    """
    both = segmented(overlaps)
    if not len(both.counts):
        return math.nan
    starts = np.flatnonzero(np.diff(both.segments, prepend=np.uint64(0)))  # sorted by segment, none of them 0
    return float(np.maximum.reduceat(both.counts, starts).sum()) / both.voxels


def variation_of_information(overlaps: Overlaps) -> tuple[float, float]:
    """Return what splits and what mergers cost, in bits a voxel.

    Returns
    -------
    tuple
        The conditional entropies H(segmentation | labels), which is 0 if no object is split, and
        H(labels | segmentation), which is 0 if none are merged; their sum is the variation of information. Both are
        0 or above, and NaN where no voxel counts.
    """
    if not overlaps.voxels:
        return math.nan, math.nan
    weights = overlaps.counts / overlaps.voxels
    split = weights * np.log2(overlaps.label_sizes / overlaps.counts)
    merge = weights * np.log2(overlaps.segment_sizes / overlaps.counts)
    # An exactly rounded sum does not depend on the order of the rows, hence not on how objects are numbered.
    return math.fsum(split), math.fsum(merge)


def _pair_counts(overlaps: Overlaps) -> tuple[float, float, float]:
    """Return twice the number of pairs of distinct voxels in the same overlap, segment and label.

    A part of n voxels holds n (n - 1) such pairs: each of its voxels, in whatever row it is counted, has n - 1 partners.
    """
    counts = overlaps.counts.astype(np.float64)
    sizes = (overlaps.counts, overlaps.segment_sizes, overlaps.label_sizes)
    both, segments, labels = (math.fsum(counts * (size - 1.0)) for size in sizes)
    return both, segments, labels


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def adapted_rand(overlaps: Overlaps) -> tuple[float, float, float]:
    """Return the adapted Rand error and the precision and recall behind it, each 0 to 1.

    Of all pairs of voxels that the segmentation joins, precision is the part that the labels join too (mergers lower
    it); of all that the labels join, recall is the part that the segmentation joins too (splits lower it). The error is
    1 minus their harmonic mean. NaN where there is no such pair.

    The segmentation's id 0 is one segment; the script of SNEMI3D counts each of its voxels as a segment of its own
    instead. scikit-image (0.26) returns precision and recall in each other's place.
    """
    both, segments, labels = _pair_counts(overlaps)
    return 1 - _ratio(2 * both, segments + labels), _ratio(both, segments), _ratio(both, labels)


def rand_index(overlaps: Overlaps) -> float:
    """Return the part of all pairs of voxels that both partitions join or both keep apart, 0 to 1.

    Where objects are many nearly all pairs are apart in any two partitions, so it is close to 1 even for poor ones;
    prefer `adapted_rand`.
    """
    both, segments, labels = _pair_counts(overlaps)
    every = float(overlaps.voxels) * (overlaps.voxels - 1)
    return 1 - _ratio(segments + labels - 2 * both, every)
