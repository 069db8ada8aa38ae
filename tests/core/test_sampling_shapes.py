"""Slices along all planes, and patches that do not suit the voxels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from segkit import Sample, Volume
from segkit.contracts import Normalization
from segkit.errors import SegkitWarning, UsageError
from segkit.recipe import Selection
from segkit.sampling import LabelIndex, Sampler, check_patch_shape


def made(shape, voxel_size=(1.0, 1.0, 1.0), unit="nm", chunks=(8, 8, 8)) -> Sample:
    z, y, x = np.indices(shape)
    raw = Volume.from_array((100 * z + 10 * y + x).astype(np.uint16), voxel_size=voxel_size, unit=unit, chunks=chunks)
    return Sample("test", raw, Volume.from_array((z + y + x).astype(np.uint16), chunks=chunks))


@pytest.mark.parametrize("reuse", [1, 4])
def test_slices_along_all_planes_are_turned(tiny, reuse):
    task = Selection("foreground").build("tasks")
    sample = made((9, 10, 10))
    index = LabelIndex.build([sample], task.foreground)
    sampler = Sampler(
        [sample], task, index, Normalization((0.0,), (1.0,)), patch_shape=(1, 5, 7), planes="all", reuse=reuse
    )
    planes = Counter()
    for step in range(300):
        _, box = sampler.position(step * 64, 0)
        planes[box.shape] += 1
        patch = sampler.training_patch(step * 64, 0)
        assert patch.mask.shape == (1, 5, 7)
        example = sampler.training_example(step * 64, 0)
        assert example.raw.shape == example.target.shape == (1, 1, 5, 7)
        np.testing.assert_array_equal(example.raw, patch.raw)
        steps = {(1, 5, 7): (10, 1), (5, 1, 7): (100, 1), (5, 7, 1): (100, 10)}[box.shape]
        grey = patch.raw[0, 0].astype(int)
        assert (grey[1, 0] - grey[0, 0], grey[0, 1] - grey[0, 0]) == steps
        np.testing.assert_array_equal(np.squeeze(patch.raw), np.squeeze(sample.raw.read(box)))
        np.testing.assert_array_equal(np.squeeze(patch.labels), np.squeeze(sample.labels.read(box)))
    assert len(planes) == 3
    assert min(planes.values()) > 60


def test_planes_need_slices_and_voxels_of_equal_sides():
    with pytest.raises(UsageError, match=r"is for slices, but `sampling.patch_shape` is \(2, 4, 4\)"):
        check_patch_shape([made((9, 9, 9))], (2, 4, 4), "all")
    with pytest.raises(UsageError, match=r"voxels of sample 'test' are \(30.0, 8.0, 8.0\) long"):
        check_patch_shape([made((9, 9, 9), (30.0, 8.0, 8.0))], (1, 4, 4), "all")
    with pytest.raises(UsageError, match=r"Take at most 6, or set sampling.planes"):
        check_patch_shape([made((6, 9, 9))], (1, 8, 8), "all")
    check_patch_shape([made((9, 9, 9))], (1, 8, 8), "all")


def test_a_patch_with_very_uneven_sides_is_warned_about_with_a_better_one():
    with pytest.warns(SegkitWarning, match=r"covers 80 x 640 x 640 nm .* \(32, 32, 32\) has about as many"):
        check_patch_shape([made((40, 80, 80), (10.0, 10.0, 10.0))], (8, 64, 64))


@pytest.mark.parametrize(
    ("shape", "voxel_size", "unit", "patch"),
    [
        ((40, 96, 96), (33.0, 8.0, 8.0), "nm", (16, 64, 64)),
        ((40, 96, 96), (8.0, 8.0, 8.0), "voxel", (4, 64, 64)),
        ((40, 96, 96), (8.0, 8.0, 8.0), "nm", (1, 64, 64)),
        ((5, 96, 96), (8.0, 8.0, 8.0), "nm", (5, 64, 64)),
    ],
)
def test_other_patches_are_not_warned_about(shape, voxel_size, unit, patch):
    check_patch_shape([made(shape, voxel_size, unit)], patch)
