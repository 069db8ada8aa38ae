"""Balanced sampling: classes or objects equally often, whatever their size; and labels that are sparse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

from segkit import Sample, Volume
from segkit.contracts import Normalization
from segkit.errors import DataError, UsageError
from segkit.recipe import Selection
from segkit.sampling import LabelIndex, Sampler
from segkit.sampling._balance import IdPlaces

SCALING = Normalization((0.0,), (1.0,))


def made(labels, chunks=(4, 8, 8), **more) -> Sample:
    volumes = [Volume.from_array(array, chunks=chunks) for array in (np.zeros(labels.shape, np.uint8), labels)]
    return Sample(more.pop("name", "test"), *volumes, **more)


@pytest.fixture
def task(tiny):
    return Selection("foreground").build("tasks")


@pytest.fixture
def classes() -> np.ndarray:
    """Class 1 fills a quarter, class 2 a row, class 7 a single voxel."""
    labels = np.zeros((8, 16, 16), np.uint32)
    labels[:4, :8] = 1
    labels[6, 3] = 2
    labels[7, 15, 15] = 7
    return labels


def sampler_of(samples, task, **options) -> Sampler:
    index = LabelIndex.build(samples, task.foreground, ids=True)
    return Sampler(samples, task, index, SCALING, **{"patch_shape": (1, 1, 1), "foreground": 1.0, **options})


def shares(sampler, number, value) -> dict:
    """How often each value of the voxel that a patch of one voxel lies on was drawn."""
    life = sampler.reuse.times * sampler.reuse.spread
    found = Counter(value(*sampler.position(each * life, 0)) for each in range(number))
    return {key: count / number for key, count in sorted(found.items())}


@pytest.mark.parametrize("reuse", [1, 4])
def test_classes_are_equally_often(task, classes, reuse):
    samples = [made(classes, name="a"), made(np.where(classes == 7, 7, 0).astype(np.uint32), name="b", weight=3.0)]
    sampler = sampler_of(samples, task, balance="classes", reuse=reuse)
    found = shares(sampler, 1500, lambda which, box: int(samples[which].labels.read(box).item()))
    assert found == pytest.approx({1: 1 / 3, 2: 1 / 3, 7: 1 / 3}, abs=0.045)
    # Within a class, samples come by weight and voxels: 7 is one voxel in both.
    of_seven = [w for w, box in (sampler.position(s * 64, 0) for s in range(600)) if samples[w].labels.read(box) == 7]
    assert np.mean(of_seven) == pytest.approx(0.75, abs=0.09)


def test_class_weights(task, classes):
    sampler = sampler_of([made(classes)], task, balance="classes", class_weights=(0, 1, 3, 0, 0, 0, 0, 0))
    found = shares(sampler, 1200, lambda which, box: int(classes[box.slices].item()))
    assert found == pytest.approx({1: 0.25, 2: 0.75}, abs=0.045)
    with pytest.raises(UsageError, match=r"has 2 weights, for labels of 0 to 1, but there are labels from 1 to 7"):
        sampler_of([made(classes)], task, balance="classes", class_weights=(1.0, 1.0))
    with pytest.raises(UsageError, match="is 0 for every class"):
        sampler_of([made(classes)], task, balance="classes", class_weights=(1.0, *(0.0,) * 7))


def test_the_share_of_foreground_is_kept(task, classes):
    sampler = sampler_of([made(classes)], task, balance="classes", foreground=0.5)
    found = shares(sampler, 1500, lambda which, box: int(classes[box.slices].item()))
    of_all = 0.5 * np.bincount(classes.ravel()) / classes.size
    assert found[7] == pytest.approx(0.5 / 3 + of_all[7], abs=0.04)
    assert found[0] == pytest.approx(of_all[0], abs=0.05)


@pytest.mark.parametrize("reuse", [1, 4])
def test_objects_are_equally_often_in_every_sample(task, classes, reuse):
    """Ids 1, 2 and 7 in one sample and 1 in another are four objects; their samples' weights count."""
    other = np.zeros((4, 8, 8), np.uint32)
    other[:2] = 1
    samples = [made(classes), made(other, name="other", weight=2.0)]
    sampler = sampler_of(samples, task, balance="objects", reuse=reuse)
    found = shares(sampler, 1500, lambda which, box: (which, int(samples[which].labels.read(box).item())))
    assert found == pytest.approx({(0, 1): 0.2, (0, 2): 0.2, (0, 7): 0.2, (1, 1): 0.4}, abs=0.045)


