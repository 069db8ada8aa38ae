"""Built-in tasks: what they make of labels, and what they leave as unknown."""

import cc3d
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.contracts import Batch, Patch, Task, call_network
from segkit.errors import DataError, UsageError
from segkit.registry import registries
from segkit.testing import check_task

TASKS = registries["tasks"]


def patch(labels, mask=None, origin="sample 'a' at z0:1", size=(1.0, 1.0, 1.0)):
    labels = np.asarray(labels)
    extent = labels.shape[-3:]
    known = np.ones(extent, bool) if mask is None else np.asarray(mask)
    return Patch(np.zeros((1, *extent), np.float32), labels, known, size, origin)


def row(*values, dtype=np.uint64):
    return np.array(values, dtype).reshape(1, 1, -1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("semantic", {}),
        ("semantic", {"foreground_ids": (2, 3)}),
        ("semantic", {"classes": 4}),
        ("semantic", {"classes": 3, "class_ids": (1, 0, 7)}),
        ("boundaries", {}),
        ("boundaries", {"thickness": 3, "in_plane_only": True}),
        ("regression", {}),
        ("regression", {"centre": 5.0, "scale": 2.0}),
    ],
)
def test_contract(name, options):
    task = TASKS[name](**options)
    assert isinstance(task, Task)
    check_task(TASKS[name], options, image_labels=name == "regression")


@pytest.mark.parametrize("name", ["semantic", "boundaries", "regression"])
def test_a_step_is_the_loss_of_the_network(name):
    task = TASKS[name]()
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Conv3d(1, task.out_channels, 1)
    raw = torch.randn(2, 1, 3, 4, 5, generator=generator)
    target = torch.rand(2, task.out_channels, 3, 4, 5, generator=generator)
    mask = (torch.rand(2, 1, 3, 4, 5, generator=generator) > 0.5).float()

    def loss(logits, target, mask):
        return ((logits - target).square() * mask).sum()

    found = task.step(network, Batch(raw, target, mask), loss)
    torch.testing.assert_close(found, loss(call_network(network, raw), target, mask))
    assert found.requires_grad


class TestForeground:
    def test_any_ids_are_foreground(self):
        task = TASKS["semantic"]()
        target, mask = task.target(patch(row(0, 1, 255, 2**63, 2**64 - 1)))
        assert target.tolist() == [[[[0, 1, 1, 1, 1]]]]
        assert mask.all()
        assert task.channel_names == ("foreground",)
        assert task.best == ("jaccard", "max")

    @pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, np.float32])
    def test_foreground_ids(self, dtype):
        task = TASKS["semantic"](foreground_ids=(1, 3, 2**63), class_names=("sea", "debris"))
        labels = row(0, 1, 2, 3, dtype=dtype)
        assert task.target(patch(labels))[0].ravel().tolist() == [0, 1, 0, 1]
        assert task.foreground(labels).ravel().tolist() == [False, True, False, True]
        assert task.channel_names == ("debris",)

    def test_neighbouring_large_ids_differ(self):
        task = TASKS["semantic"](foreground_ids=(2**53 + 1,))
        assert task.foreground(row(2**53, 2**53 + 1)).ravel().tolist() == [False, True]

    def test_boolean_and_single_channel_labels(self):
        task = TASKS["semantic"]()
        assert task.target(patch(row(0, 1, dtype=bool)))[0].ravel().tolist() == [0, 1]
        labels = row(0, 9)[None]
        assert task.target(patch(labels))[0].shape == (1, 1, 1, 2)
        assert task.foreground(labels).shape == (1, 1, 2)

    def test_threshold_reaches_the_scores(self):
        target, mask = np.ones((1, 1, 1, 1, 2), np.float32), np.ones((1, 1, 1, 1, 2))
        for threshold, recall in ((0.3, 1.0), (0.5, 0.5)):
            metrics = TASKS["semantic"](threshold=threshold).metrics()
            metrics.update(np.float32([0.4, 0.6]).reshape(target.shape), target, mask)
            assert metrics.compute()["recall"] == recall


