"""Which part of the data is held out."""

import numpy as np
import pytest

from segkit.contracts import Sample
from segkit.errors import DataError, UsageError
from segkit.recipe import Split
from segkit.sampling import count_objects, group_of, split_samples
from segkit.volume import Volume

PATCH = (1, 8, 8)


def sample(name: str, objects: int = 1, shape: tuple[int, int, int] = (1, 16, 64), mask: bool = False) -> Sample:
    """A sample with that many one-voxel objects, all of the id 7 where it is a mask."""
    labels = np.zeros(shape, np.uint16)
    labels.reshape(-1)[: 2 * objects : 2] = 7 if mask else np.arange(1, objects + 1)
    return Sample(name, Volume.from_array(np.zeros(shape, np.uint8)), Volume.from_array(labels))


@pytest.fixture
def many() -> list[Sample]:
    return [sample(f"s{n % 4}_{n:02}", objects=1 + 3 * n % 200) for n in range(40)]


def names(samples: list[Sample]) -> set[str]:
    return {sample.name for sample in samples}


@pytest.mark.parametrize(
    "split",
    [
        Split(),
        Split(by="random"),
        Split(by="density"),
        Split(by="groups", groups="^(s[0-9])_", share=0.25),
        Split(by="random", share=0.9),
    ],
)
def test_whole_samples_are_held_out_and_nothing_is_lost(many: list[Sample], split: Split) -> None:
    train, held = split_samples(many, split, PATCH)
    assert names(train) | names(held) == names(many)
    assert not names(train) & names(held)
    assert len(held) == round(split.share * 40)
    again = split_samples(many, split, PATCH)
    assert [names(part) for part in again] == [names(train), names(held)]


def test_another_seed_holds_out_others(many: list[Sample]) -> None:
    held = [frozenset(names(split_samples(many, Split(by="random", seed=n), PATCH)[1])) for n in range(5)]
    assert len(set(held)) == 5


def test_density_holds_out_few_and_many_objects_alike(many: list[Sample]) -> None:
    counts = np.array([count_objects(s) for s in many])
    edges = np.quantile(counts, [0.25, 0.5, 0.75])
    for seed in range(20):
        held = split_samples(many, Split(by="density", share=0.2, seed=seed), PATCH)[1]
        quarters = np.bincount(np.searchsorted(edges, [count_objects(s) for s in held]), minlength=4)
        assert quarters.tolist() == [2, 2, 2, 2]


def test_groups_stay_together(many: list[Sample]) -> None:
    train, held = split_samples(many, Split(by="groups", groups="^(s[0-9])_", share=0.3), PATCH)
    assert not {s.name[:2] for s in train} & {s.name[:2] for s in held}
    assert held


def test_a_far_end_with_a_gap() -> None:
    train, held = split_samples([sample("one")], Split(by="end", share=0.25, gap=10), PATCH)
    assert train[0].raw.spatial_shape == (1, 16, 38)
    assert held[0].raw.offset == (0.0, 0.0, 48.0)
    assert held[0].raw.spatial_shape == (1, 16, 16)
    assert "x48" in held[0].name


def test_the_far_end_of_every_image_however_many(many: list[Sample]) -> None:
    train, held = split_samples(many, Split(by="end"), PATCH)
    assert len(train) == len(held) == 40


def test_objects_are_ids_or_regions_of_one_id() -> None:
    assert count_objects(sample("ids", 9)) == 9
    assert count_objects(sample("mask", 9, mask=True)) == 9
    assert count_objects(sample("empty", 0)) == 0


def test_unknown_voxels_are_no_objects() -> None:
    known = sample("some", 9)
    known = Sample("some", known.raw, known.labels, Volume.from_array(np.zeros((1, 16, 64), np.uint8)))
    assert count_objects(known) == 0


def test_group_of_a_name() -> None:
    assert group_of("S2_1-12-19_48MYU_0.tif", "^(S2_[^_]+_[^_]+)") == "S2_1-12-19_48MYU"
    assert group_of("scene7", "[0-9]+") == "7"


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (Split(by="random", gap=4), "cuts none"),
        (Split(by="groups"), "finds no group"),
        (Split(by="groups", groups="("), "no regular expression"),
        (Split(by="groups", groups="^s"), "into one group"),
        (Split(by="end", gap=60), "long enough"),
    ],
)
def test_splits_that_cannot_be_made(many: list[Sample], split: Split, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        split_samples(many, split, PATCH)


def test_a_single_image_is_not_held_out_whole() -> None:
    with pytest.raises(UsageError, match="tiles"):
        split_samples([sample("one")], Split(by="random"), PATCH)


def test_objects_without_labels() -> None:
    bare = [Sample(f"{n}", Volume.from_array(np.zeros((1, 8, 8), np.uint8))) for n in range(3)]
    with pytest.raises(DataError, match="no labels"):
        split_samples(bare, Split(by="density"), PATCH)
