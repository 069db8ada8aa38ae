"""Splits: what leaks between their parts, how far an image correlates with itself, and whether the parts are alike."""

from __future__ import annotations

import json

import numpy as np
import pytest
from analysis_samples import discs, image, noise, sample, smooth

from segkit.analysis import autocorrelation, compare_parts, leakage, survey
from segkit.analysis._places import groups_of
from segkit.contracts import Sample
from segkit.errors import DataError
from segkit.geometry import Box
from segkit.recipe import Split
from segkit.sampling import split_samples
from segkit.volume import Volume


def test_the_autocorrelation_of_a_blurred_image_is_that_of_its_blur():
    blur = (2.0, 4.0, 6.0)
    by_axis = {found.axis: found for found in autocorrelation([sample("s", smooth(0, (48, 96, 96), blur))])}
    for axis, sigma in zip("zyx", blur, strict=True):
        # Gaussian noise blurred by sigma correlates as exp(-d^2 / (4 sigma^2)).
        assert by_axis[axis].half == pytest.approx(2 * sigma * np.sqrt(np.log(2)), abs=1.6)
        assert by_axis[axis].tenth == pytest.approx(2 * sigma * np.sqrt(np.log(10)), rel=0.3, abs=1)
        assert by_axis[axis].at(0) == 1


def test_noise_does_not_shorten_the_correlation():
    clean = smooth(0, (1, 160, 160), (0, 5, 5)).astype(np.float32)
    noisy = clean + np.random.default_rng(1).normal(0, 40, clean.shape).astype(np.float32)
    found = [{c.axis: c.half for c in autocorrelation([sample(n, raw)])} for n, raw in (("a", clean), ("b", noisy))]
    assert found[1]["x"] == pytest.approx(found[0]["x"], abs=3)


def tiles_of(volume, side):
    _, height, width = volume.spatial_shape
    for z in range(volume.spatial_shape[0]):
        for y in range(0, height, side):
            for x in range(0, width, side):
                box = Box.of_shape((1, side, side), (z, y, x))
                yield Sample(f"volume [{box}]", volume.crop(box), volume.crop(box))


def test_random_tiles_of_a_volume_leak_and_its_far_end_does_not():
    raw = smooth(0, (48, 64, 64), 3)
    volume = image(raw, "volume")
    tiles = list(tiles_of(volume, 32))
    train, held_out = split_samples(tiles, Split(by="random"), (1, 32, 32))
    found = leakage(train, held_out)
    assert found.verdict == "massive"
    assert found.neighbours == len(held_out)
    assert found.near_half > 0.9
    assert len(found.twins) > 0.8 * len(held_out)
    assert found.overlapping == 0
    told = " ".join(found.sentences())
    assert f"{len(held_out)} of {len(held_out)} held-out samples lie next to training samples" in told
    assert "Split by 'end' with a gap" in told
    whole = [Sample("volume", volume, volume)]
    near = leakage(*split_samples(whole, Split(by="end"), (4, 32, 32)))
    assert near.verdict in ("some", "massive")
    assert near.gap == (0, 0, 0)
    reach = max(c.tenth for c in near.correlation if c.axis == "z")
    far = leakage(*split_samples(whole, Split(by="end", gap=reach), (4, 32, 32)), correlation=near.correlation)
    assert far.verdict == "none"
    assert far.gap == (reach, 0, 0)
    assert json.dumps(found.as_dict(), allow_nan=False)


def test_overlapping_crops_and_copies_leak():
    volume = image(smooth(0, (1, 64, 96), (0, 2, 2)), "volume")
    cut = [Sample(f"c{x}", volume.crop(Box((0, 0, x), (1, 64, x + 48)))) for x in (0, 32)]
    found = leakage(cut[:1], cut[1:])
    assert found.overlapping == 1
    assert found.verdict == "massive"
    raws = [smooth(n, (48, 48), 3) for n in range(9)]
    samples = [sample(f"s{n}", raw) for n, raw in enumerate(raws)]
    copied = leakage(samples, [sample("again", raws[2]), sample("new", smooth(20, (48, 48), 3))])
    assert copied.copies == 1
    assert (copied.twins[0].held_out, copied.twins[0].train) == ("again", "s2")
    assert "an exact copy" in copied.sentences()[0]
    assert leakage(samples[:5], samples[5:]).verdict == "none"
    with pytest.raises(DataError, match=r"set split\.share"):
        leakage(samples, [])