class TestClasses:
    def test_consecutive_ids(self):
        task = TASKS["semantic"](classes=3)
        target, _ = task.target(patch(row(2, 0, 1)))
        assert (target.dtype, target.ravel().tolist()) == (np.int64, [2, 0, 1])
        assert task.channel_names == ("class_0", "class_1", "class_2")

    def test_arbitrary_ids(self):
        task = TASKS["semantic"](classes=3, class_ids=(7, 1, 2**60), foreground_ids=(1,))
        labels = row(2**60, 7, 1, 1)
        assert task.target(patch(labels))[0].ravel().tolist() == [2, 0, 1, 1]
        assert task.foreground(labels).ravel().tolist() == [False, False, True, True]

    @pytest.mark.parametrize(
        "options", [{"classes": 3}, {"classes": 3, "class_ids": (0, 1, 2)}, {"classes": 3, "class_ids": (2, 1, 0)}]
    )
    @pytest.mark.parametrize("stranger", [3, 255, -1])
    def test_strangers_are_named(self, options, stranger):
        task = TASKS["semantic"](**options)
        labels = row(0, stranger, 1, dtype=np.int32)
        with pytest.raises(DataError, match=rf"sample 'a' at z0:1: the labels hold {stranger}, .*`unlabelled`"):
            task.target(patch(labels))
        target, _ = task.target(patch(labels, mask=labels != stranger))
        assert target.ravel()[1] == 0

    def test_whole_numbers_as_floats(self):
        task = TASKS["semantic"](classes=3)
        labels = row(0, 2, np.nan, dtype=np.float32)
        assert task.target(patch(labels, mask=row(1, 1, 0, dtype=bool)))[0].ravel().tolist() == [0, 2, 0]
        with pytest.raises(DataError, match="hold nan"):
            task.target(patch(labels))
        with pytest.raises(DataError, match="hold 0.5"):
            task.target(patch(row(0.5, dtype=np.float32)))

    def test_labels_with_channels_are_refused(self):
        with pytest.raises(DataError, match="2 channels"):
            TASKS["semantic"](classes=3).target(patch(np.zeros((2, 1, 1, 1), np.uint8)))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"classes": 3, "class_ids": (1, 2)}, "3 classes"),
            ({"classes": 3, "class_ids": (1, 2, 2)}, "3 different"),
            ({"classes": 3, "class_names": ("a", "b", "b")}, "class_names"),
            ({"classes": 3, "foreground_ids": (5,)}, "ids of no class"),
            ({"class_ids": (0, 1)}, "foreground_ids"),
            ({"class_names": ("a",)}, "background first"),
            ({"classes": 1}, "classes"),
        ],
    )
    def test_options_that_do_not_fit(self, options, words):
        with pytest.raises(UsageError, match=words):
            TASKS["semantic"](**options)

    def test_activation_and_scores(self):
        task = TASKS["semantic"](classes=3, class_names=("a", "b", "c"))
        prediction = task.activate(torch.randn(2, 3, 1, 4, 5, generator=torch.Generator().manual_seed(0)))
        torch.testing.assert_close(prediction.sum(1), torch.ones(2, 1, 4, 5))
        metrics = task.metrics()
        metrics.update(prediction.numpy(), prediction.argmax(1).numpy(), np.ones((2, 1, 1, 4, 5)))
        assert metrics.compute()["jaccard"] == metrics.compute()["recall_b"] == 1


