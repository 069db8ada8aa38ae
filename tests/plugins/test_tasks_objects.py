"""Tasks for objects that touch: distances, affinities and ways to the centre, and what they claim to know."""

import edt
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segkit.affinities import OFFSETS, grouped, offsets_of
from segkit.contracts import Batch, Patch, Task
from segkit.errors import UsageError
from segkit.registry import registries
from segkit.sampling import stack
from segkit.testing import check_task

TASKS, LOSSES = registries["tasks"], registries["losses"]
SIZES = st.sampled_from([(1.0, 1.0, 1.0), (40.0, 4.0, 4.0), (30.0, 16.0, 16.0), (4.0, 8.0, 4.0)])
CASES = {
    "distances": ("distances", {}),
    "signed distances": ("distances", {"signed": True, "scale": 9.0}),
    "distances in plane": ("distances", {"in_plane_only": True, "scale": 20.0}),
    "affinities": ("affinities", {"custom_offsets": (-1, 0, 0, 0, -1, 0, 0, 0, 1, 0, 3, -2)}),
    "affinities in plane": ("affinities", {"custom_offsets": (0, -1, 0, 0, 0, 1, 0, -3, -2), "foreground": False}),
    "centre_offsets": ("centre_offsets", {}),
    "centre_offsets in plane": ("centre_offsets", {"in_plane_only": True}),
    "boundaries": ("boundaries", {"thickness": 2}),
}


def patch(labels, mask=None, size=(1.0, 1.0, 1.0)):
    labels = np.asarray(labels)
    known = np.ones(labels.shape, bool) if mask is None else mask
    return Patch(np.zeros((1, *labels.shape), np.float32), labels, known, size, "sample 'a' at z0:1")


def tissue(rng, shape, background=0.3):
    """Ids of touching bodies, huge ones, and background between some of them."""
    seeds = rng.uniform(0, shape, (6, 3))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    nearest = np.linalg.norm(grid[..., None, :] - seeds, axis=-1).argmin(-1)
    ids = rng.integers(1, 2**63, 6, np.uint64)
    ids[rng.random(6) < background] = 0
    return ids[nearest]


def by_channel(mask, target):
    return np.broadcast_to(mask, target.shape)


@pytest.mark.parametrize(("name", "options"), CASES.values(), ids=CASES)
class TestEvery:
    def test_contract(self, name, options):
        assert isinstance(TASKS[name](**options), Task)
        check_task(TASKS[name], options)

    @settings(max_examples=15)
    @given(seed=st.integers(0, 2**32 - 1), size=SIZES, flat=st.booleans())
    @example(
        seed=35523, size=(1.0, 1.0, 1.0), flat=False
    )  # an object that goes on behind the corner of an unknown voxel
    def test_what_is_hidden_never_changes_what_is_known(self, name, options, seed, size, flat):
        """A patch says, where it claims to know, just what the whole volume says; so it does beside unknown voxels."""
        if flat and name in ("boundaries", "affinities"):  # too short an axis is judged by what there is, or refused
            flat = False
        rng = np.random.default_rng(seed)
        task = TASKS[name](**options)
        labels = tissue(rng, (1 if flat else 12, 16, 18))
        whole, _ = task.target(patch(labels, size=size))
        inner = (slice(0, 1) if flat else slice(2, 11), slice(3, 14), slice(1, 16))
        part, known = task.target(patch(labels[inner], size=size))
        known = by_channel(known, part)
        np.testing.assert_allclose(part[known], whole[:, *inner][known], atol=1e-5)
        mask = rng.random(labels.shape) > 0.01
        scribbled = np.where(mask, labels, rng.integers(0, 2**63, dtype=np.uint64))
        changed, known = task.target(patch(scribbled, mask, size))
        known = by_channel(known, changed)
        assert not (known & ~mask).any()
        np.testing.assert_allclose(changed[known], whole[known], atol=1e-5)


