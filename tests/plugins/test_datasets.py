from __future__ import annotations

import pickle
from pathlib import Path

import cc3d
import numpy as np
import pytest
import tifffile

import segkit
from segkit import Box
from segkit.errors import DataError, UsageError
from segkit_datasets._files import natural
from segkit_datasets._sections import spoil

FIB25 = Path(__file__).parents[2] / "examples" / "data" / "fib25" / "fib25_crop.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for what in ("images", "labels"):
        (tmp_path / what).mkdir()
        for number in (1, 2, 10):
            tifffile.imwrite(tmp_path / what / f"cell_{number}.tif", np.full((20, 30), number, np.uint8))
    return tmp_path


def test_one_pair_of_datasets_of_an_hdf5_file() -> None:
    samples = segkit.datasets["files"](raw=f"{FIB25}:raw", labels=f"{FIB25}:labels", region="z:64, x100:")
    sample = samples[0]
    assert len(samples) == 1
    assert sample.raw.spatial_shape == (64, 192, 92)
    assert sample.raw.voxel_size == (10.0, 10.0, 10.0)
    assert sample.raw.offset == (0.0, 0.0, 1000.0)
    assert (sample.labels.read() > 0).all()


def test_patterns_are_paired_in_natural_order(folder: Path) -> None:
    samples = segkit.datasets["files"](
        raw=f"{folder}/images/*.tif", labels=f"{folder}/labels/*.tif", voxel_size=(5.0, 2.0, 2.0), unlabelled=10
    )
    assert [sample.name for sample in samples] == ["cell_1.tif", "cell_2.tif", "cell_10.tif"]
    assert [int(sample.labels.read().max()) for sample in samples] == [1, 2, 10]
    assert samples[-1].raw.voxel_size == (5.0, 2.0, 2.0)
    assert samples[0].read(Box.of_shape((1, 4, 4))).mask.all()
    assert not samples[2].read(Box.of_shape((1, 4, 4))).mask.any()
    assert samples[0] is samples[0]
    assert len(samples[1:]) == 2


def test_files_open_only_when_asked_for(folder: Path) -> None:
    (folder / "images" / "cell_2.tif").write_bytes(b"II*\0 broken")
    samples = segkit.datasets["files"](raw=f"{folder}/images/*.tif", labels=f"{folder}/labels/*.tif")
    assert samples[0].raw.spatial_shape == (1, 20, 30)
    with pytest.raises(DataError, match="cell_2"):
        samples[1]


def test_files_in_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for cell in ("a", "b"):
        (tmp_path / cell).mkdir()
        for what in ("image", "mask"):
            tifffile.imwrite(tmp_path / cell / f"{what}.tif", np.ones((4, 4), np.uint8))
    samples = segkit.datasets["files"](raw=f"{tmp_path}/*/image.tif", mask=f"{tmp_path}/*/mask.tif")
    assert [sample.name.removeprefix(f"{tmp_path}/") for sample in samples] == ["a/image.tif", "b/image.tif"]
    assert samples[0].labels is None
    assert samples[0].mask is not None


def test_patterns_that_find_different_numbers(folder: Path) -> None:
    (folder / "labels" / "cell_2.tif").unlink()
    with pytest.raises(UsageError, match=r"finds 3 and `labels` .* finds 2.*same name: cell_2"):
        segkit.datasets["files"](raw=f"{folder}/images/*.tif", labels=f"{folder}/labels/*.tif")


def test_patterns_that_find_strangers(folder: Path) -> None:
    (folder / "labels" / "cell_2.tif").rename(folder / "labels" / "cell_3.tif")
    with pytest.raises(UsageError, match="both find 3, but not the same: .*cell_2, cell_3"):
        segkit.datasets["files"](raw=f"{folder}/images/*.tif", labels=f"{folder}/labels/*.tif")


def test_pattern_that_finds_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finds no file"):
        segkit.datasets["files"](raw=f"{tmp_path}/*.tif")


def test_region_outside_of_an_image(folder: Path) -> None:
    samples = segkit.datasets["files"](raw=f"{folder}/images/cell_1.tif", region="y:40")
    with pytest.raises(UsageError, match="y 0:40"):
        samples[0]


def test_natural_order() -> None:
    assert sorted(["z10", "z2", "Z1", "7", "a"], key=natural) == ["7", "a", "Z1", "z2", "z10"]