def test_arrays_in_memory_are_not_taken_for_one_another():
    samples = [Sample(f"s{n}", Volume.from_array(smooth(n, (48, 48), 3))) for n in range(6)]
    found = leakage(samples[:3], samples[3:])
    assert found.overlapping == 0
    assert found.gap is None


def test_places_on_a_map_are_neighbours_across_files():
    def scene(name, east, seed):
        about = {"crs": "EPSG:32616", "transform": [10.0, 0.0, east, 0.0, -10.0, 500.0]}
        raw = Volume.from_array(smooth(seed, (48, 48), 4), source=name, metadata={"georeference": about})
        return Sample(name, raw)

    west = [scene(f"S2_{n}", 5000.0 * n, n) for n in range(4)]
    beside = leakage(west, [scene("S2_9", 480.0, 9)])
    assert beside.mapped
    assert beside.neighbours == 1
    assert "on the same map" in " ".join(beside.sentences())
    assert leakage(west, [scene("S2_9", 90000.0, 9)]).verdict == "none"


def test_groups_are_what_names_begin_with():
    names = ["S2_12-12-20_16PCC_26.tif", "S2_12-12-20_16PCC_6.tif", "S2_14-9-18_16PCC_15.tif"]
    assert groups_of(names) == ["S2_12-12-20_16PCC"] * 2 + ["S2_14-9-18_16PCC"]
    assert groups_of(["a_x0_y256.png", "a_x256_y0.png", "b_x0_y0.png"]) == ["a", "a", "b"]
    assert groups_of(["train_001.png", "train_002.png"]) == ["train_001.png", "train_002.png"]
    shared = leakage(
        [sample(names[0], smooth(0, (48, 48), 3)), sample(names[2], smooth(2, (48, 48), 3))],
        [sample(names[1], smooth(1, (48, 48), 3))],
    )
    assert shared.verdict == "suspected"
    assert shared.groups == ("S2_12-12-20_16PCC",)
    assert "Split by 'groups'" in " ".join(shared.sentences())


def test_parts_are_compared():
    samples = [sample(f"s{n}", noise(n, (40, 40)), discs(n)) for n in range(36)]
    order = compare_parts(samples[:24], samples[24:], (1, 40, 40))
    assert order.unit == "samples"
    assert order.counts[1] == tuple(range(24, 36))
    objects = next(test for test in order.tests if test.what == "objects")
    assert not objects.alike
    assert objects.statistic == 1
    assert "the parts differ" in order.sentences()[0]
    alike = compare_parts(*split_samples(samples, Split(by="density", share=0.3), (1, 40, 40)), (1, 40, 40))
    assert all(test.alike for test in alike.tests)


def test_parts_of_one_volume_are_compared_patch_by_patch():
    labels = np.zeros((8, 40, 120), np.uint16)
    labels[:, :, :80] = discs(30)[None].repeat(8, 0)[:, :, [*range(40)] * 2]
    volume = [sample("volume", noise(0, labels.shape), (labels > 0).astype(np.uint8))]
    found = compare_parts(*split_samples(volume, Split(by="end", share=0.33), (8, 10, 10)), (8, 10, 10))
    assert found.unit == "patches"
    assert max(found.counts[1]) == 0
    assert not next(test for test in found.tests if test.what == "objects").alike


class Endless:
    """A volume of a teravoxel that is computed where it is read, and counts what is read of it."""

    shape, dtype, read = (10_000, 10_000, 10_000), np.dtype(np.uint8), 0

    def __getitem__(self, key):
        z, y, x = np.ogrid[key]
        Endless.read += z.size * y.size * x.size
        return ((z // 20 + y // 20 + x // 20) % 2 * 100).astype(np.uint8) + (x % 7).astype(np.uint8)


def test_a_teravoxel_is_not_read_whole():
    volume = Volume(Endless(), source="endless")
    endless = [Sample("endless", volume, volume.with_array(Endless(), "zyx"))]
    found = survey(endless, budget=2**23, objects=True)
    train, held_out = split_samples(endless, Split(by="end", gap=30), (32, 64, 64))
    assert leakage(train, held_out, known=found).verdict == "none"
    compare_parts(train, held_out, (16, 32, 32))
    assert found.fingerprint.voxels == 10**12
    assert 0 < found.fingerprint.read < 1e-5
    assert Endless.read < 10**8
