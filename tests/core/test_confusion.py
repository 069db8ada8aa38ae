import csv
import io

import numpy as np
import pytest

from segkit.errors import DataError
from segkit.metrics import Confusion, Contingency
from segkit.report import draw_confusion

NAMES = {1: "debris", 4: "ship", 9: "water", 12: "waves"}


def confused(found, labels) -> Confusion:
    table = Contingency()
    for part in range(2):  # in two blocks
        block = slice(part, None, 2)
        table.update(np.array(found)[block], np.array(labels)[block], np.array(labels)[block] != 0)
    return Confusion.of(table.overlaps(), NAMES)


@pytest.fixture
def confusion() -> Confusion:
    labels = [1, 1, 1, 1, 4, 4, 9, 9, 9, 9, 0, 0]
    return confused([1, 1, 9, 12, 9, 9, 9, 9, 9, 1, 1, 4], labels)


def test_rows_are_labels_and_what_is_not_annotated_does_not_count(confusion):
    assert confusion.names == ("debris", "ship", "water", "waves")
    assert confusion.counts.tolist() == [[2, 0, 1, 1], [0, 0, 2, 0], [1, 0, 3, 0], [0, 0, 0, 0]]
    assert confusion.present.tolist() == [True, True, True, False]


def test_scores_are_those_of_the_counts(confusion):
    np.testing.assert_allclose(confusion.precision, [2 / 3, np.nan, 1 / 2, 0])
    np.testing.assert_allclose(confusion.recall, [1 / 2, 0, 3 / 4, np.nan])
    np.testing.assert_allclose(confusion.f1, [4 / 7, 0, 6 / 10, 0])
    np.testing.assert_allclose(confusion.jaccard, [2 / 5, 0, 3 / 7, 0])
    assert confusion.accuracy == 5 / 10
    macro = confusion.macro()
    assert macro["f1"] == pytest.approx((4 / 7 + 0 + 6 / 10) / 3)  # not over waves, which are nowhere
    assert macro["precision"] == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)


def test_scores_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    g = np.random.default_rng(0)
    labels, found = g.choice([1, 4, 9], 500), g.choice([1, 4, 9, 12], 500)
    confusion = confused(found, labels)
    ids = list(NAMES)
    np.testing.assert_array_equal(confusion.counts, metrics.confusion_matrix(labels, found, labels=ids))
    np.testing.assert_allclose(confusion.f1, metrics.f1_score(labels, found, labels=ids, average=None, zero_division=0))
    expected = metrics.jaccard_score(labels, found, labels=[1, 4, 9], average="macro")
    assert confusion.macro()["jaccard"] == pytest.approx(expected)


def test_it_can_be_read_as_a_table(confusion):
    rows = list(csv.reader(io.StringIO(confusion.as_csv())))
    assert rows[0] == ["labelled as", "debris", "ship", "water", "waves", "precision", "recall", "f1", "jaccard"]
    assert rows[1][:6] == ["debris", "2", "0", "1", "1", "0.666667"]
    assert rows[2][5:] == ["", "0.000000", "0.000000", "0.000000"]


def test_a_class_without_a_name_is_refused():
    with pytest.raises(DataError, match="voxels of class 7, but the classes are 1, 4, 9, 12"):
        confused([1, 7], [1, 1])


def test_nothing_present_is_undefined():
    assert np.isnan(Confusion(("a", "b"), np.zeros((2, 2), np.int64)).macro()["f1"])


def test_it_can_be_drawn(confusion):
    assert draw_confusion(confusion).startswith(b"\x89PNG")
