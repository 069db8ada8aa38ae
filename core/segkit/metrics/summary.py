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
from segkit.metrics.partition import adapted_rand, coverage, purity, rand_index, segmented, variation_of_information

__all__ = ["EXPLANATIONS", "Explanation", "class_scores", "object_scores"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a score says.

    Parameters
    ----------
    better
        Which way it improves; empty for what is neither good nor bad.
    meaning
        What it says, in one line.
    """

    better: Literal["higher", "lower", ""]
    meaning: str


EXPLANATIONS: Mapping[str, Explanation] = {
    "jaccard": Explanation("higher", "intersection over union (IoU)"),
    "dice": Explanation("higher", "overlap over mean size (F1)"),
    "precision": Explanation("higher", "voxels found that are right"),
    "recall": Explanation("higher", "right voxels that were found"),
    "accuracy": Explanation("higher", "all voxels that are right"),
    "best_threshold": Explanation("", "threshold with the largest jaccard"),
    "best_jaccard": Explanation("higher", "jaccard with that threshold"),
    "mse": Explanation("lower", "mean squared error"),
    "mae": Explanation("lower", "mean absolute error"),
    "psnr": Explanation("higher", "peak signal-to-noise ratio, dB"),
    "correlation": Explanation("higher", "Pearson's, of result and labels"),
    "voi": Explanation("lower", "split and merge together, bits"),
    "voi_split": Explanation("lower", "cost of objects cut in pieces, bits"),
    "voi_merge": Explanation("lower", "cost of objects joined, bits"),
    "adapted_rand_error": Explanation("lower", "1 - F1 of the voxel pairs joined"),
    "adapted_rand_precision": Explanation("higher", "joined pairs that belong together"),
    "adapted_rand_recall": Explanation("higher", "pairs that belong together and are joined"),
    "rand_index": Explanation("higher", "pairs judged right; always near 1"),
    "voi_segmented": Explanation("lower", "voi of the voxels in a segment and an object"),
    "voi_split_segmented": Explanation("lower", "of these, cost of objects cut in pieces"),
    "voi_merge_segmented": Explanation("lower", "of these, cost of objects joined"),
    "adapted_rand_error_segmented": Explanation("lower", "adapted Rand error of these voxels"),
    "purity": Explanation("higher", "of these, those in the main object of their segment"),
    "coverage": Explanation("higher", "voxels of objects that are in a segment"),
    "average_precision": Explanation("higher", "mean over IoU above 0.5 to 0.95"),
    "average_precision_50": Explanation("higher", "TP / (TP + FP + FN), IoU above 0.5"),
    "average_precision_75": Explanation("higher", "TP / (TP + FP + FN), IoU above 0.75"),
    "precision_50": Explanation("higher", "segments that match an object"),
    "recall_50": Explanation("higher", "objects that match a segment"),
    "f1_50": Explanation("higher", "harmonic mean of these two"),
    "panoptic_quality": Explanation("higher", "f1_50 times mean IoU of the matches"),
    "detection_f1": Explanation("higher", "harmonic mean of the next two"),
    "detection_precision": Explanation("higher", "objects found that lie at a labelled one"),
    "detection_recall": Explanation("higher", "labelled objects that were found"),
    "segments": Explanation("", "objects in the result"),
    "objects": Explanation("", "objects in the labels"),
    "nerl": Explanation("higher", "erl over that of a perfect result"),
    "erl": Explanation("higher", "expected cable before an error"),
    "erl_perfect": Explanation("", "erl of a perfect result"),
    "error_free_path": Explanation("higher", "mean length of right stretches"),
    "correct_share": Explanation("higher", "cable that is right"),
    "split_share": Explanation("lower", "cable between two segments"),
    "omitted_share": Explanation("lower", "cable in no segment"),
    "merged_share": Explanation("lower", "cable in merging segments"),
    "splits": Explanation("lower", "pairs of segments on a skeleton"),
    "splits_per_mm": Explanation("lower", "splits for each millimetre of cable"),
    "split_edges": Explanation("lower", "edges where segments meet"),
    "mergers": Explanation("lower", "joints of skeletons in segments"),
    "mergers_per_mm": Explanation("lower", "mergers for each millimetre of cable"),
    "merging_segments": Explanation("lower", "segments with several skeletons"),
    "skeletons": Explanation("", "skeletons of the truth"),
    "cable": Explanation("", "length of all skeletons"),
}


def object_scores(overlaps: Overlaps) -> dict[str, float]:
    """Return the scores of a segmentation into objects."""
    split, merge = variation_of_information(overlaps)
    error, precision, recall = adapted_rand(overlaps)
    both = segmented(overlaps)
    split_segmented, merge_segmented = variation_of_information(both)
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
        "voi_segmented": split_segmented + merge_segmented,
        "voi_split_segmented": split_segmented,
        "voi_merge_segmented": merge_segmented,
        "adapted_rand_error_segmented": adapted_rand(both)[0],
        "purity": purity(overlaps),
        "coverage": coverage(overlaps),
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
