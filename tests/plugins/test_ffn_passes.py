"""What comes after flood filling: growing into what is left, consensus of two segmentations, joining what broke apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

import segkit
from segkit.contracts import Normalization
from segkit.recipe import Selection
from segkit_ffn._agglomeration import agglomerated, contacts, judge
from segkit_ffn._consensus import split_consensus
from segkit_ffn._engine import Engine, Policy
from segkit_ffn._fill import growing_halo, grown, membranes, with_leftovers
from segkit_ffn._movement import Movement
from segkit_ffn._stepping import Step

ISOTROPIC = (1.0, 1.0, 1.0)


def walls(dark: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and an image (1, Z, Y, X) of two cells with a crooked membrane between them, which the ids stay away from."""
    _, y, x = np.indices((10, 24, 30))
    place = 14 + np.round(3 * np.sin(y / 4)).astype(int)
    wall = np.abs(x - place) < 1
    ids = np.where(x < 9, 1, np.where(x > 20, 2, 0)).astype(np.uint32)
    noise = np.random.default_rng(0).normal(0, 4, wall.shape)
    return ids, (((np.where(wall, 60, 150) if dark else np.where(wall, 150, 60)) + noise)[None] - 105) / 45


@pytest.mark.parametrize("dark", [True, False])
def test_objects_grow_up_to_the_membrane(dark: bool) -> None:
    ids, image = walls(dark)
    found = grown(ids, membranes(image, ISOTROPIC, bright=not dark), ISOTROPIC, 12)
    assert (found > 0).all()
    _, y, x = np.indices(ids.shape)
    place = 14 + np.round(3 * np.sin(y / 4)).astype(int)
    assert (found[x < place] == 1).mean() > 0.99
    assert (found[x > place] == 2).mean() > 0.99
    np.testing.assert_array_equal(found[ids > 0], ids[ids > 0])


@pytest.mark.parametrize("voxel_size", [ISOTROPIC, (40.0, 10.0, 10.0), (10.0, 5.0, 5.0)])
def test_objects_grow_no_further_than_they_may(voxel_size: tuple[float, float, float]) -> None:
    ids = np.zeros((15, 31, 31), np.uint32)
    ids[7, 15, 15] = 4
    image = np.random.default_rng(1).normal(size=(2, *ids.shape))
    found = grown(ids, membranes(image, voxel_size, bright=False), voxel_size, 6)
    distance = ndimage.distance_transform_edt(ids == 0, sampling=[v / min(voxel_size) for v in voxel_size])
    np.testing.assert_array_equal(found, np.where(distance <= 6, 4, 0))


@pytest.mark.parametrize("voxel_size", [ISOTROPIC, (33.0, 8.0, 8.0)])
def test_a_part_of_a_volume_grows_as_the_whole_does(voxel_size: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(size=(1, 12, 16, 190)), (0, 1, 1, 1)).astype(np.float32) * 6
    ids = np.where(image[0] > 1.5, rng.integers(1, 2**40, image.shape[1:]), 0).astype(np.uint64)
    whole = grown(ids, membranes(image, voxel_size, bright=False), voxel_size, 4)
    assert np.count_nonzero(whole) > 2 * np.count_nonzero(ids)
    (halo, *_) = growing_halo(4)
    for part in (np.s_[0:12, 0:16, 0:120], np.s_[0:12, 0:16, 50:190], np.s_[0:12, 0:16, 31:171]):
        some = grown(ids[part], membranes(image[(slice(None), *part)], voxel_size, bright=False), voxel_size, 4)
        sides = zip(part, ids.shape, strict=True)
        inner = tuple(slice(halo * (p.start > 0), (p.stop - p.start) - halo * (p.stop < n)) for p, n in sides)
        assert some[inner].size > 5000
        np.testing.assert_array_equal(some[inner], whole[part][inner])


