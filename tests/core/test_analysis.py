"""Fingerprints, findings and splits: known images give known numbers, and what is wrong with data is said."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segkit.analysis import Fingerprint, Spread, autocorrelation, compare_parts, find, fingerprint, leakage, survey
from segkit.analysis._places import groups_of
from segkit.contracts import Sample
from segkit.errors import DataError
from segkit.geometry import Box
from segkit.recipe import Split
from segkit.sampling import split_samples
from segkit.volume import Volume


def image(array, name="image", **about):
    axes = {2: "yx", 3: "zyx", 4: "czyx"}[array.ndim]
    return Volume.from_array(array, axes=axes, source=name, **about)


def noise(seed, shape=(40, 48)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def smooth(seed, shape, blur):
    from scipy.ndimage import gaussian_filter

    found = gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur, mode="wrap")
    return (128 + 40 * found / found.std()).clip(0, 255).astype(np.uint8)


def discs(count, side=40):
    labels = np.zeros((side, side), np.uint16)
    for number in range(count):
        y, x = 1 + 6 * (number // 6), 1 + 6 * (number % 6)
        labels[y : y + 4, x : x + 4] = number + 1
    return labels


def sample(name, raw, labels=None, **known):
    known = {key: image(value, f"{name} {key}") if key == "mask" else value for key, value in known.items()}
    return Sample(name, image(raw, name), None if labels is None else image(labels, f"{name} labels"), **known)


def kinds(samples, **how):
    return {finding.kind: finding for finding in find(survey(samples, **how))}


def test_known_images_have_known_numbers():
    raws = [noise(0), noise(1)]
    found = fingerprint([sample(f"s{n}", raw, discs(n + 3)[:, :40].repeat(2, 1)[:, :48]) for n, raw in enumerate(raws)])
    both = np.stack(raws)
    assert (found.samples, found.voxels, found.channels, found.dtype) == (2, 2 * 40 * 48, 1, "uint8")
    assert found.shape == ((1, 40, 48),) * 3
    assert found.planar
    assert found.voxel_size is None
    assert found.read == 1
    channel = found.intensity[0]
    assert channel.mean == pytest.approx(both.mean())
    assert channel.sd == pytest.approx(both.std())
    assert (channel.minimum, channel.maximum) == (0, 199)
    assert channel.median == pytest.approx(np.median(both), abs=6)
    labels = found.labels
    assert (labels.kind, labels.ids) == ("objects", 7)
    assert [row.objects for row in found.rows] == [3, 4]
    assert labels.objects == Spread.of([3, 4])
    assert labels.object_voxels == Spread.of([32] * 7)
    assert labels.object_extent is not None
    assert [axis.median for axis in labels.object_extent] == [1, 4, 8]
    assert labels.object_diameter is not None
    assert labels.object_diameter.mean == pytest.approx(2 * np.sqrt(32 / np.pi))
    assert labels.positive == pytest.approx(7 * 32 / both.size)


def test_a_fingerprint_survives_json():
    found = fingerprint([sample("s", noise(0), discs(5).repeat(2, 1)[:, :48])])
    assert Fingerprint.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False))) == found
    with pytest.raises(DataError, match="Make it again with 'segkit analyze'"):
        Fingerprint.from_dict({"samples": 1})


def test_pieces_of_a_mask_are_objects_and_ids_that_recur_are_classes():
    mask = (discs(7) > 0).astype(np.uint8) * 255
    found = fingerprint([sample("s", noise(0, (40, 40)), mask)])
    assert found.labels.kind == "classes"
    assert found.rows[0].objects == 7
    assert [(c.id, c.voxels) for c in found.labels.classes] == [(0, 1600 - 7 * 16), (255, 7 * 16)]
    classes = discs(12) % 3
    assert fingerprint([sample("s", noise(0, (40, 40)), classes)]).labels.kind == "classes"
    assert fingerprint([sample("s", noise(0, (40, 40)), classes)], objects=True).labels.kind == "objects"
    clean = noise(1, (160, 160))
    assert fingerprint([sample("s", noise(0, (160, 160)), clean)]).labels.kind == "image"
    assert fingerprint([sample("s", noise(0), noise(1) / 7.0)]).labels.kind == "image"
    assert fingerprint([sample("s", noise(0))]).labels.kind == "none"


def test_touching_objects_are_counted():
    labels = discs(4)
    labels[1:5, 5:7] = 1  # the first reaches the second
    found = fingerprint([sample("s", noise(0, (40, 40)), labels)])
    assert found.labels.touching == 0.5
    assert "tells objects apart" in kinds([sample("s", noise(0, (40, 40)), labels)])["touching"].text


def test_blocks_of_a_large_volume_count_no_object_twice():
    labels = np.zeros((24, 256, 256), np.uint32)
    number = 0
    for z in range(1, 24, 8):
        for y in range(2, 250, 12):
            for x in range(2, 250, 12):
                number += 1
                labels[z : z + 6, y : y + 7, x : x + 7] = number
    raw = noise(0, labels.shape)
    from segkit.analysis._objects import count_regions
    from segkit.geometry import Lattice

    box = Box.of_shape(labels.shape)
    blocks = Lattice(box, (10, 100, 70))
    counted = [count_regions(labels[piece.slices], piece, box) for piece in blocks]
    assert sum(int(ids.counted.sum()) for ids, _, _ in counted) == number
    assert sum(int(pieces.counted.sum()) for _, pieces, _ in counted) == number
    part = fingerprint([sample("s", raw, labels)], budget=raw.nbytes, seed=3)
    assert part.read < 1
    assert part.rows[0].objects == pytest.approx(number, rel=0.5)
    assert part == fingerprint([sample("s", raw, labels)], budget=raw.nbytes, seed=3)
    assert "Numbers are estimates" in kinds([sample("s", raw, labels)], budget=raw.nbytes)["reading"].text


def test_a_large_set_is_read_in_part():
    samples = [sample(f"s{n}", noise(n), discs(3).repeat(2, 1)[:, :48]) for n in range(60)]
    found = fingerprint(samples, budget=40 * 48)
    assert 32 <= len(found.rows) < 60
    assert found.samples == 60
    assert found.read == pytest.approx(len(found.rows) / 60)


def test_what_is_not_finite_or_not_labelled_is_said():
    raw = np.random.default_rng(0).normal(size=(2, 1, 40, 48)).astype(np.float32)
    raw[:, 0, :4] = np.nan
    labels = discs(5).repeat(2, 1)[:, :48]
    known = np.zeros_like(labels, dtype=np.uint8)
    known[:20] = 1
    samples = [sample("nan", raw, labels, mask=known), sample("fine", raw + 1, labels), sample("bare", raw * 2)]
    samples += [
        sample("empty", raw * 3, np.zeros_like(labels)),
        sample("blank", raw * 4, np.zeros_like(labels), unlabelled=0),
    ]
    found = kinds(samples)
    assert "10.00% of the voxels are NaN" in found["not finite"].text
    assert found["labels"].samples == ("bare",)
    assert "Masks are missing for 4 of 5" in found["masks"].text
    assert found["empty"].samples == ("empty",)
    assert found["unlabelled"].samples == ("bare", "blank") or found["unlabelled"].samples == ("blank",)
    intensity = fingerprint(samples[:1]).intensity[0]
    assert intensity.not_finite == pytest.approx(0.1)
    assert np.isfinite(intensity.mean)


def test_copies_twins_and_outliers_are_found():
    raws = [smooth(n, (48, 48), 3) for n in range(12)]
    samples = [sample(f"s{n}", raw, discs(5 + n % 3, 48)) for n, raw in enumerate(raws)]
    assert not {"duplicates", "near duplicates", "outliers"} & set(kinds(samples))
    grain = np.random.default_rng(5).integers(0, 6, (48, 48)).astype(np.uint8)
    samples += [
        sample("copy", raws[3], discs(5, 48)),
        sample("mirror", np.ascontiguousarray(raws[5][:, ::-1] // 2 + grain), discs(5, 48)),
        sample("bright", (raws[0] // 8 + 220).astype(np.uint8), discs(40, 48)),
        sample("flat", np.full((48, 48), 9, np.uint8), discs(5, 48)),
    ]
    found = kinds(samples)
    assert found["duplicates"].samples == ("s3", "copy")
    assert "mirrored" in found["near duplicates"].text or "copy" not in found["near duplicates"].samples
    assert "mirror" in found["near duplicates"].samples
    assert found["flat"].samples == ("flat",)
    outliers = " ".join(f.text for f in find(survey(samples)) if f.kind == "outliers")
    assert "brightness" in outliers
    assert "'bright' (40)" in outliers


def test_constant_and_repeated_channels_are_said():
    grey = noise(0)
    raw = np.stack([grey, grey, np.full_like(grey, 255)])[:, None]
    texts = " ".join(f.text for f in find(survey([sample("s", raw, discs(5).repeat(2, 1)[:, :48])])))
    assert "Channel 2 is the same everywhere" in texts
    assert "Channel 1 repeats an earlier one" in texts
    assert fingerprint([sample("s", raw)]).rows[0].mean == pytest.approx(grey.mean())


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
