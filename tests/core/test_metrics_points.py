"""Points are matched one to one within a radius, and objects are found at their centres."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from segkit import evaluate
from segkit.errors import DataError, UsageError
from segkit.geometry import Box
from segkit.metrics import Centres, Detection, match_points


def most(near: np.ndarray) -> int:
    """The largest number of pairs, by trying all."""
    rows, columns = sorted(near.shape)
    near = near if near.shape[0] == rows else near.T
    return max(sum(near[i, j] for i, j in enumerate(order)) for order in permutations(range(columns), rows))


@pytest.mark.parametrize("seed", range(8))
def test_as_many_pairs_as_can_be(seed: int, rng: np.random.Generator) -> None:
    rng = np.random.default_rng(seed)
    found, truth = rng.uniform(0, 6, (5, 3)), rng.uniform(0, 6, (6, 3))
    result = match_points(found, truth, 2.5)
    assert result.true_positives == most(cdist(found, truth) <= 2.5)
    assert (result.false_positives, result.false_negatives) == (5 - result.true_positives, 6 - result.true_positives)


def test_two_points_at_one_true_point_are_one_match_and_one_mistake() -> None:
    result = match_points(np.array([[0, 0, 0], [0, 0, 1]]), np.array([[0, 0, 3]]), 3)
    assert (result.true_positives, result.false_positives, result.false_negatives) == (1, 1, 0)
    assert (result.precision, result.recall, result.f1) == (0.5, 1, pytest.approx(2 / 3))
    assert match_points(np.array([[0, 0, 0]]), np.array([[0, 0, 3.01]]), 3).true_positives == 0


def test_nothing_found_and_nothing_there() -> None:
    nothing = np.zeros((0, 3))
    assert math.isnan(match_points(nothing, nothing, 1).f1)
    missed = match_points(nothing, np.zeros((2, 3)), 1)
    assert (missed.f1, missed.recall, math.isnan(missed.precision)) == (0, 0, True)
    assert missed + Detection(1, 3, 1, 0) == Detection(1, 3, 1, 2)
    with pytest.raises(UsageError, match="above 0"):
        match_points(nothing, nothing, 0)


def test_centres_do_not_depend_on_blocks(rng: np.random.Generator) -> None:
    ids = np.kron(rng.integers(0, 30, (3, 4, 5)), np.ones((4, 3, 2), int)).astype(np.uint64) * 10**12
    centres = Centres()
    for z in range(0, 12, 5):
        for x in range(0, 10, 4):
            centres.update(ids[z : z + 5, :, x : x + 4], (z, 0, x))
    known = np.unique(ids[ids != 0])
    np.testing.assert_allclose(centres.positions, ndimage.center_of_mass(ids != 0, ids, known))
    assert Centres().positions.shape == (0, 3)


def test_objects_of_a_stack_are_matched_slice_by_slice() -> None:
    labels = np.zeros((2, 20, 20), np.uint16)
    labels[0, 5, 5], labels[0, 5, 15], labels[1, 15, 5] = 1, 2, 3
    found = np.zeros_like(labels)
    found[0, 4:7, 4:8], found[1, 5, 15] = 7, 8  # the second lies in the wrong slice
    scores = evaluate(found, labels, compare="points", radius=2.0, in_plane_only=True, block_shape=(1, 8, 8)).scores
    assert (scores["segments"], scores["objects"]) == (2, 3)
    assert (scores["detection_precision"], scores["detection_recall"]) == (0.5, pytest.approx(1 / 3))
    through = evaluate(found, labels, compare="points", radius=2.0).scores
    assert (through["detection_precision"], through["detection_recall"]) == (1.0, pytest.approx(2 / 3))
    known = np.ones_like(labels)
    known[1] = 0
    masked = evaluate(found, labels, compare="points", radius=2.0, mask=known, in_plane_only=True)
    assert (masked.scores["objects"], masked.voxels, masked.region) == (2, 400, Box.of_shape((2, 20, 20)))


def test_marks_that_all_have_one_id_are_refused() -> None:
    marks = np.zeros((1, 9, 9), np.uint8)
    marks[0, 2, 2] = marks[0, 6, 6] = 1
    with pytest.raises(DataError, match="connectivity=4"):
        evaluate(marks * np.arange(1, 10, dtype=np.uint8), marks, compare="points")
    with pytest.raises(DataError, match="segkit segment"):
        evaluate(marks.astype(np.float32), marks, compare="points")