def test_data_locations_are_known_as_such() -> None:
    parameters = {parameter.name: parameter for parameter in segkit.datasets["files"].parameters}
    assert [name for name, parameter in parameters.items() if parameter.location] == ["raw", "labels", "mask"]
    assert parameters["labels"].optional
    assert not parameters["raw"].optional


SMALL = {"shape": (24, 40, 40), "neurites": 12, "count": 3}


def test_neurons_fill_space_with_connected_touching_objects() -> None:
    sample = segkit.datasets["synthetic_neurons"](**SMALL, seed=4)[1]
    raw, labels = sample.raw.read(), sample.labels.read()
    assert (raw.dtype, labels.dtype) == (np.uint8, np.uint32)
    assert raw.shape == labels.shape == sample.raw.spatial_shape == (24, 40, 40)
    assert sample.raw.voxel_size == (10.0, 10.0, 10.0)
    ids = np.unique(labels)
    assert ids[0] == 1
    assert ids.size >= 8
    assert cc3d.connected_components(labels, connectivity=6).max() == ids.size
    assert min(np.bincount(labels.ravel())[1:]) >= 30


def test_membranes_are_dark() -> None:
    sample = segkit.datasets["synthetic_neurons"](**SMALL, mitochondria=False)[0]
    raw, labels = sample.raw.read().astype(float), sample.labels.read()
    border = labels[:, :, 1:] != labels[:, :, :-1]
    assert raw[:, :, 1:][border].mean() < raw[:, :, 1:][~border].mean() - 30
    assert 90 < raw.mean() < 160
    assert 20 < raw.std() < 45


def test_samples_differ_and_come_back() -> None:
    build = segkit.datasets["synthetic_neurons"]
    first, again, other = build(**SMALL), build(**SMALL), build(**SMALL, seed=1)
    assert np.array_equal(first[2].raw.read(), again[2].raw.read())
    assert not np.array_equal(first[1].raw.read(), first[2].raw.read())
    assert not np.array_equal(first[1].raw.read(), other[1].raw.read())
    copy = pickle.loads(pickle.dumps(first))
    assert np.array_equal(copy[2].labels.read(), first[2].labels.read())


def test_what_is_kept_cannot_be_written_into() -> None:
    sample = segkit.datasets["synthetic_neurons"](**SMALL)[0]
    before = sample.raw.read()
    sample.raw.read()[:] = 0
    assert np.array_equal(sample.raw.read(), before)


def test_kept_samples_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit_datasets._generated.KEPT_BYTES", 3 * 32 * 32 * 4)
    samples = segkit.datasets["synthetic_beads"](shape=(32, 32), most=12, count=9)
    for sample in samples:
        sample.raw.read()
    assert list(samples._kept) == [6, 7, 8]


def test_serial_sections_with_faults() -> None:
    build = segkit.datasets["synthetic_neurons"]
    options = {"shape": (30, 48, 48), "neurites": 10, "voxel_size": (33.0, 8.0, 8.0)}
    clean, spoilt = build(**options)[0], build(**options, faults=0.5)[0]
    assert spoilt.raw.voxel_size == (33.0, 8.0, 8.0)
    changed = (clean.raw.read() != spoilt.raw.read()).any(axis=(1, 2))
    assert 5 < changed.sum() < 25
    missing = (spoilt.raw.read() == 0).all(axis=(1, 2))
    assert missing.any()
    moved = (clean.labels.read() != spoilt.labels.read()).any(axis=(1, 2))
    assert moved.any()
    assert not (moved & missing).any()
    assert (spoilt.labels.read() > 0).all()


def test_a_shifted_section_takes_its_labels_along(rng: np.random.Generator) -> None:
    raw = rng.integers(1, 255, (200, 24, 24), dtype=np.uint8)
    spoilt, labels = spoil(raw, raw.astype(np.uint32), 0.5, np.random.default_rng(1))
    shifted = (labels != raw).any(axis=(1, 2))
    assert shifted.sum() > 10
    assert np.array_equal(labels[shifted], spoilt[shifted])


