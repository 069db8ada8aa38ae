"""The contingency table, and everything computed from it, against scikit-image and plain counting."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_voi

from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Lattice
from segkit.metrics import (
    DSB_THRESHOLDS,
    Contingency,
    adapted_rand,
    contingency,
    coverage,
    match,
    mean_average_precision,
    object_scores,
    purity,
    rand_index,
    segmented,
    variation_of_information,
    without_background,
)


def table(segmentation, labels, mask=None):
    collected = Contingency()
    collected.update(segmentation, labels, mask)
    return collected.overlaps()


def rows(overlaps):
    columns = (overlaps.segments.tolist(), overlaps.labels.tolist(), overlaps.counts.tolist())
    return {(a, b): n for a, b, n in zip(*columns, strict=True)}


def every_score(overlaps):
    matchings = match(overlaps, (0.1, 0.3, *DSB_THRESHOLDS))
    return (
        *variation_of_information(overlaps),
        *adapted_rand(overlaps),
        *adapted_rand(without_background(overlaps)),
        rand_index(overlaps),
        *(m.average_precision for m in matchings),
        match(overlaps, (0.5,))[0].panoptic_quality,
    )


def blobs(seed, objects=12, shape=(12, 20, 24)):
    """Two partitions that resemble each other: nearest of some points, then of the same points moved a little."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, shape, (objects, 3))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    found = []
    for centres in (points, points + rng.normal(0, 2, points.shape)):
        distance = np.linalg.norm(grid[..., None, :] - centres, axis=-1)
        found.append(np.where(distance.min(-1) < 6, distance.argmin(-1) + 1, 0).astype(np.uint64))
    return found[0], np.where(found[1] == 3, 4, found[1])


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.uint8, np.int32, np.uint32, np.int64, np.uint64, np.bool_]),
    st.sampled_from([1, 3, 40]),
    st.tuples(*[st.integers(1, 9)] * 3),
)
def test_table_counts_every_pair(seed, dtype, ids, shape):
    rng = np.random.default_rng(seed)
    segmentation, labels = rng.integers(0, ids, (2, *shape)).astype(dtype)
    mask = rng.random(shape) < 0.7
    assert rows(table(segmentation, labels)) == Counter(zip(segmentation.ravel().tolist(), labels.ravel().tolist()))
    expected = Counter(zip(segmentation[mask].tolist(), labels[mask].tolist()))
    assert rows(table(segmentation, labels, mask)) == expected


def test_a_table_that_fills_up_grows(monkeypatch):
    monkeypatch.setattr(contingency, "_SLOTS", 4)
    monkeypatch.setattr(contingency, "_SLAB", 100)
    segmentation, labels = np.random.default_rng(0).integers(0, 50, (2, 8, 16, 16))
    assert rows(table(segmentation, labels)) == Counter(zip(segmentation.ravel().tolist(), labels.ravel().tolist()))


@pytest.mark.parametrize("block_shape", [(1, 1, 24), (5, 7, 11), (12, 20, 24)])
def test_blocks_in_any_order_add_up(block_shape, monkeypatch):
    monkeypatch.setattr(contingency, "_SETTLE", 8)
    segmentation, labels = blobs(0)
    blocks = list(Lattice(Box.of_shape(labels.shape), block_shape))
    np.random.default_rng(1).shuffle(blocks)
    halves = (Contingency(), Contingency())
    for number, block in enumerate(blocks):
        halves[number % 2].update(segmentation[block.slices], labels[block.slices])
    halves[0].merge(halves[1])
    found, whole = halves[0].overlaps(), table(segmentation, labels)
    assert rows(found) == rows(whole)
    assert found.voxels == labels.size
    assert every_score(found) == every_score(whole)


def test_ids_beyond_doubles_stay_apart():
    close = np.array([2**53, 2**53 + 1, 2**64 - 1, 2**64 - 2], np.uint64)
    assert rows(table(close, close[::-1])) == {(int(a), int(b)): 1 for a, b in zip(close, close[::-1], strict=True)}


