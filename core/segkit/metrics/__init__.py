"""Scores that count over a whole data set or volume, and add up over batches, blocks and processes."""

from __future__ import annotations

from segkit.metrics.contingency import Contingency, Overlaps
from segkit.metrics.matching import DSB_THRESHOLDS, Matching, match, mean_average_precision
from segkit.metrics.overlap import SCORES, OverlapMetrics, overlap_scores
from segkit.metrics.partition import adapted_rand, rand_index, variation_of_information, without_background
from segkit.metrics.regression import RegressionMetrics
from segkit.metrics.summary import EXPLANATIONS, Explanation, class_scores, object_scores
from segkit.metrics.thresholds import ThresholdCurve

__all__ = [
    "DSB_THRESHOLDS",
    "EXPLANATIONS",
    "SCORES",
    "Contingency",
    "Explanation",
    "Matching",
    "OverlapMetrics",
    "Overlaps",
    "RegressionMetrics",
    "ThresholdCurve",
    "adapted_rand",
    "class_scores",
    "match",
    "mean_average_precision",
    "object_scores",
    "overlap_scores",
    "rand_index",
    "variation_of_information",
    "without_background",
]
