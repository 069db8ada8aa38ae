"""All scores of one comparison under the names they are reported by, and what each of them says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segkit.metrics.contingency import Overlaps
from segkit.metrics.matching import DSB_THRESHOLDS, match, mean_average_precision
from segkit.metrics.overlap import SCORES, overlap_scores
from segkit.metrics.partition import adapted_rand, rand_index, variation_of_information

__all__ = ["EXPLANATIONS", "Explanation", "class_scores", "object_scores"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a score says.

    Parameters
    ----------
    better
        Which way it improves; empty for a mere count.
    meaning
        What it says, in one line.
    """

    better: Literal["higher", "lower", ""]
    meaning: str


EXPLANATIONS: Mapping[str, Explanation] = {
    "jaccard": Explanation("higher", "intersection over union of the voxels"),
    "dice": Explanation("higher", "overlap of the voxels relative to the mean size, also called F1"),
    "precision": Explanation("higher", "part of the voxels found that are right"),
    "recall": Explanation("higher", "part of the right voxels that were found"),
    "accuracy": Explanation("higher", "part of all voxels that are right; high wherever background is common"),
    "voi": Explanation("lower", "variation of information, split and merge together, in bits"),
    "voi_split": Explanation("lower", "what objects cut in pieces cost, in bits"),
    "voi_merge": Explanation("lower", "what objects joined by mistake cost, in bits"),
    "adapted_rand_error": Explanation("lower", "1 minus the F1 of pairs of voxels that belong together"),
    "adapted_rand_precision": Explanation("higher", "part of the joined pairs that belong together; mergers lower it"),
    "adapted_rand_recall": Explanation(
        "higher", "part of the pairs belonging together that are joined; splits lower it"
    ),
    "rand_index": Explanation("higher", "part of all pairs judged right; close to 1 wherever objects are many"),
    "average_precision": Explanation("higher", "the same at intersections over union of 0.5 to 0.95, averaged"),
    "average_precision_50": Explanation("higher", "TP / (TP + FP + FN) of objects, matched above 0.5"),
    "average_precision_75": Explanation("higher", "TP / (TP + FP + FN) of objects, matched above 0.75"),
    "precision_50": Explanation("higher", "part of the segments that match an object above 0.5"),
    "recall_50": Explanation("higher", "part of the objects that match a segment above 0.5"),
    "f1_50": Explanation("higher", "both together: their harmonic mean"),
    "panoptic_quality": Explanation("higher", "F1 of objects times how well the matched ones coincide"),
    "segments": Explanation("", "objects in the result"),
    "objects": Explanation("", "objects in the labels"),
}


def object_scores(overlaps: Overlaps) -> dict[str, float]:
    """Return the scores of a segmentation into objects."""
    split, merge = variation_of_information(overlaps)
    error, precision, recall = adapted_rand(overlaps)
    matchings = match(overlaps, DSB_THRESHOLDS)
    half, three_quarters = matchings[0], matchings[DSB_THRESHOLDS.index(0.75)]
    return {
        "voi": split + merge,
        "voi_split": split,
        "voi_merge": merge,
        "adapted_rand_error": error,
        "adapted_rand_precision": precision,
        "adapted_rand_recall": recall,
        "rand_index": rand_index(overlaps),
        "average_precision_50": half.average_precision,
        "average_precision_75": three_quarters.average_precision,
        "average_precision": mean_average_precision(matchings),
        "precision_50": half.precision,
        "recall_50": half.recall,
        "f1_50": half.f1,
        "panoptic_quality": half.panoptic_quality,
        "segments": half.true_positives + half.false_positives,
        "objects": half.true_positives + half.false_negatives,
    }


def class_scores(overlaps: Overlaps, names: Mapping[int, str]) -> dict[str, float]:
    """Return the overlap scores of classes that exclude each other: their means, then those of each class.

    Parameters
    ----------
    overlaps
        Of class ids, found and labelled.
    names
        What to call each id; others are called by their number. Each of `names` is scored, and every other id that
        occurs. A score that is not defined is NaN and left out of the mean; ``accuracy`` is over all classes at once.
    """
    columns = (overlaps.segments.tolist(), overlaps.labels.tolist(), overlaps.counts.tolist())
    found: dict[int, int] = {}
    labelled: dict[int, int] = {}
    right: dict[int, int] = {}
    for segment, label, count in zip(*columns, strict=True):
        found[segment] = found.get(segment, 0) + count
        labelled[label] = labelled.get(label, 0) + count
        if segment == label:
            right[label] = count
    each: dict[str, dict[str, float]] = {}
    for i in sorted({*names, *found, *labelled}):
        hits, claimed, positives = right.get(i, 0), found.get(i, 0), labelled.get(i, 0)
        rest = overlaps.voxels - claimed - positives + hits
        each[names.get(i, str(i))] = overlap_scores(hits, claimed - hits, positives - hits, rest)
    scores = {score: _mean([values[score] for values in each.values()]) for score in SCORES}
    scores["accuracy"] = sum(right.values()) / overlaps.voxels if overlaps.voxels else math.nan
    return scores | {f"{score}_{name}": values[score] for name, values in each.items() for score in SCORES}


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
