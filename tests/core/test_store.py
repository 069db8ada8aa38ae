"""Opening and writing OME-Zarr: any axes and units, strict where the store is segkit's, checked for damage."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segkit import Box
from segkit.errors import DataError, UsageError
from segkit.store import Blocks, create_zarr, open_zarr, set_complete

ARRAY = np.random.default_rng(1).integers(1, 60000, (2, 12, 20, 24)).astype(np.uint16)


def write(path: Path, array: np.ndarray = ARRAY, **options: Any) -> tuple[Blocks, ...]:
    chosen: dict[str, Any] = {"block_shape": (8, 16, 16), "chunk_shape": (4, 8, 8), "unit": "nm"}
    chosen |= {"voxel_size": (30.0, 8.0, 8.0), "offset": (1.0, 2.0, 3.0), **options}
    levels = create_zarr(path, shape=array.shape, dtype=array.dtype, axes="czyx"[-array.ndim :], **chosen)
    for box in levels[0].lattice:
        levels[0].write(box, array[(..., *box.slices)])
    return levels


def foreign(path: Path, array: np.ndarray, axes: str, version: str = "0.5", **options: Any) -> Path:
    """Write an OME-Zarr image the way others do."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    entries = []
    for axis in axes:
        kind = {"t": "time", "c": "channel"}.get(axis, "space")
        unit = {"unit": options["unit"]} if kind == "space" and "unit" in options else {}
        entries.append({"name": axis, "type": kind, **unit})
    transformations = [{"type": "scale", "scale": options.get("scale", [1.0] * len(axes))}]
    if "translation" in options:
        transformations.append({"type": "translation", "translation": options["translation"]})
    image = {"axes": entries, "datasets": [{"path": "full", "coordinateTransformations": transformations}]}
    image |= options.get("more", {})
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **image}]
    group.create_array("full", data=array, chunks=tuple(min(n, 8) for n in array.shape))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", channel_names=("a", "b"), attributes={"note": [1, "µm"]})
    volume = open_zarr(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.read(), ARRAY)
    assert (volume.axes, volume.voxel_size, volume.offset, volume.unit) == ("czyx", (30, 8, 8), (1, 2, 3), "nm")
    assert volume.chunks == (1, 4, 8, 8)
    assert volume.channel_names == ("a", "b")
    assert volume.metadata == {"note": [1, "µm"], "complete": False}
    set_complete(tmp_path / "a.zarr", True)
    assert open_zarr(tmp_path / "a.zarr").metadata["complete"]


def test_others_can_read_it(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(group["0"][...], ARRAY)
    assert group.attrs["ome"]["version"] == "0.5"
    assert group["0"].metadata.dimension_names == ("c", "z", "y", "x")


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u4", "u8", "f2", "f4", "f8"])
def test_every_type_survives(tmp_path: Path, dtype: str) -> None:
    array = ARRAY[0].astype(dtype)
    if dtype == "u8":
        array[0, 0, 0] = 2**64 - 1
    write(tmp_path / "a.zarr", array)
    volume = open_zarr(tmp_path / "a.zarr")
    assert volume.dtype == dtype
    np.testing.assert_array_equal(volume.read(), array)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_region_is_that_of_the_array(tmp_path: Path, data: st.DataObject) -> None:
    if not (tmp_path / "a.zarr").exists():
        write(tmp_path / "a.zarr")
    start = tuple(data.draw(st.integers(0, n - 1)) for n in ARRAY.shape[1:])
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, ARRAY.shape[1:], strict=True))
    box = Box(start, stop)
    np.testing.assert_array_equal(open_zarr(tmp_path / "a.zarr").read(box), ARRAY[(slice(None), *box.slices)])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["zyx", "czyx", "yx", "xyz", "zyxc", "tczyx", "cyx"])
def test_axes_in_any_order(tmp_path: Path, version: str, axes: str) -> None:
    lengths = {"t": 1, "c": 2, "z": 5, "y": 6, "x": 7}
    sizes = {"t": 1.0, "c": 1.0, "z": 0.05, "y": 0.008, "x": 0.004}
    array = np.random.default_rng(0).integers(0, 255, [lengths[a] for a in axes], np.uint8)
    foreign(
        tmp_path / "f.zarr",
        array,
        axes,
        version,
        unit="micrometer",
        scale=[sizes[a] for a in axes],
        translation=[sizes[a] if a in "zyx" else 0.0 for a in axes],
    )
    volume = open_zarr(tmp_path / "f.zarr")
    wanted = [a for a in "czyx" if a in axes]
    expected = np.squeeze(array, axes.index("t")) if "t" in axes else array
    stored = axes.replace("t", "")
    expected = expected.transpose([stored.index(a) for a in wanted])
    if "z" not in axes:
        expected = np.expand_dims(expected, -3)
    assert volume.axes == ("czyx" if "c" in axes else "zyx")
    np.testing.assert_array_equal(volume.read(), expected)
    np.testing.assert_array_equal(volume.dask.compute(), expected)
    assert volume.voxel_size == pytest.approx((50.0 if "z" in axes else 8.0, 8.0, 4.0))
    assert volume.offset == pytest.approx((50.0 if "z" in axes else 0.0, 8.0, 4.0))
    assert volume.unit == "nm"
    assert "complete" not in volume.metadata


