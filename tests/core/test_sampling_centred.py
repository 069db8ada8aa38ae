"""Patches that are about their middle voxel: it is the one that was drawn, whatever is read together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from segkit import Sample, Volume
from segkit.contracts import Normalization
from segkit.geometry import Box
from segkit.recipe import Selection
from segkit.sampling import LabelIndex, Sampler, validation_boxes

SHAPE, PATCH = (12, 14, 16), (5, 7, 6)


@pytest.fixture
def task(tiny):
    built = Selection("foreground").build("tasks")
    built.centred = True
    return built


def sample(chunks=(4, 5, 6), shape=SHAPE) -> Sample:
    """Three objects of 8, 60 and 700 voxels, one of them in a corner, and background."""
    labels = np.zeros(shape, np.uint32)
    labels[:2, :2, :2] = 3
    labels[4:8, 3:6, 5:10] = 2**31 + 5
    labels[2:, 8:, 1:14] = 9
    raw = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    return Sample("test", Volume.from_array(raw, chunks=chunks), Volume.from_array(labels, chunks=chunks))


def sampler_of(task, **options) -> Sampler:
    samples = [sample()]
    index = LabelIndex.build(samples, task.foreground, ids=True)
    return Sampler(samples, task, index, Normalization((0.0,), (1.0,)), patch_shape=PATCH, foreground=1.0, **options)


def middles(sampler: Sampler, number: int):
    """Labels at the middles of patches, drawn far enough apart to share nothing, and the patches."""
    life = sampler.reuse.times * sampler.reuse.spread
    for each in range(number):
        patch = sampler.training_patch((each // 4) * 3 * life + each % life, each % 4)
        yield int(patch.labels[tuple(n // 2 for n in PATCH)]), patch


@pytest.mark.parametrize("reuse", [1, 4])
def test_the_middle_is_an_object_and_objects_are_equally_frequent(task, reuse):
    sampler = sampler_of(task, balance="objects", reuse=reuse)
    assert sampler.reuse.times == reuse
    found = [label for label, _ in middles(sampler, 360)]
    assert set(found) == {3, 9, 2**31 + 5}
    counts = np.array([found.count(label) for label in set(found)])
    assert chi2.sf(((counts - 120) ** 2 / 120).sum(), 2) > 1e-3


@pytest.mark.parametrize("reuse", [1, 4])
def test_every_voxel_of_an_object_is_the_middle_equally_often(task, reuse):
    """Also those at the borders of the sample: patches reach beyond it, and what lies there is not known."""
    sampler = sampler_of(task, reuse=reuse, memory=2**20)
    counts = np.zeros(SHAPE, int)
    life = sampler.reuse.times * sampler.reuse.spread
    for each in range(2000):
        _, box = sampler.position((each // 4) * 3 * life + each % life, each % 4)
        counts[tuple(s + p // 2 for s, p in zip(box.start, PATCH, strict=True))] += 1
    chosen = sample().labels.read() != 0
    assert counts.sum() == counts[chosen].sum() == 2000
    expected = 2000 / chosen.sum()
    assert chi2.sf(((counts[chosen] - expected) ** 2 / expected).sum(), chosen.sum() - 1) > 1e-3


def test_what_lies_beyond_the_sample_is_not_known(task):
    for label, patch in middles(sampler_of(task, balance="objects"), 60):
        if label == 3:
            assert patch.mask.shape == PATCH
            assert not patch.mask.all()
            assert patch.mask[tuple(n // 2 for n in PATCH)]


def test_neighbourhoods_and_single_patches_hold_the_same_voxels(task):
    together = sampler_of(task, reuse=4)
    for each in range(20):
        which, box = together.position(each, 0)
        patch, alone = together.training_patch(each, 0), together.samples[which].read(box)
        np.testing.assert_array_equal(patch.mask, alone.mask)
        np.testing.assert_array_equal(patch.labels[patch.mask], alone.labels[alone.mask])
        np.testing.assert_array_equal(patch.raw[:, patch.mask], alone.raw[:, alone.mask])


def test_validation_stays_inside(task):
    samples = [sample(), sample(shape=(12, 14, 4))]
    index = LabelIndex.build(samples, task.foreground)
    boxes = validation_boxes(samples, index, PATCH, None, centred=True)
    assert all(box & samples[0].raw.box == box for which, box in boxes if which == 0)
    assert boxes[0] == (0, Box((0, 0, 0), PATCH))
    assert {box.start[2] for which, box in boxes if which == 1} == {-1}
    assert len(boxes) == len(validation_boxes(samples, index, PATCH, None))