def test_an_object_over_many_blocks_is_drawn_evenly(task):
    labels = np.zeros((4, 8, 64), np.uint64)
    labels[1, 2] = 2**40 + 5
    labels[0, 0, 0] = 9
    sampler = sampler_of([made(labels)], task, balance="objects")
    places = [box.start for _, box in (sampler.position(step, 0) for step in range(3000))]
    line = np.bincount([x for z, y, x in places if (z, y) == (1, 2)], minlength=64)
    assert line.sum() == pytest.approx(1500, abs=150)
    assert ((line - line.mean()) ** 2 / line.mean()).sum() < 64 + 5 * np.sqrt(2 * 64)


def test_without_foreground_or_ids(task):
    nothing = made(np.zeros((4, 8, 8), np.uint8))
    assert sampler_of([nothing], task, balance="objects").training_example(0, 0).target.sum() == 0
    image = replace(nothing, labels=Volume.from_array(np.ones((4, 8, 8), np.float32), chunks=(4, 8, 8)))
    with pytest.raises(UsageError, match="labels of sample 'test' are an image"):
        LabelIndex.build([image], task.foreground, ids=True)


def test_labels_that_change_underway_are_said_to(task):
    labels = np.ones((4, 8, 8), np.uint8)
    for reuse in (1, 4):
        sampler = sampler_of([made(labels)], task, reuse=reuse)
        labels[:] = 0
        with pytest.raises(DataError, match="have changed since they were counted"):
            sampler.training_example(0, 0)
        labels[:] = 1


def test_millions_of_objects(task):
    """Counts of a volume with 1.5 million objects, each in two blocks, are sorted and drawn from in seconds."""
    count, blocks = 1_500_000, 4096
    index = LabelIndex.build([made(np.ones((4, 8, 8), np.uint8))], task.foreground, ids=True)
    g = np.random.default_rng(0)
    ids = np.repeat(np.arange(1, count + 1), 2)
    pairs = np.stack([ids, np.tile([0, 1], count) + g.integers(0, blocks - 1, 2 * count), np.tile([1, 3], count)], 1)
    many = replace(index, pairs=pairs, sample_of=np.zeros(blocks, int))
    began = perf_counter()
    places = IdPlaces.of(many, [1.0], "objects")
    drawn = [places.draw(g) for _ in range(2000)]
    assert perf_counter() - began < 20
    assert np.mean([i for i, _ in drawn]) == pytest.approx(count / 2, rel=0.05)
    for chosen, block in drawn[:50]:
        assert block in pairs[2 * chosen - 2 : 2 * chosen, 1]


class Watched:
    """An array that remembers which regions were read."""

    def __init__(self, array) -> None:
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, []

    def __getitem__(self, key):
        self.read.append(tuple((s.start, s.stop) for s in key))
        return self.array[key]


@pytest.mark.parametrize("sparse", ["slices", "boxes"])
@pytest.mark.parametrize("reuse", [1, 4])
def test_sparse_annotation_is_cheap_and_exact(task, sparse, reuse):
    """Three labelled slices, or two boxes, of a volume: only there are labels read, and every labelled voxel counts alike."""
    shape = (24, 48, 48)
    mask = np.zeros(shape, np.uint8)
    if sparse == "slices":
        mask[2] = mask[11] = mask[20] = 1
    else:
        mask[0:2, 0:8, 0:8] = mask[20:22, 40:44, 30:40] = 1
    labels = Watched(np.ones(shape, np.uint8))
    raw = Volume.from_array(np.zeros(shape, np.uint8), chunks=(8, 8, 8))
    sample = Sample("sparse", raw, Volume(labels, chunks=(8, 8, 8)), Volume.from_array(mask, chunks=(8, 8, 8)))
    index = LabelIndex.build([sample], task.foreground)
    lattice = index.lattices[0]
    labelled = [box for box in lattice if mask[box.slices].any()]
    assert len(labels.read) == len(labelled) == np.count_nonzero(index.known)
    assert index.known.sum() == mask.sum()
    sampler = Sampler([sample], task, index, SCALING, patch_shape=(1, 1, 1), reuse=reuse)
    labels.read.clear()
    counts = np.zeros(shape)
    life = sampler.reuse.times * sampler.reuse.spread
    for step in range(1500):
        _, box = sampler.position(step * life, 0)
        counts[box.start] += 1
    assert not counts[mask == 0].any()
    coarse = counts.reshape(3, 8, 6, 8, 6, 8).sum((1, 3, 5))
    wanted = 1500 * mask.reshape(3, 8, 6, 8, 6, 8).sum((1, 3, 5)) / mask.sum()
    there = wanted > 0
    chi = ((coarse - wanted)[there] ** 2 / wanted[there]).sum()
    assert chi < there.sum() + 5 * np.sqrt(2 * there.sum())
    if reuse == 1:
        starts = {tuple(a // 8 for a, _ in key) for key in labels.read}
        assert starts <= {tuple(a // 8 for a in box.start) for box in labelled}
    else:
        for generation in range(50):
            assert mask[sampler.neighbourhoods.drawn(generation, 0).box.slices].any()