@pytest.mark.parametrize("offset", [2**40, 2**63])
def test_scores_do_not_depend_on_names(offset):
    segmentation, labels = blobs(2)
    renamed = np.where(segmentation != 0, segmentation + np.uint64(offset), 0).astype(np.uint64)
    shuffled = np.random.default_rng(0).permutation(64).astype(np.uint64)
    shuffled[np.flatnonzero(shuffled == 0)] = shuffled[0]
    shuffled[0] = 0
    others = np.where(labels != 0, shuffled[labels.astype(int)] + np.uint64(offset), 0).astype(np.uint64)
    assert every_score(table(renamed, others)) == every_score(table(segmentation, labels))


@pytest.mark.parametrize("seed", range(4))
def test_partition_scores_equal_scikit_image(seed):
    segmentation, labels = (ids.astype(np.int64) for ids in blobs(seed))
    overlaps = table(segmentation, labels)
    assert variation_of_information(overlaps) == pytest.approx(tuple(skimage_voi(labels, segmentation)), abs=1e-12)
    objects = without_background(overlaps)
    expected = tuple(skimage_voi(labels, segmentation, ignore_labels=(0,)))
    assert variation_of_information(objects) == pytest.approx(expected, abs=1e-12)
    # It gives precision and recall in each other's place: one true object cut in two has precision 1.
    error, recall, precision = adapted_rand_error(labels, segmentation)
    assert adapted_rand(objects) == pytest.approx((error, precision, recall), abs=1e-12)


def test_splits_and_mergers_go_to_their_own_scores():
    whole, halves = np.ones((1, 1, 100), np.uint8), np.repeat([1, 2], 50).reshape(1, 1, 100)
    assert variation_of_information(table(halves, whole)) == (1, 0)
    assert variation_of_information(table(whole, halves)) == (0, 1)
    assert adapted_rand(table(halves, whole))[1:] == pytest.approx((1, 49 / 99))
    assert adapted_rand(table(whole, halves))[1:] == pytest.approx((49 / 99, 1))


def test_rand_index_counts_pairs():
    a, b = np.array([1, 1, 2, 2, 3]), np.array([1, 1, 1, 2, 2])
    pairs = [(i, j) for i in range(5) for j in range(i)]
    agree = sum((a[i] == a[j]) == (b[i] == b[j]) for i, j in pairs)
    assert rand_index(table(a, b)) == pytest.approx(agree / len(pairs))


def test_identical_partitions_are_perfect():
    _, labels = blobs(3)
    overlaps = table(labels + np.uint64(2**63), labels)
    assert variation_of_information(overlaps) == (0, 0)
    assert adapted_rand(overlaps) == (0, 1, 1)
    assert rand_index(overlaps) == 1
    matchings = match(table(labels, labels), (0, *DSB_THRESHOLDS))
    assert all((m.average_precision, m.f1, m.precision, m.recall) == (1, 1, 1, 1) for m in matchings)
    assert matchings[-1].panoptic_quality == 1


def test_nothing_to_compare_is_undefined():
    empty = Contingency().overlaps()
    values = every_score(empty)
    assert all(math.isnan(value) for value in values)
    background = table(np.zeros(8, np.uint8), np.zeros(8, np.uint8))
    assert math.isnan(mean_average_precision(match(background)))
    assert math.isnan(adapted_rand(without_background(background))[0])
    assert math.isnan(rand_index(table(np.ones(1, np.uint8), np.ones(1, np.uint8))))


def brute_force_matches(segmentation, labels, threshold):
    """The most matches by assignment on the full table, and the quality of the best such."""
    segments, objects = np.unique(segmentation[segmentation != 0]), np.unique(labels[labels != 0])
    iou = np.zeros((len(segments), len(objects)))
    for i, s in enumerate(segments):
        for j, o in enumerate(objects):
            iou[i, j] = np.sum((segmentation == s) & (labels == o)) / np.sum((segmentation == s) | (labels == o))
    good = iou > threshold
    chosen = linear_sum_assignment(-(good + iou / 1000))
    return int(good[chosen].sum()), float(iou[chosen][good[chosen]].sum()), len(segments), len(objects)


