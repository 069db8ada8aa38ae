"""Scores that count over a whole data set or volume, and add up over batches, blocks and processes."""

from __future__ import annotations

from segkit.metrics.confusion import Confusion
from segkit.metrics.contingency import Contingency, Overlaps
from segkit.metrics.correlation import Correlation
from segkit.metrics.located import TraceError, locate_errors
from segkit.metrics.matching import DSB_THRESHOLDS, Matching, match, mean_average_precision
from segkit.metrics.overlap import SCORES, OverlapMetrics, overlap_scores
from segkit.metrics.partition import (
    adapted_rand,
    coverage,
    purity,
    rand_index,
    segmented,
    variation_of_information,
    without_background,
)
from segkit.metrics.points import Centres, Detection, match_points
from segkit.metrics.regression import RegressionMetrics
from segkit.metrics.run_length import EDGE_KINDS, RunLength, Skeletons
from segkit.metrics.summary import EXPLANATIONS, Explanation, class_scores, object_scores
from segkit.metrics.thresholds import ThresholdCurve

__all__ = [
    "DSB_THRESHOLDS",
    "EDGE_KINDS",
    "EXPLANATIONS",
    "RunLength",
    "SCORES",
    "Skeletons",
    "Centres",
    "Confusion",
    "Contingency",
    "Correlation",
    "Detection",
    "Explanation",
    "Matching",
    "OverlapMetrics",
    "Overlaps",
    "RegressionMetrics",
    "ThresholdCurve",
    "TraceError",
    "adapted_rand",
    "class_scores",
    "coverage",
    "locate_errors",
    "match",
    "match_points",
    "mean_average_precision",
    "object_scores",
    "overlap_scores",
    "purity",
    "rand_index",
    "segmented",
    "variation_of_information",
    "without_background",
]