class TestDistances:
    def test_equals_looking_at_every_voxel(self):
        rng = np.random.default_rng(2)
        labels, size = tissue(rng, (6, 9, 10)), np.array((3.0, 1.0, 1.0))
        target, _ = TASKS["distances"](scale=6.0, signed=True).target(patch(labels, size=tuple(size)))
        places = np.indices(labels.shape).reshape(3, -1).T * size
        ids = labels.ravel()
        away = np.linalg.norm(places[:, None] - places[None], axis=-1)
        foreign = np.where(ids[:, None] != ids[None], away, np.inf).min(1)
        expected = np.where(ids == 0, -foreign, foreign).clip(-6, 6) / 6
        np.testing.assert_allclose(target.ravel(), expected, atol=1e-5)
        plain, _ = TASKS["distances"](scale=6.0).target(patch(labels, size=tuple(size)))
        np.testing.assert_allclose(plain, target.clip(0, 1), atol=1e-6)

    def test_slices_by_themselves(self):
        labels = tissue(np.random.default_rng(3), (4, 20, 20))
        target, known = TASKS["distances"](in_plane_only=True).target(patch(labels, size=(5.0, 2.0, 2.0)))
        for plane, found, sure in zip(labels, target[0], known, strict=True):
            expected = edt.edt(np.ascontiguousarray(plane), anisotropy=(2.0, 2.0)) / 20
            np.testing.assert_allclose(found, expected.clip(0, 1), atol=1e-5)
            single, alone = TASKS["distances"]().target(patch(plane[None], size=(5.0, 2.0, 2.0)))
            np.testing.assert_allclose(single[0, 0], found, atol=1e-5)
            assert np.array_equal(alone[0], sure)

    def test_deep_inside_all_is_known_again(self):
        labels = np.ones((1, 60, 60), np.uint8)
        target, known = TASKS["distances"](scale=8.0).target(patch(labels))
        assert (target == 1).all()
        assert known[0, 8:-8, 8:-8].all()
        assert not known[0, 5].any()

    @pytest.mark.parametrize(("activation", "loss"), [("linear", "bce"), ("sigmoid", "mse"), ("sigmoid", "l1")])
    def test_a_loss_that_does_not_fit_is_refused(self, activation, loss):
        task = TASKS["distances"](activation=activation)
        target = torch.rand(1, 1, 2, 4, 4)
        batch = Batch(torch.rand(1, 1, 2, 4, 4), target, torch.ones_like(target))
        with pytest.raises(UsageError, match=f"`task.activation` is '{activation}'.*'linear' with mse"):
            task.step(torch.nn.Conv3d(1, 1, 1), batch, LOSSES[loss]())

    @pytest.mark.parametrize(("activation", "loss"), [("linear", "mse"), ("linear", "l1"), ("sigmoid", "bce")])
    def test_a_loss_that_fits_is_lowest_where_the_prediction_is_right(self, activation, loss):
        task, judge = TASKS["distances"](activation=activation), LOSSES[loss]()
        target = torch.linspace(0.05, 0.95, 32).reshape(1, 1, 2, 4, 4)
        output = torch.zeros_like(target, requires_grad=True)
        network = torch.nn.Identity()
        for step in range(300):
            task.step(network, Batch(output, target, torch.ones_like(target)), judge).backward()
            with torch.no_grad():
                output -= 0.05 * (1 - step / 300) * output.grad.sign()
            output.grad = None
        torch.testing.assert_close(task.activate(output.detach()), target, atol=0.05, rtol=0)

    def test_signed_needs_both_signs(self):
        with pytest.raises(UsageError, match="-1 to 1"):
            TASKS["distances"](signed=True, activation="sigmoid")
        wide = torch.tensor([-9.0, 9.0]).reshape(1, 1, 1, 1, 2)
        assert TASKS["distances"](signed=True).activate(wide).ravel().tolist() == [-1, 1]
        assert TASKS["distances"]().activate(wide).ravel().tolist() == [0, 1]