@pytest.mark.parametrize("seed", range(4))
def test_matching_equals_assignment(seed):
    segmentation, labels = blobs(seed)
    for matching in match(table(segmentation, labels), (0, 0.1, 0.2, 0.3, 0.45, *DSB_THRESHOLDS)):
        found, quality, segments, objects = brute_force_matches(segmentation, labels, matching.threshold)
        assert matching.true_positives == found
        assert (matching.false_positives, matching.false_negatives) == (segments - found, objects - found)
        if matching.threshold >= 0.5:
            assert matching.quality == pytest.approx(quality)
        else:
            assert math.isnan(matching.quality)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99))
def test_matching_of_noise_equals_assignment(seed, threshold):
    segmentation, labels = np.random.default_rng(seed).integers(0, 5, (2, 24)).astype(np.uint64)
    (matching,) = match(table(segmentation, labels), (threshold,))
    assert matching.true_positives == brute_force_matches(segmentation, labels, threshold)[0]


def test_a_match_exceeds_its_threshold():
    segmentation, labels = np.array([1, 2]), np.array([1, 1])
    assert match(table(segmentation, labels), (0.5,))[0].true_positives == 0
    assert match(table(segmentation, labels), (0.49,))[0].true_positives == 1


def test_unusable_input_is_named():
    collected = Contingency()
    with pytest.raises(DataError, match="float32"):
        collected.update(np.zeros(4, np.float32), np.zeros(4, np.uint8))
    with pytest.raises(DataError, match="-1"):
        collected.update(np.zeros(4, np.uint8), np.array([0, 1, -1, 2]))
    with pytest.raises(DataError, match="shape"):
        collected.update(np.zeros(4, np.uint8), np.zeros(5, np.uint8))
    with pytest.raises(UsageError, match="threshold 1"):
        match(collected.overlaps(), (1,))


def test_what_is_segmented_is_judged_apart():
    labels = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3])
    found = np.array([5, 0, 5, 5, 5, 0, 5, 6, 6, 0, 0, 0])
    overlaps = table(found, labels)
    assert coverage(overlaps) == 6 / 10
    assert purity(overlaps) == 5 / 6  # three of the four voxels of segment 5, and both of segment 6
    both = (labels > 0) & (found > 0)
    assert rows(segmented(overlaps)) == rows(table(found[both], labels[both]))
    scores = object_scores(overlaps)
    split, merge = skimage_voi(labels[both], found[both])
    assert (scores["voi_split_segmented"], scores["voi_merge_segmented"]) == pytest.approx((split, merge))
    assert scores["voi_segmented"] == pytest.approx(split + merge)
    assert scores["adapted_rand_error_segmented"] == adapted_rand(segmented(overlaps))[0]
    assert (scores["purity"], scores["coverage"]) == (purity(overlaps), coverage(overlaps))
    assert object_scores(without_background(overlaps))["voi_segmented"] == scores["voi_segmented"]


def test_purity_and_coverage_of_nothing():
    nothing = table(np.zeros(4, int), np.zeros(4, int))
    assert math.isnan(coverage(nothing))
    assert math.isnan(purity(nothing))
    assert coverage(table(np.zeros(4, int), np.ones(4, int))) == 0


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_purity_is_the_share_of_the_main_objects(seed):
    g = np.random.default_rng(seed)
    found, labels = g.integers(0, 5, 60), g.integers(0, 4, 60)
    counts = {}
    for segment, label in zip(found.tolist(), labels.tolist(), strict=True):
        if segment and label:
            counts.setdefault(segment, Counter())[label] += 1
    right, every = sum(max(c.values()) for c in counts.values()), sum(sum(c.values()) for c in counts.values())
    assert purity(table(found, labels)) == pytest.approx(right / every)
