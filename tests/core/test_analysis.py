"""Fingerprints, findings and splits: known images give known numbers, and what is wrong with data is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from analysis_samples import discs, noise, sample, smooth

from segkit.analysis import Fingerprint, Spread, find, fingerprint, survey
from segkit.errors import DataError
from segkit.geometry import Box


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
