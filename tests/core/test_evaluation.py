"""Comparing whole volumes: which voxels meet, what is left out, and that cutting into blocks changes nothing."""

import json
import math

import h5py
import numpy as np
import pytest

from segkit.errors import DataError, UsageError
from segkit.evaluation import evaluate
from segkit.geometry import Box
from segkit.metrics import EXPLANATIONS, SCORES, Contingency, Correlation, object_scores, without_background
from segkit.volume import Volume

SHAPE = (9, 16, 14)


@pytest.fixture
def labels(rng):
    cells = rng.permutation(3 * 4 * 4).reshape(3, 4, 4).astype(np.uint64)
    return cells.repeat(3, 0).repeat(4, 1).repeat(4, 2)[:, :, :14]


@pytest.fixture
def segmentation(labels):
    moved = np.roll(labels, (0, 1, 1), (0, 1, 2))
    return np.where(moved % 5 == 0, moved // 5, moved)


def expected(segmentation, labels, mask=None, background=True):
    table = Contingency()
    table.update(segmentation, labels, mask)
    return object_scores(table.overlaps() if background else without_background(table.overlaps()))


def nanequal(first, second):
    assert first.keys() == second.keys()
    assert all(a == second[k] or (math.isnan(a) and math.isnan(second[k])) for k, a in first.items())


class Watched:
    """An array that records how much of it is asked for at once."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        part = self.array[key]
        self.most = max(self.most, part.size)
        return part


@pytest.mark.parametrize("block_shape", [None, (1, 1, 14), (2, 5, 3)])
def test_objects_are_scored_as_in_one_piece(segmentation, labels, block_shape):
    steps = []
    outcome = evaluate(segmentation, labels, block_shape=block_shape, progress=lambda *step: steps.append(step))
    nanequal(outcome.scores, expected(segmentation, labels))
    assert outcome.compare == "objects"
    assert outcome.voxels == labels.size
    assert outcome.scores.keys() <= EXPLANATIONS.keys()
    assert outcome.scores["objects"] == len(np.unique(labels)) - 1
    assert steps == [(done, len(steps) - 1) for done in range(len(steps))]


def test_no_more_than_blocks_are_read(segmentation, labels):
    watched = [Watched(segmentation), Watched(labels)]
    evaluate(Volume(watched[0]), Volume(watched[1]), block_shape=(3, 4, 5))
    assert all(each.most <= 3 * 4 * 5 for each in watched)


def test_background_mask_and_unlabelled_are_left_out(segmentation, labels, rng):
    ignoring = evaluate(segmentation, labels, ignore_background=True)
    nanequal(ignoring.scores, expected(segmentation, labels, background=False))
    mask = rng.random(SHAPE) < 0.6
    masked = evaluate(segmentation, labels, mask=mask.astype(np.uint8) * 255, block_shape=(2, 5, 3))
    nanequal(masked.scores, expected(segmentation, labels, mask))
    assert masked.voxels == mask.sum()
    without = evaluate(segmentation, labels, unlabelled=7)
    nanequal(without.scores, expected(segmentation, labels, labels != 7))
    signed = labels.astype(np.int32)
    signed[0] = -1
    nanequal(evaluate(segmentation, signed, unlabelled=-1).scores, expected(segmentation[1:], labels[1:]))
    with pytest.raises(DataError, match="-1 in the labels"):
        evaluate(segmentation, signed)
    with pytest.raises(DataError, match=r"No voxel of .* is known"):
        evaluate(segmentation, labels, mask=np.zeros(SHAPE, np.uint8))


@pytest.mark.parametrize("offset", [2**40, 2**63])
def test_large_ids(segmentation, labels, offset):
    moved = [np.where(ids != 0, ids + np.uint64(offset), 0).astype(np.uint64) for ids in (segmentation, labels)]
    nanequal(evaluate(*moved).scores, evaluate(segmentation, labels).scores)


class TestAlignment:
    def test_a_crop_meets_its_place(self, segmentation, labels):
        box = Box((2, 3, 4), (8, 16, 11))
        whole = Volume.from_array(labels, voxel_size=(30.0, 8.1, 8.1), offset=(100.0, 0.0, 7.0))
        crop = Volume.from_array(segmentation, voxel_size=(30.0, 8.1, 8.1), offset=(100.0, 0.0, 7.0)).crop(box)
        wanted = expected(segmentation[box.slices], labels[box.slices])
        nanequal(evaluate(crop, whole).scores, wanted)
        reverse = evaluate(whole, crop)
        assert reverse.region == box
        assert reverse.voxels == box.size
        whole, crop = Volume.from_array(labels), Volume.from_array(segmentation).crop(box)
        nanequal(evaluate(crop, whole, mask=np.ones(box.shape, np.uint8)).scores, wanted)

    def test_region_counts_in_voxels_of_the_result(self, segmentation, labels):
        outcome = evaluate(segmentation, labels, region="z2:5, x-4:")
        assert outcome.region == Box((2, 0, 10), (5, 16, 14))
        nanequal(outcome.scores, expected(segmentation[2:5, :, 10:], labels[2:5, :, 10:]))
        nanequal(evaluate(segmentation, labels[:5], region="z2:5, x-4:").scores, outcome.scores)

    def test_a_volume_without_voxel_size_fits_by_its_extent(self, segmentation, labels):
        known = Volume.from_array(labels, voxel_size=(30, 8, 8), offset=(60, 8, 8))
        nanequal(evaluate(segmentation, known).scores, expected(segmentation, labels))
        with pytest.raises(DataError, match="does not say its voxel size"):
            evaluate(segmentation[:5], known)

    def test_volumes_that_do_not_fit(self, segmentation, labels):
        with pytest.raises(DataError, match=r"differ in extent.*\(5, 16, 14\).*\(9, 16, 14\)"):
            evaluate(segmentation[:5], labels)
        sized = Volume.from_array(labels, voxel_size=(30, 8, 8))
        with pytest.raises(DataError, match="Resample"):
            evaluate(Volume.from_array(segmentation, voxel_size=(30, 4, 4)), sized)
        with pytest.raises(DataError, match=r"0\.00, 0\.00, 0\.50 voxels apart"):
            evaluate(Volume.from_array(segmentation, voxel_size=(30, 8, 8), offset=(0, 0, 4)), sized)
        with pytest.raises(DataError, match="share no voxel"):
            evaluate(Volume.from_array(segmentation, voxel_size=(30, 8, 8), offset=(0, 0, 8000)), sized)


class TestForeground:
    def test_a_prediction_is_thresholded(self, labels, rng):
        prediction = rng.random((1, *SHAPE)).astype(np.float32)
        outcome = evaluate(prediction, labels % 2, threshold=0.3, block_shape=(4, 4, 4))
        truth, found = labels % 2 == 1, prediction[0] > 0.3
        assert outcome.compare == "foreground"
        assert outcome.scores["jaccard"] == pytest.approx((truth & found).sum() / (truth | found).sum())
        assert set(outcome.scores) == {*SCORES, "best_threshold", "best_jaccard"}
        for mask in (found, found.astype(np.uint8) * 255):
            scores = evaluate(mask, labels % 2, compare="foreground").scores
            assert scores == {name: outcome.scores[name] for name in SCORES}

    def test_the_best_threshold_does_what_it_says(self, labels, rng):
        truth = labels % 2
        prediction = (0.3 * rng.random(SHAPE) + 0.2 * truth).astype(np.float32)
        outcome = evaluate(prediction, truth, block_shape=(4, 4, 4))
        again = evaluate(prediction, truth, threshold=outcome.scores["best_threshold"])
        assert again.scores["jaccard"] == outcome.scores["best_jaccard"] > outcome.scores["jaccard"]
        assert all(
            evaluate(prediction, truth, threshold=t).scores["jaccard"] <= outcome.scores["best_jaccard"]
            for t in np.arange(0, 1, 1 / 32)
        )
        assert math.isnan(evaluate(prediction, truth * 0).scores["best_threshold"])

    def test_channels(self, labels, rng):
        prediction = rng.random((2, *SHAPE)).astype(np.float32)
        volume = Volume.from_array(prediction, channel_names=("object", "boundary"))
        with pytest.raises(UsageError, match=r"2 channels \(object, boundary\), and the labels have 1"):
            evaluate(volume, labels)
        with pytest.raises(UsageError, match="`channel` is 2"):
            evaluate(volume, labels, channel=2)
        second = evaluate(volume, labels, channel=1)
        assert second.scores == evaluate(prediction[1], labels).scores
        assert second.settings["channels"] == ["boundary"]
        both = evaluate(volume, np.stack([labels, labels % 2]))
        assert both.scores["dice_object"] == evaluate(prediction[0], labels).scores["dice"]
        assert both.scores["dice_boundary"] == evaluate(prediction[1], labels % 2).scores["dice"]

    def test_values_that_are_not_finite_are_refused_where_they_count(self, labels):
        prediction = np.ones(SHAPE, np.float32)
        prediction[4, 5, 6] = np.nan
        with pytest.raises(DataError, match=r"not finite at z0:9"):
            evaluate(prediction, labels)
        mask = np.isfinite(prediction)
        assert evaluate(prediction, labels, mask=mask).voxels == labels.size - 1


class TestClasses:
    def test_ids(self, labels, segmentation):
        truth, found = labels % 3, segmentation % 4
        outcome = evaluate(found, truth, compare="classes", unlabelled=0, block_shape=(4, 5, 6))
        known = truth != 0
        assert outcome.scores["accuracy"] == (truth == found)[known].mean()
        for i in (1, 2):
            right, either = (truth == i) & (found == i) & known, ((truth == i) | (found == i)) & known
            assert outcome.scores[f"jaccard_{i}"] == right.sum() / either.sum()
        assert outcome.scores["jaccard_3"] == 0
        assert math.isnan(outcome.scores["recall_3"])
        assert outcome.scores["recall"] == (outcome.scores["recall_1"] + outcome.scores["recall_2"]) / 2
        assert outcome.confusion.names == ("0", "1", "2", "3")
        pairs = [[((truth == i) & (found == j) & known).sum() for j in range(4)] for i in range(4)]
        assert np.array_equal(outcome.confusion.counts, pairs)
        assert evaluate(found, truth).confusion is None

    def test_a_prediction_stands_for_its_largest_channel(self, labels, rng):
        prediction = rng.random((3, *SHAPE)).astype(np.float32)
        volume = Volume.from_array(prediction, channel_names=("sea", "foam", "debris"))
        truth = np.array([7, 1, 4])[labels.astype(int) % 3].astype(np.uint8)
        outcome = evaluate(volume, truth, compare="classes", class_ids=(7, 1, 4))
        chosen = np.array([7, 1, 4], np.uint8)[prediction.argmax(0)]
        same = evaluate(chosen, truth, compare="classes").scores
        assert outcome.scores["jaccard_debris"] == same["jaccard_4"]
        assert outcome.confusion.names == ("foam", "debris", "sea")
        assert outcome.scores["jaccard"] == pytest.approx(same["jaccard"])
        with pytest.raises(UsageError, match="class_ids"):
            evaluate(volume, truth, compare="classes", class_ids=(7, 1))

    def test_objects_are_not_classes(self):
        many = np.arange(5000, dtype=np.uint64).reshape(1, 50, 100)
        with pytest.raises(DataError, match="5000 ids"):
            evaluate(many, many, compare="classes")


class TestRegression:
    @pytest.fixture
    def images(self, rng):
        truth = rng.normal(1000, 20, SHAPE).astype(np.float32)
        return truth + rng.normal(3, 5, SHAPE).astype(np.float32), truth

    @pytest.mark.parametrize("block_shape", [None, (1, 3, 14), (4, 5, 6)])
    def test_numbers_are_compared_as_in_one_piece(self, images, block_shape):
        found, truth = (image.astype(np.float64) for image in images)
        outcome = evaluate(*images, compare="regression", block_shape=block_shape)
        mse = np.mean((found - truth) ** 2)
        assert outcome.compare == "regression"
        assert outcome.scores == pytest.approx(
            {
                "mse": mse,
                "mae": np.abs(found - truth).mean(),
                "psnr": 10 * np.log10(np.ptp(truth) ** 2 / mse),
                "correlation": np.corrcoef(found.ravel(), truth.ravel())[0, 1],
            }
        )
        assert outcome.scores.keys() <= EXPLANATIONS.keys()
        other = evaluate(*images, compare="regression", data_range=255.0, block_shape=block_shape).scores
        assert other == outcome.scores | {"psnr": pytest.approx(10 * np.log10(255**2 / mse))}
        assert evaluate(images[1], images[1], compare="regression").as_dict()["scores"]["psnr"] is None

    def test_what_is_not_known_does_not_count(self, images, rng):
        found, truth = images
        mask = rng.random(SHAPE) < 0.6
        found[0, 0, :3] = np.nan
        truth[0, 0, :3], truth[1] = np.nan, -1
        outcome = evaluate(found, truth, compare="regression", mask=mask, unlabelled=-1, block_shape=(2, 5, 3))
        known = mask & np.isfinite(truth) & (truth != -1)
        assert outcome.voxels == known.sum()
        assert outcome.scores["mse"] == pytest.approx(np.mean((found[known] - truth[known]) ** 2), rel=1e-5)
        with pytest.raises(DataError, match="not finite"):
            evaluate(found, np.nan_to_num(truth), compare="regression")

    def test_channels(self, images):
        found, truth = images
        two, both = Volume.from_array(np.stack([found, -found]), channel_names=("a", "b")), np.stack([truth, truth])
        scores = evaluate(two, both, compare="regression").scores
        first, second = (evaluate(two, truth, compare="regression", channel=n).scores for n in (0, 1))
        assert {name: scores[f"{name}_a"] for name in first} == first
        assert scores["mse"] == pytest.approx((first["mse"] + second["mse"]) / 2)
        assert scores["correlation"] == pytest.approx(0, abs=1e-12)
        with pytest.raises(UsageError, match="which channel is the regression"):
            evaluate(two, truth, compare="regression")

    def test_whole_numbers_and_what_never_varies(self, images):
        truth = np.clip(images[1] - 900, 0, 255).astype(np.uint8)
        found = np.where(truth > 0, truth - 1, truth).astype(np.uint8)
        scores = evaluate(found, truth, compare="regression").scores
        assert scores["mse"] == pytest.approx((truth > 0).mean())
        flat = evaluate(images[0], np.full(SHAPE, 0.1), compare="regression").scores
        assert math.isnan(flat["psnr"])
        assert math.isnan(flat["correlation"])
        with pytest.raises(UsageError, match="data range"):
            evaluate(found, truth, compare="regression", data_range=0)


def test_a_correlation_of_small_differences_beside_a_large_mean(rng):
    first, second = rng.normal(0, 1, (2, 4000))
    second += first
    correlation = Correlation()
    for part in np.array_split(np.stack([first, second]) + 1e9, 7, axis=1):
        correlation.update(*part)
    assert correlation.value == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-6)
    assert math.isnan(Correlation().value)


def test_what_cannot_be_compared_is_named(labels):
    with pytest.raises(DataError, match="not ids of objects"):
        evaluate(labels.astype(np.float32), labels, compare="objects")
    with pytest.raises(DataError, match="2 channels"):
        evaluate(labels, np.stack([labels, labels]))
    with pytest.raises(DataError, match="labels came as float32"):
        evaluate(labels, labels.astype(np.float32))


def test_files_and_plain_values(tmp_path, segmentation, labels):
    with h5py.File(tmp_path / "volumes.h5", "w") as file:
        file["segmentation"], file["labels"] = segmentation, labels
    outcome = evaluate(tmp_path / "volumes.h5:segmentation", str(tmp_path / "volumes.h5:labels"))
    nanequal(outcome.scores, expected(segmentation, labels))
    plain = json.loads(json.dumps(outcome.as_dict(), allow_nan=False))
    assert plain["scores"]["voi"] == outcome.scores["voi"]
    assert plain["settings"]["labels"].endswith("volumes.h5:labels")
    empty = evaluate(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8))
    assert empty.as_dict()["scores"]["f1_50"] is None