def test_units_and_their_absence(tmp_path: Path) -> None:
    array = ARRAY[0, :4, :4, :4]
    assert open_zarr(foreign(tmp_path / "a", array, "zyx", unit="parsec", scale=[2.0, 1.0, 1.0])).unit == "voxel"
    assert open_zarr(foreign(tmp_path / "b", array, "zyx", scale=[2.0, 1.0, 1.0])).voxel_size == (2, 1, 1)
    outer = {"coordinateTransformations": [{"type": "scale", "scale": [10.0, 1.0, 1.0]}]}
    assert open_zarr(foreign(tmp_path / "c", array, "zyx", unit="nanometer", more=outer)).voxel_size == (10, 1, 1)


def test_several_time_points_are_refused(tmp_path: Path) -> None:
    foreign(tmp_path / "f.zarr", ARRAY, "tzyx")
    with pytest.raises(DataError, match="2 time points"):
        open_zarr(tmp_path / "f.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays_and_groups_of_one(tmp_path: Path, zarr_format: Any) -> None:
    array = ARRAY[0].astype(">u2") if zarr_format == 2 else ARRAY[0]
    zarr.create_array(tmp_path / "plain.zarr", data=array, chunks=(8, 8, 8), zarr_format=zarr_format)
    volume = open_zarr(tmp_path / "plain.zarr")
    assert (volume.axes, volume.unit, volume.chunks) == ("zyx", "voxel", (8, 8, 8))
    assert volume.read().dtype == np.dtype("u2").newbyteorder("=")
    np.testing.assert_array_equal(volume.read(), ARRAY[0])
    group = zarr.open_group(tmp_path / "group.zarr", mode="w", zarr_format=zarr_format)
    group.create_array("raw", data=ARRAY)
    np.testing.assert_array_equal(open_zarr(tmp_path / "group.zarr").read(), ARRAY)
    group.create_array("labels", data=ARRAY)
    with pytest.raises(DataError, match="labels, raw"):
        open_zarr(tmp_path / "group.zarr")
    np.testing.assert_array_equal(open_zarr(tmp_path / "group.zarr" / "raw").read(), ARRAY)


def test_absent_chunks_are_damage_in_own_stores_and_the_fill_value_in_others(tmp_path: Path) -> None:
    blocks = write(tmp_path / "own.zarr")[0]
    blocks.file(3).unlink()
    volume = open_zarr(tmp_path / "own.zarr")
    with pytest.raises(DataError, match=r"c/0/0/1/1.*missing"):
        volume.read(blocks.lattice[3])
    np.testing.assert_array_equal(volume.read(blocks.lattice[0]), ARRAY[(slice(None), *blocks.lattice[0].slices)])
    live = open_zarr(tmp_path / "own.zarr", live=True)
    assert live.read(blocks.lattice[3]).max() == 0
    blocks.write(blocks.lattice[3], ARRAY[(slice(None), *blocks.lattice[3].slices)])
    assert live.read(blocks.lattice[3]).min() > 0

    array = zarr.create_array(tmp_path / "plain.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="u1", fill_value=7)
    array[:4] = 1
    assert open_zarr(tmp_path / "plain.zarr").read().max() == 7


def test_zeros_are_stored_like_anything_else(tmp_path: Path) -> None:
    blocks = write(tmp_path / "a.zarr", np.zeros((8, 16, 32), np.uint8))[0]
    assert all(blocks.file(i).exists() for i in range(len(blocks.lattice)))
    assert open_zarr(tmp_path / "a.zarr").read().max() == 0


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    blocks = write(tmp_path / "a.zarr", levels=1)[0]
    file, box = blocks.file(0), blocks.lattice[0]
    whole = file.read_bytes()
    expected = ARRAY[(slice(None), *box.slices)]
    random = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[int(random.integers(len(whole)))] ^= 1 << int(random.integers(8))
        file.write_bytes(damaged)
        with pytest.raises(DataError):
            Blocks(blocks.folder).read(box)
    file.write_bytes(whole)
    np.testing.assert_array_equal(Blocks(blocks.folder).read(box), expected)


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 4096])
def test_truncated_shards_are_noticed(tmp_path: Path, content: bytes) -> None:
    blocks = write(tmp_path / "a.zarr")[0]
    blocks.file(0).write_bytes(content)
    with pytest.raises(DataError):
        open_zarr(tmp_path / "a.zarr").read(blocks.lattice[0])