@pytest.mark.parametrize(("shape", "words"), [((512, 512, 512), "134,217,728 voxels"), ((4, 4, 64), "at least 8")])
def test_shapes_that_cannot_be_made(shape: tuple[int, int, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        segkit.datasets["synthetic_neurons"](shape=shape)


def test_beads_have_the_density_that_is_promised() -> None:
    samples = segkit.datasets["synthetic_beads"](count=60)
    labels = [sample.labels.read() for sample in samples]
    counts = np.array([ids.max() for ids in labels])
    assert samples[0].raw.spatial_shape == (1, 256, 256)
    assert samples[0].raw.dtype == np.uint16
    assert 12 <= counts.min() < 50
    assert 200 < counts.max() <= 254
    assert 95 < counts.mean() < 123
    assert 0.10 < np.mean([(ids > 0).mean() for ids in labels]) < 0.13
    assert 64 < np.sum([(ids > 0).sum() for ids in labels]) / counts.sum() < 74
    assert all(np.array_equal(np.unique(ids[ids > 0]), np.arange(1, ids.max() + 1)) for ids in labels)


def test_beads_are_brighter_than_what_is_around() -> None:
    sample = segkit.datasets["synthetic_beads"](seed=3, unevenness=0.0)[5]
    raw, labels = sample.raw.read().astype(float), sample.labels.read()
    assert raw[labels > 0].mean() > 2 * raw[labels == 0].mean()


def test_image_without_beads() -> None:
    sample = segkit.datasets["synthetic_beads"](fewest=0, most=1, shape=(32, 32), count=4)[0]
    assert sample.labels.read().max() <= 1


def test_number_of_beads_that_contradicts_itself() -> None:
    with pytest.raises(UsageError, match="`most` is 5 and below `fewest`"):
        segkit.datasets["synthetic_beads"](most=5)


def test_alternatives_in_braces_mix_volumes_in_the_order_written(tmp_path: Path) -> None:
    for name in ("b/x_2.npy", "b/x_10.npy", "a/z.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.zeros((2, 4, 4), np.uint8))
    mixed = f"{tmp_path}/{{b/x_*.npy, a/z.npy}}"
    samples = segkit.datasets["files"](raw=mixed, labels=mixed, mask=mixed, weights=(3.0, 1.0, 2.0))
    assert [sample.name for sample in samples] == ["x_2.npy", "x_10.npy", "z.npy"]
    assert [sample.weight for sample in samples] == [3.0, 1.0, 2.0]
    assert all(sample.mask is not None for sample in samples)
    with pytest.raises(UsageError, match="`weights` has 2 numbers, .* finds 3 images"):
        segkit.datasets["files"](raw=mixed, weights=(1.0, 2.0))


def test_braces_in_a_name_are_letters(tmp_path: Path) -> None:
    np.save(tmp_path / "a{b,c}.npy", np.zeros((2, 4, 4), np.uint8))
    assert len(segkit.datasets["files"](raw=str(tmp_path / "a{b,c}.npy"))) == 1


def write_box(path: Path, start: tuple[int, int, int], shape: tuple[int, int, int], value: int) -> None:
    offset = tuple(100.0 + s * v for s, v in zip(start, (40.0, 8.0, 8.0), strict=True))
    made = segkit.Volume(np.full(shape, value, np.uint16), voxel_size=(40.0, 8.0, 8.0), offset=offset, unit="nm")
    segkit.write_volume(made, path, pyramid=1)


def test_boxes_of_one_image_lie_where_their_offsets_say(tmp_path: Path, rng: np.random.Generator) -> None:
    voxels = rng.integers(0, 255, (12, 40, 40), dtype=np.uint8)
    image = segkit.Volume(voxels, voxel_size=(40.0, 8.0, 8.0), offset=(100.0, 100.0, 100.0), unit="nm")
    segkit.write_volume(image, tmp_path / "raw.zarr", pyramid=1)
    write_box(tmp_path / "box-2.zarr", (2, 4, 6), (4, 16, 16), 2)
    write_box(tmp_path / "box-10.zarr", (8, 30, 30), (8, 16, 16), 10)
    samples = segkit.datasets["files"](
        raw=f"{tmp_path}/raw.zarr", labels=f"{tmp_path}/box-*.zarr", boxes=True, unlabelled=2, weights=(1.0, 2.0)
    )
    assert [sample.name for sample in samples] == ["raw.zarr, box-2.zarr", "raw.zarr, box-10.zarr"]
    assert np.array_equal(samples[0].raw.read(), voxels[2:6, 4:20, 6:22])
    assert samples[1].raw.spatial_shape == samples[1].labels.spatial_shape == (4, 10, 10), (
        "what lies beyond is left out"
    )
    assert np.array_equal(samples[1].raw.read(), voxels[8:, 30:, 30:])
    assert not samples[0].read(samples[0].raw.box).mask.any()
    assert samples[1].read(samples[1].raw.box).mask.all()
    assert samples[1].weight == 2.0


def test_a_box_that_lies_elsewhere_or_between_voxels(tmp_path: Path) -> None:
    for name, offset in (("raw", 0.0), ("far", 4000.0), ("between", 4.0)):
        made = segkit.Volume(np.zeros((4, 8, 8), np.uint8), voxel_size=(8.0, 8.0, 8.0), offset=(offset,) * 3, unit="nm")
        segkit.write_volume(made, tmp_path / f"{name}.zarr", pyramid=1)
    for name, words in (("far", "share no voxel"), ("between", "not a whole number")):
        samples = segkit.datasets["files"](raw=f"{tmp_path}/raw.zarr", labels=f"{tmp_path}/{name}.zarr", boxes=True)
        with pytest.raises(DataError, match=words):
            samples[0]
    with pytest.raises(UsageError, match="`boxes` are of one image"):
        segkit.datasets["files"](raw=f"{tmp_path}/*.zarr", labels=f"{tmp_path}/far.zarr", boxes=True)


def test_tiles_cover_an_image_without_overlap(tmp_path: Path, rng: np.random.Generator) -> None:
    raw = rng.integers(0, 255, (3, 20, 31), np.uint8)
    np.save(tmp_path / "raw.npy", raw)
    np.save(tmp_path / "labels.npy", raw > 100)
    found = segkit.datasets["files"](
        raw=str(tmp_path / "raw.npy"), labels=str(tmp_path / "labels.npy"), tiles=(1, 8, 8)
    )
    assert len(found) == 3 * 2 * 3
    assert len({sample.name for sample in found}) == len(found)
    seen = np.zeros_like(raw, dtype=int)
    for sample in found:
        assert min(sample.raw.spatial_shape[1:]) >= 8
        assert sample.labels is not None
        np.testing.assert_array_equal(sample.labels.read(), sample.raw.read() > 100)
        seen[Box.parse(sample.name.partition("[")[2][:-1], Box.of_shape(raw.shape)).slices] += 1
    assert (seen == 1).all()


def test_tiles_that_are_larger_than_the_image(tmp_path: Path) -> None:
    np.save(tmp_path / "raw.npy", np.zeros((3, 20, 31), np.uint8))
    with pytest.raises(UsageError, match="holds no such tile"):
        segkit.datasets["files"](raw=str(tmp_path / "raw.npy"), tiles=(1, 32, 8))


@pytest.mark.parametrize("tiles", [None, (1, 10, 12)])
def test_marks_grow_to_balls_of_their_id(tmp_path: Path, tiles: tuple[int, int, int] | None) -> None:
    marks = np.zeros((3, 20, 24), np.uint16)
    marks[1, 9, 11], marks[1, 9, 15], marks[2, 0, 0] = 1, 2, 3
    marks[0, 19, 23] = 9  # not annotated
    tifffile.imwrite(tmp_path / "marks.tif", marks, photometric="minisblack")
    place = str(tmp_path / "marks.tif")
    found = segkit.datasets["files"](
        raw=place, labels=place, mark_radius=2.0, unlabelled=9, voxel_size=(20.0, 10.0, 10.0), tiles=tiles
    )
    grown = np.zeros_like(marks)
    for sample in found:
        at = Box.of_shape(sample.raw.spatial_shape).shift(
            tuple(round(o / s) for o, s in zip(sample.raw.offset, (20, 10, 10)))
        )
        grown[at.slices] = sample.labels.read(sample.labels.box)
    away = [
        np.linalg.norm((np.indices(marks.shape).T - np.argwhere(marks == i)[0]) * (2, 1, 1), axis=-1).T
        for i in (1, 2, 3)
    ]
    nearest = np.argmin(away, 0) + 1
    expected = np.where(np.min(away, 0) <= 2, nearest, marks)
    np.testing.assert_array_equal(np.minimum(grown != 0, 1), np.minimum(expected != 0, 1))
    assert (grown[1, 9, 9:13] == 1).all()
    assert (grown[1, 9, 14:18] == 2).all()
    assert grown[0, 19, 23] == 9
    assert (grown == 9).sum() == 1
