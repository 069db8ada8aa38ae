"""The task `flood_filling`: what it teaches, where it moves, what its loss is, and that it repeats itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from segkit.contracts import Batch, Patch, Task, parts_of, respond
from segkit.errors import DataError, UsageError
from segkit.recipe import Recipe
from segkit.registry import registries
from segkit.sampling import stack
from segkit.sampling._sampler import Example
from segkit.training import Run, fit
from segkit_ffn._settling import settled

TASKS, LOSSES = registries["tasks"], registries["losses"]
SMALL = {"field_of_view": (5, 5, 5), "deltas": (2, 2, 2), "smallest": 5}


def made(**options) -> Task:
    return TASKS["flood_filling"](**{**SMALL, **options})


def patch(labels, mask=None) -> Patch:
    labels = np.asarray(labels)
    known = np.ones(labels.shape[-3:], bool) if mask is None else mask
    return Patch(np.zeros((1, *labels.shape[-3:]), np.float32), labels, known, origin="here")


def bar(shape=(9, 9, 9)) -> np.ndarray:
    """An object along x through the middle, and another all around it."""
    labels = np.full(shape, 2**63 + 7, np.uint64)
    labels[shape[0] // 2 - 1 : shape[0] // 2 + 2, shape[1] // 2 - 1 : shape[1] // 2 + 2] = 2**40
    return labels


def batch_of(task: Task, *patches: Patch) -> Batch:
    return stack([Example(p.raw, *task.target(p), p.origin) for p in patches])


class Oracle(nn.Module):
    """Answers with what the image says: its own values are what is added to the map."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[torch.Tensor] = []

    def forward(self, raw):
        self.seen.append(raw.detach().clone())
        return raw[:, :1] * self.scale