ABSURD: list[tuple[str, Any]] = [
    ("shape", [2**62, 2**40, 8]),
    ("shape", [10**30, 8, 8]),
    ("shape", [0, 8, 8]),
    ("shape", [-1, 8, 8]),
    ("shape", [8, 8]),
    ("shape", [8] * 7),
    ("shape", "8"),
    ("shape", None),
    ("data_type", "string"),
    ("data_type", {"name": "struct"}),
    ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [0, 4, 4]}}),
    ("chunk_grid", {"name": "regular"}),
    ("chunk_grid", {"name": "spiral", "configuration": {"chunk_shape": [4, 4, 4]}}),
    ("codecs", [{"name": "nonsense"}]),
    ("codecs", []),
    ("fill_value", "x"),
    ("node_type", 3),
]


@pytest.mark.parametrize(("key", "value"), ABSURD)
def test_absurd_metadata_are_refused_before_anything_is_read(tmp_path: Path, key: str, value: Any) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=ARRAY[0], chunks=(4, 4, 4))
    path = tmp_path / "a.zarr" / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DataError):
        open_zarr(tmp_path / "a.zarr")


def test_a_chunk_that_no_machine_holds(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(2**14,) * 3, chunks=(2**12,) * 3, dtype="u1")
    with pytest.raises(DataError, match="2 GiB"):
        open_zarr(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"zarr_format": 3}', "\xff"])
def test_garbled_metadata(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(text)
    with pytest.raises(DataError):
        open_zarr(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "image",
    [
        {"axes": [{"name": "z"}, {"name": "y"}, {"name": "x"}], "datasets": []},
        {"axes": ["z", "y", "q"], "datasets": [{"path": "full"}]},
        {"axes": ["z", "y", "x"], "datasets": [{"path": "../full"}]},
        {"axes": ["z", "y", "x"], "datasets": [{"path": "absent"}]},
        {"axes": ["y", "x"], "datasets": [{"path": "full"}]},
        {"axes": ["z", "y", "x"], "datasets": [{"path": "full", "coordinateTransformations": [{"type": "affine"}]}]},
        {"axes": ["z", "y", "x"], "datasets": "full"},
        *(
            {
                "axes": list("zyx"),
                "datasets": [{"path": "full", "coordinateTransformations": [{"type": "scale", "scale": s}]}],
            }
            for s in ([1, 1], [0, 1, 1], [1, 1, "x"], [float("nan"), 1, 1])
        ),
    ],
)
def test_metadata_that_break_the_specification(tmp_path: Path, image: dict[str, Any]) -> None:
    foreign(tmp_path / "f.zarr", ARRAY[0], "zyx")
    path = tmp_path / "f.zarr" / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["ome"]["multiscales"] = [image]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError):
        open_zarr(tmp_path / "f.zarr")


def test_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Zarr"):
        open_zarr(tmp_path)


def test_only_whole_blocks_of_the_right_type_are_written(tmp_path: Path) -> None:
    blocks = write(tmp_path / "a.zarr", ARRAY[0])[0]
    for box in (Box((0, 0, 0), (4, 16, 16)), Box((1, 0, 0), (9, 16, 16)), Box((0, 0, 0), (12, 20, 24))):
        with pytest.raises(UsageError, match="whole blocks"):
            blocks.write(box, ARRAY[0][box.slices])
    with pytest.raises(UsageError, match="float32"):
        blocks.write(blocks.lattice[0], np.zeros((8, 16, 16), np.float32))


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiple"):
        write(tmp_path / "a.zarr", block_shape=(8, 16, 12))
    with pytest.raises(UsageError, match="complex64"):
        write(tmp_path / "b.zarr", np.zeros((4, 4, 4), np.complex64))


def test_a_volume_travels_to_another_process(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    volume = pickle.loads(pickle.dumps(open_zarr(tmp_path / "a.zarr")))
    np.testing.assert_array_equal(volume.read(), ARRAY)


def test_a_level_opened_by_itself_knows_its_voxels(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", levels=2)
    whole = open_zarr(tmp_path / "a.zarr")
    for volume in (whole, *whole.levels):
        level = open_zarr(tmp_path / "a.zarr" / ("0" if volume is whole else "1"))
        assert (level.unit, level.voxel_size, level.offset) == ("nm", volume.voxel_size, volume.offset)
        assert level.axes == "czyx"