def test_nothing_to_fill_and_nothing_to_fill_from() -> None:
    image = np.ones((1, 4, 5, 6))
    for ids in (np.zeros((4, 5, 6), np.uint32), np.full((4, 5, 6), 3, np.uint32)):
        np.testing.assert_array_equal(grown(ids, membranes(image, ISOTROPIC, bright=False), ISOTROPIC, 6), ids)
    full = np.full((4, 5, 6), 3, np.uint32)
    np.testing.assert_array_equal(with_leftovers(full, full != 0, 1), full)


def test_connected_leftovers_become_objects() -> None:
    ids = np.full((4, 20, 20), 7, np.uint32)
    ids[:, 2:6, 2:6] = 0
    ids[:, 10:15, 10:15] = 0
    ids[0, 18, 18] = 0
    found = with_leftovers(ids, ids != 0, 10)
    assert sorted(np.unique(found).tolist()) == [0, 7, 8, 9]
    assert found[0, 3, 3] != found[0, 12, 12]
    assert found[0, 18, 18] == 0
    np.testing.assert_array_equal(found[ids == 7], 7)


def test_consensus_splits_where_either_does() -> None:
    one = np.ones((6, 10, 30), np.uint32)
    one[:, :, 20:] = 2
    two = np.full_like(one, 5)
    two[:, :, 12:] = 6
    found = split_consensus(one, two, 10)
    assert [np.unique(found[:, :, a:b]).tolist() for a, b in ((0, 12), (12, 20), (20, 30))] == [[1], [3], [2]]


def test_consensus_fills_what_either_fills() -> None:
    one = np.zeros((6, 10, 40), np.uint32)
    two = np.zeros_like(one)
    one[:, :, 2:18] = 1
    two[:, :, 4:20] = 1  # the same object, seen a little differently
    two[:, :, 30:38] = 2  # one that the other did not find
    found = split_consensus(one, two, 10)
    np.testing.assert_array_equal(found > 0, (one > 0) | (two > 0))
    assert np.unique(found[:, :, 2:20]).tolist() == [1]
    assert np.unique(found[:, :, 30:38]).tolist() == [2]


def test_small_disagreements_go_to_the_nearest_piece() -> None:
    one = np.ones((6, 10, 30), np.uint32)
    two = np.ones_like(one)
    two[:, :, 15:] = 2
    two[0, 0, 0] = 3  # a voxel that the other segmentation gives to a third object
    two[0, 0, 29] = 3
    found = split_consensus(one, two, 10)
    assert found.max() == 2
    assert found[0, 0, 0] == found[0, 1, 1] != found[0, 0, 29] == found[0, 1, 28]