def pointing_at(labels, strength=8.0) -> Patch:
    """A patch whose image is bright in its object and dark elsewhere."""
    middle = tuple(n // 2 for n in labels.shape)
    raw = np.where(labels == labels[middle], strength, -strength).astype(np.float32)
    return Patch(raw[None], labels, np.ones(labels.shape, bool), origin="pointing")


class TestTarget:
    def test_the_object_in_the_middle(self):
        labels = bar()
        target, known = made().target(patch(labels))
        assert target.shape == (1, 9, 9, 9)
        assert target.dtype == np.float32
        np.testing.assert_array_equal(target[0] > 0.5, labels == 2**40)
        assert set(np.unique(target)) == {np.float32(0.05), np.float32(0.95)}
        assert known.all()
        hard, _ = made(softening=0.0).target(patch(labels))
        assert set(np.unique(hard)) == {0.0, 1.0}

    def test_other_pieces_of_it_are_not_known(self):
        labels = bar()
        labels[0, 0] = 2**40
        target, known = made().target(patch(labels))
        assert not target[0, 0, 0].max() > 0.5
        assert not known[0, 0].any()
        assert known.sum() == 9**3 - 9

    @pytest.mark.parametrize("case", ["background", "unknown", "tiny"])
    def test_nothing_is_learnt_where_there_is_no_object(self, case):
        labels, mask = bar(), np.ones((9, 9, 9), bool)
        if case == "background":
            labels[labels == 2**40] = 0
        elif case == "unknown":
            mask[4, 4, 4] = False
        _, known = made(smallest=100 if case == "tiny" else 5).target(patch(labels, mask))
        assert not known.any()

    def test_costs_nothing(self):
        task = made()
        nothing = Patch(np.ones((1, 9, 9, 9), np.float32), np.zeros((9, 9, 9), np.uint8), np.ones((9, 9, 9), bool))
        network = Oracle()
        parts = list(task.step(network, batch_of(task, nothing, nothing), LOSSES["bce"]()))
        assert [(part.item(), weight) for part, weight in parts] == [(0.0, 0.5)]
        parts[0][0].backward()
        assert network.scale.grad == 0
        network = Oracle()
        list(task.step(network, batch_of(task, nothing, pointing_at(bar())), LOSSES["bce"]()))
        assert all(len(seen) == 1 for seen in network.seen)

    def test_labels_that_are_no_ids_are_refused(self):
        with pytest.raises(DataError, match="objects with ids"):
            made().target(patch(np.zeros((9, 9, 9), np.float32)))

    def test_patches_below_the_field_of_view_are_refused(self):
        with pytest.raises(UsageError, match=r"Set sampling.patch_shape to \(11, 11, 11\)"):
            made().target(patch(np.ones((9, 4, 9), np.uint8)))


class TestSeeds:
    """A field of view of 5 voxels with steps of 2, in patches of 11: one voxel on each side is left beyond a step."""

    def test_they_move_into_the_object(self):
        movement = made().movement
        labels = np.zeros((11, 11, 11), bool)
        labels[5:8, 5:8] = True  # its rim is in the middle of the patch, its axis at 6
        assert settled(movement, labels) == (6, 6, 5)
        assert settled(movement, labels[:, ::-1]) == (6, 4, 5)
        assert settled(movement, labels.swapaxes(0, 2)) == (5, 6, 6)

    def test_they_stay_where_they_are_deep_or_not_in_it(self):
        movement = made().movement
        deep = np.zeros((11, 11, 11), bool)
        deep[4:7, 4:7] = True
        assert settled(movement, deep) == (5, 5, 5)
        assert settled(movement, np.ones((11, 11, 11), bool)) == (5, 5, 5)
        assert settled(movement, ~deep) == (5, 5, 5)

    def test_whole_steps_stay_possible(self):
        labels = np.zeros((9, 9, 9), bool)
        labels[4:7, 4:7] = True
        assert settled(made().movement, labels) == (4, 4, 4)
        task, labels = made(), np.zeros((11, 11, 11), np.uint8)
        labels[5:8, 5:8] = 3
        found = respond(task, Oracle().eval(), batch_of(task, pointing_at(labels)))
        np.testing.assert_array_equal(found[0, 0, ..., 1:-1].numpy() > 0, labels[..., 1:-1] == 3)

    def test_depth_is_by_the_length_of_voxels(self):
        """Five thick sections and five thin columns: the way out along y and x is the shorter one."""
        movement = made(field_of_view=(3, 9, 9), deltas=(1, 4, 4)).movement
        labels = np.zeros((7, 21, 21), bool)
        labels[1:6, 10:17] = True
        assert settled(movement, labels) == (3, 12, 10)

    def test_the_first_view_is_around_them(self):
        task, network = made(), Oracle()
        labels = np.zeros((11, 11, 11), np.uint8)
        labels[5:8, 5:8] = 3
        batch = batch_of(task, pointing_at(labels))
        list(task.step(network, batch, LOSSES["bce"]()))
        first = network.seen[0][0]
        np.testing.assert_array_equal(first[0].numpy(), batch.raw[0, 0, 4:9, 4:9, 3:8].numpy())
        assert np.unravel_index(int(first[1].argmax()), (5, 5, 5)) == (2, 2, 2)
        scores = task.metrics()
        answer = respond(task, Oracle().eval(), batch).sigmoid()
        scores.update(answer.numpy(), batch.target.numpy(), batch.mask.numpy())
        found = scores.compute()
        assert found["moves_recall"] == 1
        assert found["dice"] == 1  # the ends of the object, two voxels from the sides, are out of reach


class TestMoves:
    def test_the_object_is_followed_and_written_down(self):
        task, network = made(), Oracle().eval()
        found = respond(task, network, batch_of(task, pointing_at(bar((9, 9, 13)))))
        expected = bar((9, 9, 13)) == 2**40
        np.testing.assert_array_equal(found[0, 0].numpy() > 0, expected)

    @pytest.mark.parametrize("walk", ["fixed", "frontier"])
    def test_only_where_the_map_says(self, walk):
        """The bar runs along x: of all places one step away, two are on it."""
        task, network = made(walk=walk), Oracle()
        batch = batch_of(task, pointing_at(bar()))
        weights = [weight for _, weight in task.step(network, batch, LOSSES["bce"]())]
        assert weights == [1.0] * len(network.seen)
        assert all(seen[0, 1, 2, 2, 2].sigmoid() > 0.9 for seen in network.seen)
        calm = len(list(task.step(Oracle().eval(), batch, LOSSES["bce"]())))
        for number in (len(network.seen), calm):
            assert number == 3 if walk == "fixed" else 3 <= number <= 9

    def test_moves_are_limited_in_training_alone(self):
        task = made(moves=2)
        batch = batch_of(task, pointing_at(np.ones((9, 9, 9), np.uint8)))
        assert len(list(task.step(Oracle(), batch, LOSSES["bce"]()))) == 2
        assert len(list(task.step(Oracle().eval(), batch, LOSSES["bce"]()))) == 27

    def test_the_first_view_sees_seed_and_pad(self):
        network, task = Oracle(), made()
        next(iter(task.step(network, batch_of(task, pointing_at(bar())), LOSSES["bce"]())))
        shown = network.seen[0][0, 1].sigmoid()
        assert shown[2, 2, 2] == pytest.approx(0.95)
        shown[2, 2, 2] = 0.05
        assert shown.numpy() == pytest.approx(0.05)

    def test_the_next_view_sees_what_was_found(self):
        network, task = Oracle(), made()
        list(task.step(network, batch_of(task, pointing_at(bar((9, 9, 9)))), LOSSES["bce"]()))
        known = network.seen[1][0, 1].sigmoid()
        assert known[2, 2, 2] > 0.5
        assert (known > 0.5).sum() == 3 * 3 * 3

    def test_examples_move_side_by_side(self):
        task, network = made(), Oracle()
        single = Patch(np.full((1, 9, 9, 9), -9.0, np.float32), bar(), np.ones((9, 9, 9), bool))
        parts = list(task.step(network, batch_of(task, pointing_at(bar()), single), LOSSES["bce"]()))
        assert [weight for _, weight in parts] == [1.0, 0.5, 0.5]
        assert [len(seen) for seen in network.seen] == [2, 1, 1]

    def test_it_does_not_go_where_nothing_is_known(self):
        task = made()
        seen = pointing_at(bar())
        seen.mask[:, :, :4] = False
        assert len(list(task.step(Oracle(), batch_of(task, seen), LOSSES["bce"]()))) == 2

    def test_anisotropic_steps_and_larger_patches(self):
        task = made(field_of_view=(3, 5, 5), deltas=(1, 2, 2))
        network = Oracle().eval()
        labels = bar((7, 9, 17))
        found = respond(task, network, batch_of(task, pointing_at(labels)))
        np.testing.assert_array_equal(found[0, 0].numpy() > 0, labels == 2**40)
        flat = made(field_of_view=(1, 5, 5), deltas=(0, 2, 2))
        assert (
            len(list(flat.step(Oracle(), batch_of(flat, pointing_at(np.ones((1, 9, 9), np.uint8))), LOSSES["bce"]())))
            == 9
        )

    @pytest.mark.parametrize("walk", ["fixed", "frontier"])
    def test_the_order_is_of_the_step_in_training_and_the_same_in_validation(self, walk):
        task = made(walk=walk)
        rng = np.random.default_rng(3)
        noisy = Patch(rng.normal(4, 3, (1, 9, 9, 9)).astype(np.float32), bar(), np.ones((9, 9, 9), bool))
        batch = batch_of(task, noisy)

        def losses(network, seed):
            torch.manual_seed(seed)
            return [part.item() for part, _ in task.step(network, batch, LOSSES["bce"]())]

        assert losses(Oracle(), 1) == losses(Oracle(), 1)
        assert len({tuple(losses(Oracle(), seed)) for seed in range(6)}) > 1 or walk == "frontier"
        assert losses(Oracle().eval(), 1) == losses(Oracle().eval(), 2)


class TestLoss:
    def test_gradient_of_parts_is_that_of_their_mean(self):
        """Each part's gradient by itself adds up to that of the weighted mean, taken at once."""
        task = made()
        batch = batch_of(task, pointing_at(bar()), pointing_at(bar()))
        loss = LOSSES["bce"]()
        by_parts, at_once = Oracle(), Oracle()
        weights = 0.0
        for part, weight in parts_of(task.step(by_parts, batch, loss)):
            (part * weight).backward()
            weights += weight
        found = list(parts_of(task.step(at_once, batch, loss)))
        (sum(part * weight for part, weight in found) / sum(weight for _, weight in found)).backward()
        assert by_parts.scale.grad / weights == pytest.approx(float(at_once.scale.grad), rel=1e-5)

    def test_no_gradient_through_the_map(self):
        task, network = made(), Oracle()
        parts = [part for part, _ in task.step(network, batch_of(task, pointing_at(bar())), LOSSES["bce"]())]
        assert len(parts) > 1
        for part in parts:
            part.backward()  # would fail if a later part reached into the graph of an earlier one


class TestScores:
    def test_object_and_moves(self):
        task = made()
        batch = batch_of(task, pointing_at(bar()))
        scores = task.metrics()
        answer = respond(task, Oracle().eval(), batch).sigmoid()
        scores.update(answer.numpy(), batch.target.numpy(), batch.mask.numpy())
        assert scores.compute() == pytest.approx(
            {"dice": 1, "precision": 1, "recall": 1, "moves_precision": 1, "moves_recall": 1}
        )
        blind = task.metrics()
        everything = np.ones((1, 1, 9, 9, 9), np.float32)
        blind.update(everything, batch.target.numpy(), batch.mask.numpy())
        assert blind.compute()["moves_precision"] == pytest.approx(2 / 26)
        assert blind.compute()["moves_recall"] == 1


def recipe(**changes) -> Recipe:
    tables = {
        "task": {"name": "flood_filling", "field_of_view": [9, 9, 9], "deltas": [2, 2, 2], "moves": 3},
        "architecture": {"name": "ffn", "width": 4, "depth": 2},
        "loss": [{"name": "bce"}],
        "dataset": {"name": "synthetic_neurons", "shape": [24, 32, 32], "count": 2, "neurites": 4},
        "sampling": {"patch_shape": [13, 13, 13], "batch_size": 2, "balance": "objects", "workers": 1},
        "split": {"share": 0.4},
        "optimizer": {},
        "schedule": {"name": "fixed"},
        "training": {"steps": 3, "validate_every": 3, "validation_patches": 4, "device": "cpu"},
    }
    for key, change in changes.items():
        tables[key] = change if "name" in change else {**tables.get(key, {}), **change}
    return Recipe.from_mapping(tables)


def test_training_goes_on_with_the_same_bits(tmp_path):
    whole = fit(recipe(training={"steps": 4}), tmp_path / "whole").state()
    fit(recipe(), tmp_path / "parts")
    parts = fit(recipe(training={"steps": 4}), tmp_path / "parts")
    losses = [{step: row["loss"] for step, row in state.rows.items()} for state in (whole, parts.state())]
    assert losses[0] == losses[1]
    assert Run(tmp_path / "parts").recipe.task.options["field_of_view"] == (9, 9, 9)
    assert set(parts.state().validations[3]["metrics"]) == set(made().metrics().compute())


@pytest.mark.slow
def test_it_learns(tmp_path):
    """Bright bars on dark ground: their seeds grow along them, and no further."""
    rng = np.random.default_rng(8)
    labels = np.zeros((32, 40, 40), np.uint8)
    for number in range(1, 10):
        z, y = 4 + 10 * ((number - 1) // 3), 5 + 12 * ((number - 1) % 3)
        labels[z : z + 5, y : y + 5, 2:38] = number
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "raw.npy", (80 + 80 * (labels > 0) + rng.normal(0, 12, labels.shape)).astype(np.uint8))
    changed = recipe(
        task={"softening": 0.0, "pad": 0.5, "move_threshold": 0.6},
        initializer={"name": "zero_last"},
        architecture={"width": 8, "depth": 3},
        dataset={"name": "files", "raw": str(tmp_path / "raw.npy"), "labels": str(tmp_path / "labels.npy")},
        sampling={"batch_size": 4, "foreground": 1.0},
        split={"share": 0.3},
        optimizer={"learning_rate": 3e-3},
        training={"steps": 150, "validate_every": 75, "validation_patches": None},
    )
    found = fit(changed, tmp_path / "run").state().validations[150]
    assert found["loss"] < 0.4, found
    assert found["metrics"]["dice"] > 0.8, found