class TestAffinities:
    def test_equals_looking_at_every_pair(self):
        rng = np.random.default_rng(0)
        labels, mask = tissue(rng, (5, 6, 7)), rng.random((5, 6, 7)) > 0.1
        offsets = [(-1, 0, 0), (0, 0, 1), (2, -3, 1)]
        task = TASKS["affinities"](custom_offsets=tuple(np.ravel(offsets).tolist()))
        target, known = task.target(patch(labels, mask))
        assert task.channel_names == ("object", "affinity_-1_0_0", "affinity_0_0_1", "affinity_2_-3_1")
        assert offsets_of(task.channel_names) == (None, *offsets)
        assert np.array_equal(target[0], labels != 0)
        assert np.array_equal(known[0], mask)
        for channel, offset in enumerate(offsets, 1):
            for here in np.ndindex(labels.shape):
                there = tuple(np.add(here, offset))
                inside = all(0 <= t < n for t, n in zip(there, labels.shape, strict=True))
                assert known[channel][here] == (inside and mask[here] and mask[there])
                if inside:
                    assert target[channel][here] == (not labels[here] == labels[there] != 0)  # apart

    def test_batches_hold_a_mask_for_each_channel(self):
        class Example:
            raw, (target, mask), origin = np.zeros((1, 4, 5, 6), np.float32), (None, None), ""

        task = TASKS["affinities"](custom_offsets=(0, 0, -1, 0, -2, 0), foreground=False)
        Example.target, Example.mask = task.target(patch(tissue(np.random.default_rng(1), (4, 5, 6))))
        batch = stack([Example, Example])
        assert batch.mask.shape == batch.target.shape == (2, 2, 4, 5, 6)
        assert (batch.mask[:, 0, ..., 0] == 0).all()
        assert (batch.mask[:, 0, ..., 1:] == 1).all()
        assert batch.mask.dtype == torch.float32

    def test_sets_differ_in_number_and_begin_with_neighbours(self):
        numbers = {len(offsets) + lead for offsets in OFFSETS.values() for lead in (0, 1)}
        assert len(numbers) == 2 * len(OFFSETS)
        for name, offsets in OFFSETS.items():
            assert grouped(np.ravel(offsets).tolist(), "x") == offsets
            assert TASKS["affinities"](offsets=name).out_channels == len(offsets) + 1
            assert all(offset[0] == 0 for offset in offsets) == (name == "planar")

    @pytest.mark.parametrize(
        ("numbers", "words"),
        [
            ((1, 0), "2 numbers"),
            ((0, 0, -3), "direct neighbour"),
            ((0, 0, 0), "0, 0, 0"),
            ((0, 0, 1, 0, 0, -1), "twice"),
        ],
    )
    def test_offsets_that_make_no_sense(self, numbers, words):
        with pytest.raises(UsageError, match=words):
            TASKS["affinities"](custom_offsets=numbers)

    def test_offsets_beyond_the_patch_are_refused(self):
        with pytest.raises(UsageError, match=r"\(-1, 0, 0\) leads out of patches of \(1, 20, 20\).*planar"):
            TASKS["affinities"]().target(patch(np.ones((1, 20, 20), np.uint8)))

    def test_scores_judge_what_belongs_apart(self):
        task = TASKS["affinities"](custom_offsets=(0, 0, -1, 0, 0, -3))
        target, mask = task.target(patch(tissue(np.random.default_rng(4), (3, 12, 12))))
        metrics = task.metrics()
        right = task.activate(torch.from_numpy(20 * target[None] - 10)).numpy()
        assert np.allclose(right[0, 1:], 1 - target[1:], atol=1e-3)
        metrics.update(right, target[None], mask[None].astype(np.float32))
        assert [metrics.compute()[f"dice_{name}"] for name in ("object", "near", "far")] == [1, 1, 1]
        lazy = task.metrics()
        lazy.update(np.ones_like(target)[None], target[None], mask[None].astype(np.float32))
        assert lazy.compute()["dice_near"] == 0
        alone = TASKS["affinities"](custom_offsets=(0, 0, -1), foreground=False)
        assert "dice_near" in alone.metrics().compute()


class TestCentreOffsets:
    def test_the_way_to_the_centre(self):
        labels = np.zeros((7, 12, 12), np.uint16)
        labels[2:5, 3:8, 2:5] = 7  # whole, its centre at 3, 5, 3
        labels[:, 9:11, 6:9] = 8  # cut
        size = (8.0, 2.0, 2.0)
        task = TASKS["centre_offsets"](scale=5.0)
        target, mask = task.target(patch(labels, size=size))
        assert task.channel_names == ("object", "to_centre_z", "to_centre_y", "to_centre_x")
        assert np.array_equal(target[0], labels != 0)
        assert mask[0].all()
        assert np.array_equal(mask[1], labels == 7)
        prediction = task.activate(torch.from_numpy(20 * target[None])).numpy()[0] / 20
        for axis, centre in enumerate((3, 5, 3)):
            steps = (centre - np.indices(labels.shape)[axis]) * size[axis] / min(size)
            np.testing.assert_allclose(prediction[1 + axis][labels == 7], steps[labels == 7], atol=1e-5)

    def test_single_slices_and_parts(self):
        labels = np.zeros((1, 12, 12), np.uint8)
        labels[0, 2:5, 2:5] = labels[0, 7:10, 7:10] = 1  # one id in two places is two objects
        for options in ({}, {"in_plane_only": True}):
            target, mask = TASKS["centre_offsets"](scale=1.0, **options).target(patch(labels))
            assert np.array_equal(mask[1:].all(0), labels == 1)
            assert target[-2:, 0, 2, 2].tolist() == target[-2:, 0, 7, 7].tolist() == [1, 1]
        assert target.shape[0] == 3

    def test_scores_and_loss(self):
        task = TASKS["centre_offsets"](scale=4.0, offset_weight=2.0)
        labels = np.zeros((6, 9, 9), np.uint8)
        labels[2:4, 2:6, 2:6] = 1
        target, mask = task.target(patch(labels))
        off = target.copy()
        off[1] += 0.5
        metrics = task.metrics()
        prediction = off[None].copy()
        prediction[:, 1:] *= 4
        metrics.update(prediction, target[None], mask[None])
        assert metrics.compute()["centre_error"] == pytest.approx(2, rel=1e-5)
        assert metrics.compute()["jaccard"] == 1
        assert np.isnan(task.metrics().compute()["centre_error"])
        batch = Batch(*(torch.from_numpy(a[None].astype(np.float32)) for a in (off, target, mask)))
        seen = []

        def loss(logits, wanted, known):
            seen.append((tuple(logits.shape), tuple(known.shape)))
            return (logits - wanted).square().sum()

        value = task.step(torch.nn.Identity(), batch, loss)
        assert value.item() == pytest.approx(2 * 0.5 / 3, rel=1e-5)
        assert seen == [((1, 1, 6, 9, 9), (1, 1, 6, 9, 9))]