@settings(max_examples=50)
@given(st.integers(0, 999), st.integers(1, 30))
def test_consensus_never_joins_and_never_loses(seed: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = (rng.integers(0, 4, (3, 3, 3)).repeat(2, 0).repeat(3, 1).repeat(2, 2).astype(np.uint32) for _ in "ab")
    found = split_consensus(one, two, least)
    np.testing.assert_array_equal(found > 0, (one > 0) | (two > 0))
    names = {}
    for a in range(1, 4):
        for b in range(1, 4):
            piece = (one == a) & (two == b)
            if np.count_nonzero(piece) >= least:
                (names[a, b],) = np.unique(found[piece]).tolist()
    assert len(set(names.values())) == len(names)


MOVEMENT = Movement((7, 7, 7), (2, 2, 2), 0.95, 0.05, 0.9)


def bright() -> nn.Module:
    """A network that is sure of an object wherever the image is bright around a voxel, and of none where it is dark."""
    network = segkit.architectures["ffn"](2, 1, width=2, depth=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for channel, sign in enumerate((1, -1)):
            network.first.a.weight[channel, 0] = sign / 27
            network.first.b.weight[channel, channel, 1, 1, 1] = 1
            network.last.weight[0, channel] = 15 * sign
    return network.eval()


def rods() -> tuple[np.ndarray, np.ndarray]:
    """Return an image (1, Z, Y, X) of two rods, a wall between them, and ids in which the first is broken in two."""
    image = np.full((18, 36, 60), -1, np.float32)
    image[1:17, 2:17, 2:58] = 1
    image[1:17, 19:34, 2:58] = 1
    image += np.random.default_rng(2).normal(0, 0.05, image.shape).astype(np.float32)
    ids = np.zeros(image.shape, np.uint32)
    ids[2:16, 3:16, 3:29] = 1
    ids[2:16, 3:16, 30:57] = 2
    ids[2:16, 20:33, 3:57] = 3
    return image[None], ids


@pytest.fixture
def engine() -> Engine:
    return Engine(Step(bright(), "exact"), MOVEMENT, Policy(min_size=50, skip=0.0))


def test_contacts_come_with_the_most_open_first() -> None:
    image, ids = rods()
    height = membranes(image, ISOTROPIC, bright=False)
    found = contacts(grown(ids, height, ISOTROPIC, 6), height)
    assert (found[0].one, found[0].two) == (1, 2)
    assert {(contact.one, contact.two) for contact in found[1:]} == {(1, 3), (2, 3)}
    assert found[0].height < found[1].height
    z, y, x = found[0].point
    assert (1 <= z < 17, 2 <= y < 17, 28 <= x <= 30) == (True, True, True)
    assert contacts(np.ones((3, 3, 3), np.uint32), np.zeros((3, 3, 3))) == []


def test_objects_are_one_if_each_grows_into_the_other(engine: Engine) -> None:
    image, ids = rods()
    height = membranes(image, ISOTROPIC, bright=False)
    broken, apart, _ = contacts(grown(ids, height, ISOTROPIC, 6), height)
    broken = replace(broken, point=(10, 8, 28))
    same = judge(engine, image, ids, broken, (6, 7, 12))
    assert same.same
    assert same.alike > 0.8
    assert min(same.recovered) > 0.8
    assert max(same.deleted) == 0
    other = judge(engine, image, ids, apart, (6, 7, 12))
    assert not other.same
    assert other.alike == 0
    assert other.recovered[1] == other.recovered[2] == 0
    names = agglomerated(engine, image, ids, [apart, broken], (6, 7, 12))
    assert names.tolist() == [0, 1, 1, 3]


def test_an_object_that_is_taken_by_others_is_left_alone(engine: Engine) -> None:
    """Where no seed is far enough from the border there is no verdict, so nothing is joined."""
    image, ids = rods()
    height = membranes(image, ISOTROPIC, bright=False)
    (first, *_) = contacts(grown(ids, height, ISOTROPIC, 6), height)
    thin = slice(6, 12)  # fewer slices than a field of view: it fits nowhere
    first = replace(first, point=(3, *first.point[1:]))
    verdict = judge(engine, image[:, thin], ids[thin], first, (6, 7, 12))
    assert verdict.recovered == (0, 0, 0, 0)
    assert not verdict.same


def test_the_segmenter_runs_all_passes(tmp_path: Path) -> None:
    task = Selection("ffn:flood_filling", {"field_of_view": (9, 9, 9), "deltas": (3, 3, 3)})
    architecture = Selection("ffn:ffn", {"width": 2, "depth": 1})
    scaling = Normalization((0.0,), (1.0,))
    segkit.Model(bright(), task, architecture, task.build("tasks"), 1, scaling, (15, 15, 15)).save(tmp_path / "model")
    image = rods()[0][..., :28]

    def run(**options: object) -> np.ndarray:
        options = {"model": str(tmp_path / "model"), "precision": "exact", "min_size": 50, **options}
        return segkit.segment(image, "flood_fill", options=options).read()

    plain = run(grow=0)
    assert plain.max() > 0
    assert (plain == 0).any()
    filled = run()
    np.testing.assert_array_equal(filled[plain > 0], plain[plain > 0])
    assert (filled > 0).mean() > (plain > 0).mean()
    assert (run(grow=0, consensus=True, agglomerate=2)[plain > 0] > 0).all()
    left = run(grow=0, leftovers=10)
    np.testing.assert_array_equal(left[plain > 0] > 0, True)
    assert left.max() > plain.max()
