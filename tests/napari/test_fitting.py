"""How labels fit an image, as sentences, and what a training gets of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segkit
from napari_segkit.session import Project
from napari_segkit.session.images._data import Data
from napari_segkit.session.images._fitting import fit
from segkit import Volume

SIZE = (40.0, 8.0, 8.0)


def volume(shape=(8, 24, 24), voxel_size=SIZE, offset=(0.0, 0.0, 0.0), dtype="u4", unit="nm") -> Volume:
    voxels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return Volume(voxels, voxel_size=voxel_size, offset=offset, unit=unit, source="x")


@pytest.mark.parametrize(
    ("labels", "ready", "words"),
    [
        (volume(), True, "Fits the image voxel by voxel."),
        (volume(dtype="f4"), False, "float32 numbers and no ids"),
        (volume(offset=(0.0, 24.0, 0.0)), False, "Shifted by 3 voxels in y."),
        (volume(offset=(0.0, 3.2, 0.0)), False, "Shifted by 0.4 voxels in y."),
        (volume((4, 8, 8), offset=(80.0, 24.0, 0.0)), True, "They cover z2:6, y3:11, x0:8 of the image"),
        (volume((4, 8, 8), offset=(4000.0, 0.0, 0.0)), False, "beside the image"),
        (volume((4, 12, 12), (80.0, 16.0, 16.0), (20.0, 4.0, 4.0)), True, "Half resolution, aligned: will be matched."),
        (volume((4, 12, 12), (80.0, 16.0, 16.0)), True, "Half resolution, aligned: will be matched."),
        (volume((4, 12, 12), (80.0, 16.0, 16.0), (20.0, 28.0, 4.0)), False, "Half resolution, and shifted by 3 voxels in y."),
        (volume((16, 48, 48), (20.0, 4.0, 4.0), (-10.0, -2.0, -2.0)), True, "2 times the resolution, aligned"),
        (volume((8, 8, 8), (40.0, 24.0, 24.0), (0.0, 8.0, 8.0)), True, "A third of the resolution, aligned"),
        (volume(voxel_size=(40.0, 11.0, 8.0)), False, "40 × 11 × 8 nm do not fit"),
        (volume(voxel_size=(1.0, 1.0, 1.0), unit="voxel"), True, "As large as the image"),
        (volume((4, 12, 12), (1.0, 1.0, 1.0), unit="voxel"), True, "Half resolution"),
        (volume((5, 7, 9), (1.0, 1.0, 1.0), unit="voxel"), False, "Only one of both says its voxel size"),
    ],
)  # fmt: skip
def test_sentences(labels: Volume, ready: bool, words: str) -> None:
    found = fit(volume(dtype="u1"), labels)
    assert words in found.sentence
    assert found.ready is ready


@pytest.mark.parametrize(
    "labels",
    [volume(offset=(0.0, 24.0, 0.0)), volume(offset=(0.0, 3.2, 0.0)), volume((4, 8, 8), offset=(4000.0, 0.0, 0.0))],
)
def test_a_fix_makes_them_fit(labels: Volume) -> None:
    found = fit(volume(dtype="u1"), labels)
    assert found.fixed is not None
    assert found.label
    again = fit(volume(dtype="u1"), found.fixed)
    assert again.ready, again.sentence


def test_half_resolution_is_repeated_and_double_is_thinned() -> None:
    image = volume((8, 24, 24), dtype="u1")
    half = volume((4, 12, 12), (80.0, 16.0, 16.0), (20.0, 4.0, 4.0))
    matched = fit(image, half).labels
    assert matched.spatial_shape == image.spatial_shape
    assert (matched.offset, matched.voxel_size) == (image.offset, image.voxel_size)
    wanted = half.read().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    assert np.array_equal(matched.read(), wanted)
    assert np.array_equal(matched.read(segkit.Box((1, 3, 5), (6, 20, 8))), wanted[1:6, 3:20, 5:8])
    double = volume((16, 48, 48), (20.0, 4.0, 4.0), (-10.0, -2.0, -2.0))
    assert np.array_equal(fit(image, double).labels.read(), double.read()[1::2, 1::2, 1::2])


def test_odd_extents_of_a_pyramid_are_covered() -> None:
    image = volume((7, 23, 24), dtype="u1")
    assert fit(image, volume((4, 12, 12), (80.0, 16.0, 16.0), (20.0, 4.0, 4.0))).labels.spatial_shape == (7, 23, 24)


def test_a_training_gets_loaded_labels(tmp_path: Path) -> None:
    data = Data(Project(tmp_path / "project"))
    raw = segkit.write_volume(volume((8, 24, 24), dtype="u1"), tmp_path / "raw.zarr", pyramid=1)
    data.choose_image(raw)
    plain = segkit.write_volume(volume(), tmp_path / "ids.zarr", pyramid=1)
    data.choose_labels(plain)
    assert data.writer()() == {
        "dataset": {"name": "files", "raw": raw.source, "labels": plain.source},
        "split": {"share": 0.15},
    }
    data.choose_labels(
        segkit.write_volume(volume((4, 8, 8), offset=(80.0, 24.0, 0.0)), tmp_path / "part.zarr", pyramid=1)
    )
    assert data.writer()()["dataset"]["boxes"] is True
    moved = segkit.write_volume(volume(offset=(0.0, 24.0, 0.0)), tmp_path / "moved.zarr", pyramid=1)
    data.choose_labels(moved)
    assert [check.fix.key for check in data.checks() if not check.ready] == ["fit_labels"]
    data.choose_labels(data.fit.fixed)
    table = data.writer()()["dataset"]
    assert table["labels"].startswith(str(tmp_path / "project" / "layers"))
    assert segkit.open_volume(table["labels"]).offset == raw.offset
    half = segkit.write_volume(volume((4, 12, 12), (80.0, 16.0, 16.0)), tmp_path / "half.zarr", pyramid=1)
    data.choose_labels(half)
    table = data.writer()()["dataset"]
    assert segkit.open_volume(table["labels"]).spatial_shape == raw.spatial_shape
    [sample] = segkit.datasets["files"](**{key: value for key, value in table.items() if key != "name"})
    assert sample.labels.voxel_size == sample.raw.voxel_size
