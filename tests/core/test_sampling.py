"""Sampling: a pure function of the address, uniform over what it promises, and never beyond what is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segkit import Sample, Volume
from segkit.errors import DataError, UsageError
from segkit.geometry import Box
from segkit.recipe import Selection
from segkit.sampling import (
    LabelIndex,
    Sampler,
    check_patch_shape,
    estimate_normalization,
    load_batches,
    validation_boxes,
)


def made(raw, labels=None, **more) -> Sample:
    chunks = (8, 8, 8)
    return Sample(
        "test",
        Volume.from_array(raw, chunks=chunks),
        None if labels is None else Volume.from_array(labels, chunks=chunks),
        **more,
    )


@pytest.fixture
def task(tiny):
    return Selection("foreground").build("tasks")


def sampler_of(samples, task, **options) -> Sampler:
    index = LabelIndex.build(samples, task.foreground)
    scaling = estimate_normalization(samples, "none", 0, "mask")
    return Sampler(samples, task, index, scaling, **{"patch_shape": (4, 4, 4), **options})


def test_the_same_address_gives_the_same_patch_whatever_came_before(task, rng):
    raw = rng.integers(0, 255, (16, 20, 24), np.uint8)
    sampler = sampler_of([made(raw, (raw > 200).astype(np.uint8))], task, foreground=0.5, seed=4)
    first = sampler.training_example(7, 3)
    for step in range(5):
        sampler.training_example(step, 0)
    again = sampler.training_example(7, 3)
    np.testing.assert_array_equal(first.raw, again.raw)
    assert first.origin == again.origin
    assert sampler.training_example(7, 4).origin != first.origin


def test_threads_change_nothing(task, rng):
    raw = rng.integers(0, 255, (16, 20, 24), np.uint8)
    sampler = sampler_of([made(raw, (raw > 200).astype(np.uint8))], task, foreground=0.5)
    addresses = [[(step, number) for number in range(3)] for step in range(6)]
    one, many = (
        [batch.raw.numpy() for batch in load_batches(addresses, sampler.training_example, workers=workers)]
        for workers in (1, 4)
    )
    assert len(one) == 6
    np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("options", [{}, {"patch_shape": (1, 6, 5), "planes": "all"}])
def test_images_are_normalised_in_their_place_in_the_batch(task, rng, options, mirrored):
    """Also where an augmentation returns another look at that very place."""
    raw = rng.integers(0, 255, (16, 20, 24), np.uint8)
    chain = [("mirrored", lambda patch, g: replace(patch, raw=patch.raw[..., ::-1]))] if mirrored else []
    sampler, plain = (
        sampler_of([made(raw, (raw > 200).astype(np.uint8))], task, augmentations=one, **options) for one in (chain, [])
    )
    examples = {}

    def read(step, number, room):
        return examples.setdefault((step, number), sampler.training_example(step, number, room))

    addresses = [[(step, number) for number in range(2)] for step in range(12)]
    for step, batch in enumerate(load_batches(addresses, read)):
        assert {part.dtype for part in (batch.raw, batch.target, batch.mask)} == {torch.float32}
        for number in range(2):
            alone = plain.training_example(step, number)
            np.testing.assert_array_equal(batch.raw[number], alone.raw[..., ::-1] if mirrored else alone.raw)
            np.testing.assert_array_equal(batch.target[number], alone.target)
            np.testing.assert_array_equal(batch.mask[number, 0], alone.mask)
            assert np.shares_memory(batch.raw[number].numpy(), examples[step, number].raw)


def test_every_labelled_voxel_is_as_likely_as_any_other(task):
    """Chi-squared over where the drawn voxel falls, for patches of one voxel."""
    labels = np.zeros((4, 16, 16), np.uint8)
    sampler = sampler_of([made(labels.copy(), labels)], task, patch_shape=(1, 1, 1))
    hits = np.zeros(labels.shape)
    for number in range(6_000):
        hits[sampler.position(0, number)[1].start] += 1
    expected = 6_000 / hits.size
    chi = ((hits - expected) ** 2 / expected).sum()
    assert abs(chi - hits.size) < 5 * np.sqrt(2 * hits.size)


def test_sparse_labels_are_found_and_foreground_is_preferred(task):
    """Three labelled rows in a volume, one foreground voxel in each: every patch holds labels."""
    labels = np.full((32, 32, 32), 255, np.uint8)
    labels[3, 4], labels[20, 30], labels[31, 0] = 0, 0, 0
    labels[3, 4, 5] = labels[20, 30, 31] = labels[31, 0, 0] = 1
    sampler = sampler_of([made(labels.copy(), labels, unlabelled=255)], task, foreground=1.0)
    found = set()
    for number in range(60):
        example = sampler.training_example(0, number)
        assert example.mask.any()
        assert (example.target[0] * example.mask).sum() >= 1
        found.add(sampler.position(0, number)[1].start[0] // 10)
    assert len(found) == 3


def test_a_mask_volume_and_its_absence_of_labels_are_respected(task):
    labels = np.ones((8, 8, 8), np.uint8)
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[:2] = 1
    sample = replace(made(labels.copy(), labels), mask=Volume.from_array(mask))
    sampler = sampler_of([sample], task)
    starts = {sampler.position(0, number)[1].start[0] for number in range(40)}
    assert max(starts) <= 1
    with pytest.raises(DataError, match=r"no labelled voxel .*'test'"):
        LabelIndex.build([replace(sample, mask=Volume.from_array(mask * 0))], task.foreground)
    with pytest.raises(DataError, match="no labelled voxel"):
        LabelIndex.build([made(labels)], task.foreground)


def test_a_patch_that_does_not_fit_is_refused_with_one_that_does():
    with pytest.raises(UsageError, match=r"`sampling.patch_shape` is \(4, 16, 4\).*\(4, 8, 4\) would fit"):
        check_patch_shape([made(np.zeros((8, 8, 8)))], (4, 16, 4))


def test_validation_covers_every_voxel_once_and_masks_what_lies_beyond(task):
    labels = np.ones((10, 9, 7), np.uint8)
    samples = [made(labels.copy(), labels)]
    sampler = sampler_of(samples, task)
    boxes = validation_boxes(samples, sampler.index, (4, 4, 4), None)
    seen = sum(int(sampler.example_at(which, box).mask.sum()) for which, box in boxes)
    assert seen == labels.size
    assert len(validation_boxes(samples, sampler.index, (4, 4, 4), 5)) == 5


def test_normalization_is_that_of_the_data(rng):
    raw = rng.normal(50, 7, (2, 32, 64, 64)).astype(np.float32)
    raw[1] *= 100
    sample = Sample("two channels", Volume.from_array(raw, axes="czyx"))
    scaling = estimate_normalization([sample], "zscore", 0, "refuse")
    np.testing.assert_allclose(scaling.centre, raw.mean(axis=(1, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(scaling.scale, raw.std(axis=(1, 2, 3)), rtol=1e-3)


def test_compressed_normalization_keeps_contrast_beside_what_is_bright(rng):
    raw = rng.normal(0.02, 0.005, (2, 32, 64, 64)).astype(np.float32)
    raw[1] += 7
    raw[:, :4] = 90.0  # an eighth is cloud
    raw[:, 10, 0, 0] = np.nan
    sample = Sample("bright", Volume.from_array(raw, axes="czyx"))
    scaling = estimate_normalization([sample], "asinh", 0, "mask")
    assert scaling.compressed
    np.testing.assert_allclose(scaling.centre, [0.02, 7.02], atol=0.002)
    np.testing.assert_allclose(scaling.scale, [0.005, 0.005], rtol=0.25)  # the cloud widens it a little
    seen = scaling(raw)
    expected = np.arcsinh((90 - scaling.centre[0]) / scaling.scale[0])
    np.testing.assert_allclose(seen[0, 0], expected, rtol=1e-5)
    assert expected < 12
    assert np.nanstd(seen[0, 4:]) > 0.6
    # Where more than half is one value, the median distance is 0.
    raw = np.zeros((1, 32, 64, 64), np.float32)
    raw[0, :10] = rng.normal(3, 1, (10, 64, 64))
    flat = Sample("dark", Volume.from_array(raw, axes="czyx"))
    np.testing.assert_allclose(estimate_normalization([flat], "asinh", 0, "refuse").scale, raw.std(), rtol=1e-3)


def test_a_constant_image_is_refused_and_named():
    with pytest.raises(DataError, match=r"Channel 0 of the image is constant \(7 everywhere"):
        estimate_normalization([made(np.full((8, 8, 8), 7, np.uint8))], "zscore", 0, "refuse")


def test_different_channels_are_refused():
    samples = [made(np.zeros((8, 8, 8))), Sample("rgb", Volume.from_array(np.zeros((3, 8, 8, 8))))]
    with pytest.raises(DataError, match="'rgb' has 3 channels, but 'test' has 1"):
        estimate_normalization(samples, "none", 0, "refuse")


def test_voxels_that_are_not_finite_are_refused_by_place_or_left_out(task):
    raw = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    raw[2, 3, 4] = np.nan
    labels = np.ones((8, 8, 8), np.uint8)
    with pytest.raises(DataError, match=r"1 voxels that are NaN.*\(2, 3, 4\).*non_finite"):
        estimate_normalization([made(raw, labels)], "zscore", 0, "refuse")
    samples = [made(raw, labels)]
    sampler = sampler_of(samples, task, patch_shape=(8, 8, 8), non_finite="mask")
    example = sampler.example_at(0, Box.of_shape((8, 8, 8)))
    assert np.isfinite(example.raw).all()
    assert not example.mask[2, 3, 4]
    assert example.mask.sum() == 511
    with pytest.raises(DataError, match=r"\(2, 3, 4\)"):
        sampler_of(samples, task, patch_shape=(8, 8, 8)).training_example(0, 0)


def test_extents_that_differ_are_refused():
    with pytest.raises(DataError, match=r"extent \(8, 8, 8\).*labels array have \(8, 8, 9\)"):
        made(np.zeros((8, 8, 8)), np.zeros((8, 8, 9)))


def test_validation_looks_at_labelled_patches_only_however_sparse(task):
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[0, 3, 60] = labels[0, 40, 5] = 1
    raw = Volume.from_array(np.zeros((1, 64, 64), np.float32))
    samples = [Sample("sparse", raw, Volume.from_array(labels), unlabelled=0)]
    index = LabelIndex.build(samples, task.foreground)
    boxes = validation_boxes(samples, index, (1, 8, 8), None)
    assert sorted(box.start for _, box in boxes) == [(0, 0, 56), (0, 40, 0)]
