from dataclasses import replace

import numpy as np
import pytest

import segkit_augmentations as augmentations
from segkit.contracts import Patch

NONE = {"missing": 0.0, "contrast": 0.0, "defocus": 0.0, "jitter": 0.0, "slip": 0.0}


def make(shape=(12, 32, 32), channels=2, voxel_size=(40.0, 8.0, 8.0)):
    """Return a patch in which image and labels hold the place within a section, and sections differ."""
    y, x = np.indices(shape[1:])
    labels = np.broadcast_to(y * 100 + x, shape).astype(np.uint64) + np.uint64(2**60)
    noise = np.random.default_rng(0).normal(size=(channels, *shape)).astype(np.float32)
    return Patch(noise, labels, np.ones(shape, bool), voxel_size, "a stack")


def changed_sections(before, after):
    return ~(before == after).all((-1, -2)).reshape(-1, before.shape[-3]).all(0)


def test_lost_sections_are_as_frequent_as_asked_and_labels_stay():
    patch, lose = make(), augmentations.slices(**NONE | {"missing": 0.25})
    lost = []
    for seed in range(60):
        result = lose(patch, np.random.default_rng(seed))
        assert np.array_equal(result.labels, patch.labels)
        assert result.mask.all()
        changed = changed_sections(patch.raw, result.raw)
        lost.append(changed.mean())
        for z in np.flatnonzero(changed):
            assert np.ptp(result.raw[:, z]) == 0
            assert patch.raw.min() <= result.raw[0, z, 0, 0] <= patch.raw.max()
    assert np.mean(lost) == pytest.approx(0.25, abs=0.06)


def test_some_section_is_always_left():
    for fill in ("blank", "noise", "repeat"):
        patch, lose = make((4, 8, 8)), augmentations.slices(**NONE | {"missing": 1.0, "fill": fill})
        result = lose(patch, np.random.default_rng(0))
        assert np.array_equal(result.raw[:, 0], patch.raw[:, 0])
        assert not np.array_equal(result.raw[:, 1], patch.raw[:, 1])


def test_what_is_seen_instead_of_a_lost_section():
    patch = make()
    noisy = augmentations.slices(**NONE | {"missing": 0.3, "fill": "noise"})(patch, np.random.default_rng(1))
    for z in np.flatnonzero(changed_sections(patch.raw, noisy.raw)):
        assert noisy.raw[:, z].std() == pytest.approx(1, abs=0.1)
    again = augmentations.slices(**NONE | {"missing": 0.3, "fill": "repeat"})(patch, np.random.default_rng(1))
    changed = changed_sections(patch.raw, again.raw)
    assert changed.any()
    for z in np.flatnonzero(changed):
        others = np.flatnonzero(~changed)
        nearest = others[np.abs(others - z).argmin()]
        assert np.array_equal(again.raw[:, z], patch.raw[:, nearest])


def test_a_slip_takes_labels_along_and_masks_what_comes_in():
    patch = make(channels=1)
    patch = replace(patch, raw=(patch.labels[None] - np.uint64(2**60)).astype(np.float32))
    slip = augmentations.slices(**NONE | {"slip": 0.2, "shift": 5.0})
    moved = 0
    for seed in range(20):
        result = slip(patch, np.random.default_rng(seed))
        assert np.array_equal(result.labels - np.uint64(2**60), result.raw[0].astype(np.uint64))
        assert np.array_equal(result.labels[0], patch.labels[0])
        unknown = ~result.mask
        moved += unknown.any()
        for z in range(1, 12):
            shift = result.labels[z][result.mask[z]].astype(np.int64) - patch.labels[z][result.mask[z]].astype(np.int64)
            assert len(set(shift.tolist())) == 1  # one displacement for all that is known
    assert moved > 10


def test_jitter_moves_the_image_of_single_sections_only():
    patch = make()
    tremble = augmentations.slices(**NONE | {"jitter": 0.2, "shift": 4.0})
    found = 0
    for seed in range(20):
        result = tremble(patch, np.random.default_rng(seed))
        assert np.array_equal(result.labels, patch.labels)
        assert result.mask.all()
        for z in np.flatnonzero(changed_sections(patch.raw, result.raw)):
            shifts = [
                (dy, dx)
                for dy in range(-4, 5)
                for dx in range(-4, 5)
                if np.array_equal(result.raw[:, z, 4:-4, 4:-4], patch.raw[:, z, 4 + dy : 28 + dy, 4 + dx : 28 + dx])
            ]
            assert len(shifts) == 1
            found += 1
    assert 10 < found < 100


def test_shifts_are_as_long_in_space_along_both_axes():
    patch, slip = make((2, 64, 64), voxel_size=(40.0, 16.0, 4.0)), augmentations.slices(**NONE | {"slip": 1.0})
    known = np.array([slip(patch, np.random.default_rng(seed)).mask[1] for seed in range(60)])
    rows, columns = (~known.any(2)).sum(1).max(), (~known.any(1)).sum(1).max()
    assert columns == 6
    assert rows in (1, 2)


def test_contrast_and_defocus_take_something_away_from_single_sections():
    patch = make()
    pale = augmentations.slices(**NONE | {"contrast": 0.3})(patch, np.random.default_rng(0))
    soft = augmentations.slices(**NONE | {"defocus": 0.3})(patch, np.random.default_rng(0))
    for result, least in ((pale, 0.25), (soft, 0.05)):
        changed = changed_sections(patch.raw, result.raw)
        assert 0 < changed.sum() < 12
        assert np.array_equal(result.labels, patch.labels)
        ratio = result.raw[:, changed].std((0, 2, 3)) / patch.raw[:, changed].std((0, 2, 3))
        assert (ratio < 1.001).all()
        assert (ratio > least).all()


def test_a_single_section_has_no_neighbours_to_learn_from():
    patch = make((1, 16, 16))
    result = augmentations.slices(missing=1.0, contrast=1.0, jitter=1.0)(patch, np.random.default_rng(0))
    assert np.array_equal(result.raw, patch.raw)


def test_labels_that_are_an_image_slip_too():
    patch = make(channels=1)
    patch = replace(patch, labels=patch.raw.copy())
    result = augmentations.slices(**NONE | {"slip": 0.5})(patch, np.random.default_rng(0))
    assert np.array_equal(result.labels, result.raw)
    assert not result.mask.all()


def test_cutout_hides_boxes_and_keeps_the_rest():
    patch, hide = make(channels=3), augmentations.cutout(boxes=3, size=0.5, probability=1.0)
    mean = patch.raw.mean((1, 2, 3))
    shares = []
    for seed in range(30):
        result = hide(patch, np.random.default_rng(seed))
        hidden = result.raw[0] != patch.raw[0]
        assert np.array_equal(hidden, result.raw[2] != patch.raw[2])
        assert np.allclose(result.raw[:, hidden], mean[:, None], atol=1e-6)
        assert np.array_equal(result.labels, patch.labels)
        assert result.mask.all()
        shares.append(hidden.mean())
    assert 0 < np.mean(shares) < 3 * 0.5**3
    assert max(shares) > 0


def test_a_channel_is_always_left():
    patch, hide = make(channels=3), augmentations.cutout(boxes=0, channels=1.0, probability=1.0)
    for seed in range(10):
        result = hide(patch, np.random.default_rng(seed))
        flat = [np.ptp(channel) < 1e-6 for channel in result.raw]
        assert sum(flat) == 2
    one = hide(make(channels=1), np.random.default_rng(0))
    assert np.ptp(one.raw) > 1
