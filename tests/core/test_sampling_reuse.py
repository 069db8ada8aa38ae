"""Patches out of shared neighbourhoods: each as likely as alone, a pure function of the address, within a budget."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2

from segkit import Sample, Volume
from segkit.contracts import Normalization
from segkit.geometry import Box
from segkit.recipe import Selection
from segkit.sampling import LabelIndex, Sampler, keep_decoded, load_batches
from segkit.sampling._reuse import Neighbourhoods

SCALING = Normalization((0.0,), (1.0,))


def made(raw, labels=None, chunks=(4, 4, 4), **more) -> Sample:
    stored = None if labels is None else Volume.from_array(labels, chunks=chunks)
    return Sample(more.pop("name", "test"), Volume.from_array(raw, chunks=chunks), stored, **more)


@pytest.fixture
def task(tiny):
    return Selection("foreground").build("tasks")


def sampler_of(samples, task, *, ids=False, **options) -> Sampler:
    index = LabelIndex.build(samples, task.foreground, ids=ids)
    return Sampler(samples, task, index, SCALING, **{"patch_shape": (2, 3, 2), "reuse": 4, **options})


def expected(weights: np.ndarray, patch: tuple[int, int, int]) -> np.ndarray:
    """How likely each place of a patch is, found by trying every voxel at every place of the patch."""
    last = [n - p for n, p in zip(weights.shape, patch, strict=True)]
    places = np.zeros([n + 1 for n in last])
    for voxel in np.argwhere(weights):
        for offset in product(*map(range, patch)):
            places[tuple(np.clip(voxel - offset, 0, last))] += weights[tuple(voxel)]
    return places / places.sum()


def chi_square_p(counts: np.ndarray, chances: np.ndarray) -> float:
    assert not counts[chances == 0].any()
    counts, chances = counts[chances > 0], chances[chances > 0]
    wanted = chances * counts.sum()
    return float(chi2.sf(((counts - wanted) ** 2 / wanted).sum(), len(wanted) - 1))


def independent_starts(sampler: Sampler, number: int):
    """Places of patches that share no neighbourhood, at all stages of one's life."""
    life = sampler.reuse.times * sampler.reuse.spread
    for each in range(number):
        yield sampler.position((each // 4) * 3 * life + each % life, each % 4)


def cases(shape=(7, 9, 8)):
    g = np.random.default_rng(2)
    blob = np.zeros(shape, np.uint8)
    blob[1:3, 2:8, 5:] = 1
    blob[6, 0, 0] = 1
    holes = np.where(g.random(shape) < 0.9, 255, 0).astype(np.uint8)
    holes[3, 3, 3] = 0
    return {"anywhere": (0.0, np.zeros(shape, np.uint8)), "foreground": (1.0, blob), "sparse": (0.0, holes)}


@pytest.mark.parametrize("case", cases())
def test_each_place_is_as_likely_as_without_reuse(task, case):
    share, labels = cases()[case]
    sampler = sampler_of([made(labels, labels, unlabelled=255)], task, foreground=share, seed=5)
    assert sampler.reuse.times == 4
    counted = labels == 1 if share else labels != 255
    chances = expected(counted.astype(float), (2, 3, 2))
    counts = np.zeros(chances.shape)
    for _, box in independent_starts(sampler, 2500):
        counts[box.start] += 1
    assert chi_square_p(counts, chances) > 1e-3


def test_samples_come_by_weight_and_labelled_voxels(task):
    small, large = np.zeros((4, 4, 4), np.uint8), np.zeros((8, 8, 8), np.uint8)
    samples = [made(small, small, name="small", weight=2.0), made(large, large, name="large")]
    sampler = sampler_of(samples, task, patch_shape=(2, 2, 2))
    found = [which for which, _ in independent_starts(sampler, 3000)]
    assert np.mean(found) == pytest.approx(512 / (512 + 128), abs=0.03)


def test_cells_follow_the_chunks_of_a_crop(task):
    whole = made(np.zeros((8, 16, 16), np.uint8), np.zeros((8, 16, 16), np.uint8), chunks=(8, 8, 8))
    box = Box((1, 3, 5), (8, 16, 16))
    crop = Sample("crop", whole.raw.crop(box), whole.labels.crop(box))
    assert crop.raw.chunk_start == (-1, -3, -5)
    sampler = sampler_of([crop], task, patch_shape=(1, 4, 4))
    near = [sampler.neighbourhoods.drawn(generation, 0).box for generation in range(30)]
    for box in near:  # patches that begin within one chunk of the store
        assert {(a + o) // 8 for a, o in zip(box.start, (1, 3, 5), strict=True)} <= {0, 1}
        ends = [(b - p + o) // 8 for b, p, o in zip(box.stop, (1, 4, 4), (1, 3, 5), strict=True)]
        assert ends == [(a + o) // 8 for a, o in zip(box.start, (1, 3, 5), strict=True)]
    chances = expected(np.ones(crop.raw.spatial_shape), (1, 4, 4))
    counts = np.zeros(chances.shape)
    for _, box in independent_starts(sampler, 2500):
        counts[box.start] += 1
    assert chi_square_p(counts, chances) > 1e-3


def noisy(rng, shape=(24, 24, 24)):
    raw = rng.integers(0, 255, shape, np.uint8)
    return [made(raw, (raw > 220).astype(np.uint8), chunks=(8, 8, 8))]


def test_patches_are_the_voxels_of_their_place(task, rng):
    samples = noisy(rng)
    sampler = sampler_of(samples, task, patch_shape=(4, 6, 5), foreground=0.5)
    for step in range(30):
        which, box = sampler.position(step, 1)
        patch = sampler.training_patch(step, 1)
        np.testing.assert_array_equal(patch.raw[0], samples[which].raw.read(box))
        np.testing.assert_array_equal(patch.labels, samples[which].labels.read(box))
        assert patch.mask.all()
        example = sampler.training_example(step, 1)
        np.testing.assert_array_equal(example.raw[0], samples[which].raw.read(box).astype(np.float32))
        assert str(box) in example.origin


def test_the_same_address_gives_the_same_patch_in_any_order(task, rng):
    samples = noisy(rng)
    addresses = [(step, number) for step in range(24) for number in range(3)]
    forth = sampler_of(samples, task, foreground=0.5, patches=3)
    back = sampler_of(samples, task, foreground=0.5, patches=3)
    one = {address: forth.training_example(*address).raw for address in addresses}
    for address in reversed(addresses):
        np.testing.assert_array_equal(back.training_example(*address).raw, one[address])


def test_threads_change_nothing(task, rng):
    samples = noisy(rng)
    addresses = [[(step, number) for number in range(3)] for step in range(40)]
    one, many = (
        [
            batch.raw.numpy().copy()
            for batch in load_batches(
                addresses, sampler_of(samples, task, foreground=0.5, patches=3).training_example, workers=workers
            )
        ]
        for workers in (1, 4)
    )
    np.testing.assert_array_equal(one, many)


def test_batches_that_are_kept_stay_as_they_were(task, rng):
    sampler = sampler_of(noisy(rng), task)
    addresses = [[(step, number) for number in range(2)] for step in range(30)]
    kept = list(load_batches(addresses, sampler.training_example))
    for step, batch in enumerate(kept):
        for number in range(2):
            np.testing.assert_array_equal(batch.raw[number].numpy(), sampler.training_example(step, number).raw)


def test_the_budget_decides_speed_but_not_patches(task, rng):
    """What finds no room is decoded for one patch and let go; the patches are the same."""
    samples = noisy(rng)
    roomy = sampler_of(samples, task, foreground=0.5, patches=2)
    tight = sampler_of(samples, task, foreground=0.5, patches=2)
    size = roomy.neighbourhoods.drawn(0, 0).bytes_of(samples[0])
    object.__setattr__(tight.reuse, "budget", 4 * size)
    most = 0
    for step in range(40):
        for number in range(2):
            a, b = roomy.training_example(step, number), tight.training_example(step, number)
            np.testing.assert_array_equal(a.raw, b.raw)
            most = max(most, tight.neighbourhoods.nbytes)
    assert 0 < most <= 4 * size
    assert roomy.neighbourhoods.nbytes > 4 * size


def test_what_is_over_leaves_memory(task, rng):
    sampler = sampler_of(noisy(rng), task, reuse=2, patches=2)
    for step in range(200):
        for number in range(2):
            sampler.training_example(step, number)
        assert len(sampler.neighbourhoods._live) <= 2 * sampler.reuse.spread


def test_plans_fit_their_budget(task):
    raw = np.zeros((64, 128, 128), np.uint8)
    samples = [made(raw, raw, chunks=(64, 64, 64))]
    for megabytes in (16, 8, 4, 2, 1):
        sampler = sampler_of(samples, task, patch_shape=(16, 32, 32), patches=4, memory=megabytes * 2**20)
        if sampler.reuse.times == 1:
            assert megabytes <= 2
            continue
        sizes = [sampler.neighbourhoods.drawn(g, 0).bytes_of(samples[0]) for g in range(20)]
        assert (4 * sampler.reuse.spread + 2) * max(sizes) <= megabytes * 2**20
    assert sampler_of(samples, task, patch_shape=(64, 64, 64), memory=2**16).neighbourhoods is None


def test_ranks_draw_together_what_one_process_would(task, rng):
    samples = noisy(rng)
    one = sampler_of(samples, task, foreground=0.5, patches=4, processes=1)
    ranks = [sampler_of(samples, task, foreground=0.5, patches=2, processes=2) for _ in range(2)]
    for step in range(30):
        for number in range(4):
            assert ranks[number // 2].position(step, number) == one.position(step, number)
    # Each decodes its own neighbourhoods alone.
    assert len(ranks[0].neighbourhoods._live) <= 2 * ranks[0].reuse.spread


def test_patches_of_a_batch_have_neighbourhoods_of_their_own(task, rng):
    near: Neighbourhoods = sampler_of(noisy(rng), task, reuse=6, patches=5).neighbourhoods
    served: dict[tuple[int, int], list[int]] = {}
    for step in range(400):
        keys = [near.address(step, number)[:2] for number in range(5)]
        assert len(set(keys)) == 5
        for key in keys:
            served.setdefault(key, []).append(step)
    whole = [steps for steps in served.values() if steps[0] > 60 and steps[-1] < 340]
    assert whole
    assert {len(steps) for steps in whole} == {6}


def test_in_memory_arrays_need_no_reuse(task):
    raw = np.zeros((8, 8, 8), np.uint8)
    plain = Sample("memory", Volume.from_array(raw), Volume.from_array(raw))
    assert sampler_of([plain], task).neighbourhoods is None


def test_small_data_are_decoded_once(task, rng):
    class Counting:
        def __init__(self, array):
            self.array, self.shape, self.dtype, self.reads = array, array.shape, array.dtype, 0

        def __getitem__(self, key):
            self.reads += 1
            return self.array[key]

    raw, labels = (Counting(rng.integers(0, 2, (16, 16, 16), np.uint8)) for _ in range(2))
    sample = Sample("test", *(Volume(each, chunks=(8, 8, 8)) for each in (raw, labels)))
    assert keep_decoded([sample], 16**3)[1] == 0
    kept, size = keep_decoded([sample], 2 * 16**3)
    assert size == 2 * 16**3
    sampler = sampler_of(kept, task, reuse=1, foreground=0.5)
    plain = sampler_of([sample], task, reuse=1, foreground=0.5)
    before = raw.reads, labels.reads
    for step in range(20):
        example = sampler.training_example(step, 0)
        np.testing.assert_array_equal(example.raw, plain.training_example(step, 0).raw)
    assert raw.reads - before[0] == 21  # 20 by the sampler that keeps nothing
    assert sampler.training_patch(0, 0).raw.flags.writeable
    assert keep_decoded(kept, 0)[1] == 0


def test_pieces_of_one_image_are_decoded_with_it(rng):
    class Slices:
        """Hands out windows of whole decoded slices, as a folder of pictures does."""

        def __init__(self, array):
            self.array, self.shape, self.dtype, self.reads = array, array.shape, array.dtype, 0

        def __getitem__(self, key):
            self.reads += 1
            return self.array[key[0]].copy()[:, key[1], key[2]]

    voxels = rng.integers(0, 255, (4, 16, 16), np.uint8)
    image = Volume(Slices(voxels), chunks=(1, 16, 16))
    boxes = [Box.of_shape((1, 8, 8), (z, y, x)) for z in range(4) for y in (0, 8) for x in (0, 8)]
    pieces = [Sample(str(box), image.crop(box)) for box in boxes]
    kept, size = keep_decoded(pieces, 4 * 16 * 16)
    assert size == 4 * 16 * 16
    for sample, box in zip(kept, boxes, strict=True):
        np.testing.assert_array_equal(sample.raw.read(), voxels[box.slices])
    assert image.array.reads == 1

    few, size = keep_decoded(pieces[:2], 4 * 16 * 16)  # too little of it to decode it all
    assert size == 2 * 8 * 8
    assert few[0].raw.read().nbytes == 8 * 8
    assert few[0].raw.array._voxels.base is None
