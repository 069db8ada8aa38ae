"""Scores of dense predictions: sums over a data set, never means of batches."""

import math

import numpy as np
import pytest

from segkit.contracts import Metrics
from segkit.errors import UsageError
from segkit.metrics import OverlapMetrics, RegressionMetrics, ThresholdCurve

SHAPE = (3, 4, 5)


def binary(tp, fp, fn, tn):
    """One batch of one channel with these counts."""
    prediction = np.repeat([0.9, 0.8, 0.1, 0.2], (tp, fp, fn, tn)).astype(np.float32)
    target = np.repeat([1, 0, 1, 0], (tp, fp, fn, tn)).astype(np.float32)
    shape = (1, 1, 1, 1, -1)
    return prediction.reshape(shape), target.reshape(shape), np.ones_like(target).reshape(shape)


def test_counts_become_scores():
    metrics = OverlapMetrics(("object",))
    metrics.update(*binary(3, 1, 2, 4))
    assert metrics.compute() == pytest.approx(
        {"jaccard": 3 / 6, "dice": 6 / 9, "precision": 3 / 4, "recall": 3 / 5, "accuracy": 7 / 10}
    )


def test_sums_add_across_batches_and_processes():
    batches = [binary(3, 1, 2, 4), binary(0, 0, 5, 95), binary(50, 20, 0, 1)]
    together = OverlapMetrics(("object",))
    apart = [OverlapMetrics(("object",)) for _ in batches]
    for batch, alone in zip(batches, apart, strict=True):
        together.update(*batch)
        alone.update(*batch)
    reduced = OverlapMetrics(("object",))
    reduced.sums = sum(alone.sums for alone in apart)
    assert reduced.compute() == together.compute()
    assert together.compute()["jaccard"] == 53 / 81
    assert together.sums.dtype == np.float64


def test_undefined_is_nan_and_left_out_of_means():
    metrics = OverlapMetrics(("a", "b"))
    assert all(math.isnan(value) for value in metrics.compute().values())
    prediction, target, mask = binary(3, 1, 2, 4)
    metrics.update(np.concatenate([prediction, prediction * 0], 1), np.concatenate([target, target * 0], 1), mask)
    scores = metrics.compute()
    assert math.isnan(scores["jaccard_b"])
    assert scores["jaccard"] == scores["jaccard_a"] == 0.5
    assert scores["accuracy"] == pytest.approx((0.7 + 1) / 2)


def test_unknown_voxels_do_not_count():
    rng = np.random.default_rng(0)
    prediction, target = rng.random((2, 2, 3, *SHAPE)).astype(np.float32)
    mask = (rng.random((2, 1, *SHAPE)) < 0.5).astype(np.float32)
    scribbled = np.where(mask != 0, target, 1 - target), np.where(mask != 0, prediction, 1)
    expected, found = OverlapMetrics(tuple("abc")), OverlapMetrics(tuple("abc"))
    expected.update(prediction, target, mask)
    found.update(scribbled[1], scribbled[0], mask)
    assert np.array_equal(expected.sums, found.sums)
    assert expected.sums.sum() == 3 * mask.sum()


def test_exclusive_classes_take_the_largest_channel():
    rng = np.random.default_rng(1)
    prediction = rng.random((2, 3, *SHAPE))
    target = rng.integers(0, 3, (2, *SHAPE))
    mask = np.ones((2, 1, *SHAPE))
    mask[0] = 0
    target[0] = 77  # unknown, so it may be anything
    metrics = OverlapMetrics(("a", "b", "c"))
    metrics.update(prediction, target, mask)
    chosen = prediction.argmax(1)[1]
    for index, name in enumerate("abc"):
        truth, claim = target[1] == index, chosen == index
        assert metrics.compute()[f"jaccard_{name}"] == pytest.approx((truth & claim).sum() / (truth | claim).sum())


def test_threshold_is_a_choice():
    low, high = OverlapMetrics(("object",), threshold=0.05), OverlapMetrics(("object",), threshold=0.85)
    for metrics in (low, high):
        metrics.update(*binary(3, 1, 2, 4))
    assert low.compute()["recall"] == 1
    assert high.compute()["precision"] == 1


def test_wrong_channels_are_named():
    with pytest.raises(UsageError, match="1 channels; scores were set up for 2: a, b"):
        OverlapMetrics(("a", "b")).update(*binary(1, 1, 1, 1))


def test_regression_scores():
    rng = np.random.default_rng(2)
    prediction, target = rng.random((2, 2, 3, *SHAPE)).astype(np.float32)
    mask = rng.random((2, 1, *SHAPE)) < 0.5
    metrics = RegressionMetrics(data_range=2.0)
    metrics.update(prediction[:1], target[:1], mask[:1])
    metrics.update(prediction[1:], target[1:], mask[1:])
    errors = (prediction.astype(float) - target)[np.broadcast_to(mask, prediction.shape)]
    mse = (errors**2).mean()
    expected = {"mse": mse, "mae": np.abs(errors).mean(), "psnr": 10 * np.log10(4 / mse)}
    assert metrics.compute() == pytest.approx(expected)


def test_regression_extremes():
    metrics = RegressionMetrics()
    assert all(math.isnan(value) for value in metrics.compute().values())
    image = np.ones((1, 1, 1, 1, 1))
    metrics.update(image, image, image)
    assert metrics.compute() == {"mse": 0, "mae": 0, "psnr": math.inf}
    with pytest.raises(UsageError, match="above 0"):
        RegressionMetrics(data_range=0)


def test_both_are_metrics():
    kinds: list[Metrics] = [OverlapMetrics(("a",)), RegressionMetrics()]
    for metrics in kinds:
        metrics.sums = metrics.sums + 1
        assert np.all(metrics.sums == 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_curve_equals_every_threshold_on_its_own(rng, dtype):
    prediction = (rng.integers(-1, 34, 500) / 32).astype(dtype)  # half of them exactly at a threshold
    present = rng.random(500) < 0.4
    parts = [ThresholdCurve(bits=4), ThresholdCurve(bits=4)]
    parts[0].update(prediction[:100], present[:100])
    parts[1].update(prediction[100:], present[100:])
    parts[0].sums = parts[0].sums + parts[1].sums
    for threshold, score in zip(parts[0].thresholds, parts[0].jaccard(), strict=True):
        found = prediction.clip(0, 1) > threshold
        assert score == (found & present).sum() / (found | present).sum()


def test_best_threshold_is_in_the_middle_of_what_is_best():
    curve = ThresholdCurve(bits=3)
    assert all(math.isnan(value) for value in curve.best())
    curve.update(np.array([0.25, 0.25, 0.75]), np.array([False, False, True]))
    assert curve.best() == (0.5, 1)