def slow_boundary(labels, mask, thickness, axes, size):
    """Boundary and knowledge by looking at every voxel's surroundings."""
    offsets = [step * np.eye(3, dtype=int)[axis] for axis in axes for step in (-1, 1)]
    reach = (thickness - 1) * min(size[axis] for axis in axes) + 1e-3
    places = np.indices(labels.shape).reshape(3, -1).T

    def within_reach(found):
        steps = places[:, None] - places[found.ravel()][None]
        near = np.linalg.norm(steps * np.array(size), axis=-1) <= reach
        near &= (steps == 0)[..., [a for a in range(3) if a not in axes]].all(-1)
        return near.any(1).reshape(found.shape)

    beside, unsure = np.zeros(labels.shape, bool), ~mask
    for here in np.ndindex(labels.shape):
        for offset in offsets:
            there = tuple(np.array(here) + offset)
            if all(0 <= t < n for t, n in zip(there, labels.shape, strict=True)):
                beside[here] |= labels[here] != labels[there]
                unsure[here] |= not mask[there]
    for axis in axes:
        if labels.shape[axis] > 2 * (1 + reach // size[axis]):
            at = np.arange(labels.shape[axis])
            unsure |= ((at == 0) | (at == at[-1])).reshape([-1 if a == axis else 1 for a in range(3)])
    return within_reach(beside), ~within_reach(unsure)


class TestBoundaries:
    @settings(max_examples=40)
    @given(
        st.integers(0, 2**32 - 1),
        st.tuples(*[st.integers(1, 7)] * 3),
        st.integers(1, 3),
        st.booleans(),
        st.sampled_from([(1.0, 1.0, 1.0), (40.0, 4.0, 4.0), (30.0, 16.0, 16.0), (4.0, 8.0, 4.0)]),
    )
    def test_equals_looking_at_every_voxel(self, seed, shape, thickness, in_plane_only, size):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, shape).astype(np.uint64) * np.uint64(2**63 - 1)
        mask = rng.random(shape) > 0.05
        task = TASKS["boundaries"](thickness=thickness, in_plane_only=in_plane_only)
        target, known = task.target(patch(labels, mask, size=size))
        axes = (0, 1, 2) if shape[0] > 1 and not in_plane_only else (1, 2)
        boundary, expected = slow_boundary(labels, mask, thickness, axes, size)
        assert np.array_equal(target, np.stack([labels != 0, boundary]).astype(np.float32))
        assert np.array_equal(known, expected)

    def test_ids_that_differ_far_behind_the_point_of_doubles(self):
        target, _ = TASKS["boundaries"]().target(patch(row(2**60, 2**60, 2**60 + 1, 2**60 + 1)))
        assert target[1].ravel().tolist() == [0, 1, 1, 0]

    def test_what_is_hidden_never_changes_what_is_known(self):
        """A patch says, where it claims to know, just what the whole volume says."""
        rng = np.random.default_rng(0)
        labels = rng.integers(1, 4, (4, 4, 4)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
        task = TASKS["boundaries"](thickness=2)
        whole, _ = task.target(patch(labels))
        inner = (slice(3, 12), slice(2, 11), slice(5, 13))
        part, known = task.target(patch(labels[inner]))
        assert known.any()
        assert np.array_equal(part[:, known], whole[(slice(None), *inner)][:, known])
        scribbled = labels.copy()
        mask = rng.random(labels.shape) > 0.01
        scribbled[~mask] = 99
        changed, known = task.target(patch(scribbled, mask))
        assert known.any()
        assert np.array_equal(changed[:, known], whole[:, known])

    def test_touching_bodies_without_background(self):
        """Objects fill the volume; what separates them is a shell of two voxels."""
        centres = np.random.default_rng(3).uniform(0, 24, (6, 3))
        grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
        labels = np.linalg.norm(grid[..., None, :] - centres, axis=-1).argmin(-1) + 1
        target, known = TASKS["boundaries"]().target(patch(labels))
        assert target[0].all()
        parts = cc3d.connected_components(((target[1] == 0) & known).astype(np.uint8), connectivity=6)
        for part in range(1, parts.max() + 1):
            assert len(np.unique(labels[parts == part])) == 1

    def test_scores_and_choice(self):
        task = TASKS["boundaries"]()
        assert task.best == ("dice_boundary", "max")
        assert task.foreground(row(0, 5)).ravel().tolist() == [False, True]
        assert task.metrics().channel_names == task.channel_names == ("object", "boundary")


class TestRegression:
    def test_vectors(self):
        task = TASKS["regression"](channels=40)
        vector = np.random.default_rng(0).normal(size=(40, 1, 1, 1)).astype(np.float32)
        target, mask = task.target(patch(vector))
        assert np.array_equal(target, vector)
        assert mask.tolist() == [[[True]]]
        assert task.foreground(vector).shape == (1, 1, 1)

    def test_predictions_are_in_the_numbers_of_the_labels(self):
        task = TASKS["regression"](centre=1000, scale=500)
        labels = np.random.default_rng(1).integers(0, 65536, (2, 3, 4)).astype(np.uint16)
        target, mask = task.target(patch(labels))
        prediction = task.activate(torch.from_numpy(target[None])).numpy()
        np.testing.assert_allclose(prediction[0, 0], labels, rtol=1e-6)
        metrics = task.metrics()
        metrics.update(prediction + np.float32(3), target[None], mask[None, None])
        scores = metrics.compute()
        assert scores["mse"] == pytest.approx(9, rel=1e-2)
        assert scores["psnr"] == pytest.approx(10 * np.log10(500**2 / 9), rel=1e-3)

    def test_what_is_not_finite_is_not_known(self):
        labels = np.array([[1, np.nan], [np.inf, 2]], np.float32).reshape(2, 1, 1, 2)
        target, mask = TASKS["regression"](channels=2).target(patch(labels))
        assert np.isfinite(target).all()
        assert not mask.any()
        target, mask = TASKS["regression"]().target(patch(labels[:1]))
        assert mask.ravel().tolist() == [True, False]

    def test_other_channels_are_named(self):
        with pytest.raises(DataError, match="have 2 channels, .* set up for 3"):
            TASKS["regression"](channels=3).target(patch(np.zeros((2, 1, 1, 1))))
