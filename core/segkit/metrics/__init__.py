"""Scores that count over a whole data set or volume, and add up over batches, blocks and processes."""

from __future__ import annotations

from segkit.metrics.contingency import Contingency, Overlaps
from segkit.metrics.matching import DSB_THRESHOLDS, Matching, match, mean_average_precision
from segkit.metrics.overlap import OverlapMetrics, overlap_scores
from segkit.metrics.partition import adapted_rand, rand_index, variation_of_information, without_background
from segkit.metrics.regression import RegressionMetrics

__all__ = [
    "DSB_THRESHOLDS",
    "Contingency",
    "Matching",
    "OverlapMetrics",
    "Overlaps",
    "RegressionMetrics",
    "adapted_rand",
    "match",
    "mean_average_precision",
    "overlap_scores",
    "rand_index",
    "variation_of_information",
    "without_background",
]
