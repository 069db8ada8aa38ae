"""Precomputed volumes of every encoding, in folders and behind a server on loopback."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
from fixtures.chunked_stores import SHARDING, cells, neuropil, write_precomputed
from fixtures.fault_server import FaultServer

import segkit
from segkit.errors import DataError, UsageError
from segkit.geometry import Box

MURMUR = {**SHARDING, "hash": "murmurhash3_x86_128", "data_encoding": "raw"}
STORES = {
    "raw": ("raw", None),
    "raw sharded": ("raw", SHARDING),
    "png": ("png", None),
    "jpeg sharded": ("jpeg", MURMUR),
    "labels": ("compressed_segmentation", None),
    "labels sharded": ("compressed_segmentation", SHARDING),
}


@pytest.fixture
def folder(tmp_path):
    write_precomputed(tmp_path / "em", neuropil())
    return tmp_path / "em"


@pytest.mark.parametrize("name", STORES)
def test_every_encoding_reads_the_same_from_a_folder_and_a_server(tmp_path, name):
    encoding, sharding = STORES[name]
    array = cells() if encoding == "compressed_segmentation" else neuropil()
    write_precomputed(tmp_path / "volume", array, encoding, sharding=sharding)
    with FaultServer(tmp_path) as server:
        for source in (
            str(tmp_path / "volume"),
            (tmp_path / "volume").as_uri(),
            f"{server.url}/volume",
            f"precomputed://{server.url}/volume/",
        ):
            volume = segkit.open_volume(source)
            assert volume.source == source
            assert (volume.axes, volume.dtype, volume.voxel_size) == ("zyx", array.dtype, (33.0, 4.0, 4.0))
            assert volume.unit == "nm"
            assert volume.offset == (30 * 33.0, 200 * 4.0, 100 * 4.0)
            assert volume.chunks == (16, 16, 16)
            if source.startswith("http"):
                np.testing.assert_array_equal(volume.read(), segkit.open_volume(tmp_path / "volume").read())
            if encoding == "jpeg":
                assert np.abs(volume.read().astype(int) - array).max() <= 12
            else:
                box = Box((3, 5, 7), (37, 11, 40))
                np.testing.assert_array_equal(volume.read(box), array[box.slices])
                np.testing.assert_array_equal(volume.crop(box)[2, 3:5], array[box.slices][2, 3:5])
            twin = pickle.loads(pickle.dumps(volume))
            np.testing.assert_array_equal(twin[3:5, 6, 7:], volume[3:5, 6, 7:])


def test_channels_lie_first(tmp_path):
    array = np.stack([neuropil(seed=seed) for seed in range(3)])
    write_precomputed(tmp_path, array)
    volume = segkit.open_volume(tmp_path)
    assert volume.axes == "czyx"
    np.testing.assert_array_equal(volume[1:, 3:9, :, 4], array[1:, 3:9, :, 4])


def test_scales_are_levels_and_opening_asks_for_nothing_but_info(folder):
    write_precomputed(folder, neuropil()[:, ::2, ::2], resolution=(8, 8, 33), offset=(50, 100, 30))
    with FaultServer(folder.parent) as server:
        volume = segkit.open_volume(f"{server.url}/em")
        assert set(server.requests) == {"em/info"}
        (coarse,) = volume.levels
        assert coarse.voxel_size == (33.0, 8.0, 8.0)
        assert coarse.offset == (30 * 33.0, 100 * 8 + 2.0, 50 * 8 + 2.0)  # centres, half a voxel further in
        np.testing.assert_array_equal(coarse.read(), neuropil()[:, ::2, ::2])
        chosen = segkit.open_volume(f"{server.url}/em#scale=1")
        assert chosen.offset == (30 * 33.0, 100 * 8.0, 50 * 8.0)
        assert chosen.levels == ()
        with pytest.raises(UsageError, match=r"`scale` is 2, and .* has the scales 0 \(4_4_33\), 1 \(8_8_33\)"):
            segkit.open_volume(f"{server.url}/em#scale=2")


def test_a_scale_that_is_absent_is_left_out_in_a_folder_and_an_error_behind_a_server(folder):
    write_precomputed(folder, neuropil()[:, ::2, ::2], resolution=(8, 8, 33))
    shutil.rmtree(folder / "4_4_33")
    volume = segkit.open_volume(folder)
    assert volume.voxel_size == (33.0, 8.0, 8.0)
    np.testing.assert_array_equal(volume.read(), neuropil()[:, ::2, ::2])
    with pytest.raises(DataError, match="no data of scale 0 among 0 "):
        segkit.open_volume(f"{folder}#scale=0")
    with FaultServer(folder.parent) as server:
        volume = segkit.open_volume(f"{server.url}/em")
        with pytest.raises(DataError, match=r"em/4_4_33 at z0:2, y0:2, x0:2 failed: NOT_FOUND.*#missing=fill"):
            volume.read(Box.of_shape((2, 2, 2)))
        np.testing.assert_array_equal(segkit.open_volume(f"{server.url}/em#scale=1").read(), volume.levels[0].read())


def test_a_box_in_global_voxels(folder):
    volume = segkit.open_volume(f"{folder}#box=x110:120,z35:")
    np.testing.assert_array_equal(volume.read(), neuropil()[5:, :, 10:20])
    assert volume.offset == (35 * 33.0, 200 * 4.0, 110 * 4.0)
    assert segkit.open_volume(volume.source).offset == volume.offset
    for text in ("x10:20", "x140:149", "z0:31", "y210", "x120:110"):
        with pytest.raises(UsageError):
            segkit.open_volume(f"{folder}#box={text}")


@pytest.mark.parametrize("name", ["raw", "raw sharded", "jpeg sharded", "labels sharded"])
def test_a_missing_chunk_is_an_error_unless_declared(tmp_path, name):
    encoding, sharding = STORES[name]
    array = cells() if encoding == "compressed_segmentation" else neuropil()
    write_precomputed(tmp_path, array, encoding, sharding=sharding)
    gone = min((tmp_path / "4_4_33").iterdir())
    gone.unlink()
    with pytest.raises(DataError, match="NOT_FOUND.*#missing=fill"):
        segkit.open_volume(tmp_path).read()
    zeros = segkit.open_volume(f"{tmp_path}#missing=fill").read() == 0
    assert 0 < zeros.mean() < 1


def test_a_sharded_chunk_that_really_holds_zeros_is_no_error(tmp_path):
    array = neuropil()
    array[:20] = 0
    write_precomputed(tmp_path, array, sharding={**SHARDING, "shard_bits": 3})
    np.testing.assert_array_equal(segkit.open_volume(tmp_path).read(), array)


@pytest.mark.parametrize("hashed", ["identity", "murmurhash3_x86_128"])
def test_chunks_are_found_in_their_shards_one_by_one(tmp_path, hashed):
    from segkit_chunked._chunk_files import read_chunk
    from segkit_chunked._info import read_info

    array = neuropil((20, 40, 72))  # a grid of 5 x 5 x 2 chunks (x, y, z)
    write_precomputed(tmp_path, array, sharding={**SHARDING, "hash": hashed}, chunk=(16, 8, 10))
    (scale,) = read_info(json.loads((tmp_path / "info").read_text()), "test").scales
    for x, y, z in np.ndindex(5, 5, 2):
        expected = array[z * 10 : z * 10 + 10, y * 8 : y * 8 + 8, x * 16 : x * 16 + 16].tobytes()
        assert read_chunk(tmp_path / "4_4_33", scale, (x, y, z)) == expected


def test_a_volume_that_travels_is_opened_where_it_is_read(folder):
    with FaultServer(folder.parent) as server:
        packed = pickle.dumps(segkit.open_volume(f"{server.url}/em"))
        server.requests.clear()
        volume = pickle.loads(packed)
        assert (volume.shape, volume.dtype, volume.chunks) == ((40, 44, 48), np.uint8, (16, 16, 16))
        assert not server.requests
        assert volume[0, 0, 0] == neuropil()[0, 0, 0]


def test_what_is_no_precomputed_volume(tmp_path, folder):
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "info").write_text("about these slices")
    with FaultServer(tmp_path) as server:
        for source in (tmp_path / "words", f"{server.url}/words", f"{server.url}/nothing"):
            with pytest.raises(segkit.errors.UnknownNameError, match="No installed format can open"):
                segkit.open_volume(source)
        with pytest.raises(DataError, match="holds no file 'info'"):
            segkit.open_volume(f"precomputed://{server.url}/em/4_4_33")
        with pytest.raises(UsageError, match=r"`format.missing` is 'zeros'"):
            segkit.open_volume(f"{server.url}/em#missing=zeros")
    for source in ("precomputed://ftp://host/em", "precomputed://https:///em"):
        with pytest.raises(DataError, match="cannot be reached: segkit opens files and URLs"):
            segkit.open_volume(source)


# -- compresso ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def compressed(tmp_path):
    """The same labels in chunks of the package compresso, whose last chunk along each axis is smaller."""
    compresso = pytest.importorskip("compresso")
    labels = cells().astype(np.uint32)
    size, chunk, offset = labels.shape[::-1], (32, 32, 32), (8, 16, 24)
    scale = {
        "key": "8_8_8",
        "size": size,
        "chunk_sizes": [chunk],
        "voxel_offset": offset,
        "resolution": [8, 8, 8],
        "encoding": "compresso",
    }
    info = {"type": "segmentation", "data_type": "uint32", "num_channels": 1, "scales": [scale]}
    (tmp_path / "seg" / "8_8_8").mkdir(parents=True)
    (tmp_path / "seg" / "info").write_text(json.dumps(info))
    for index in np.ndindex(2, 2, 2):
        box = [slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunk, size)]
        name = "_".join(f"{o + s.start}-{o + s.stop}" for o, s in zip(offset, box))
        data = compresso.compress(np.asfortranarray(labels.T[tuple(box)]))
        (tmp_path / "seg" / "8_8_8" / name).write_bytes(data)
    return tmp_path / "seg"


def test_compresso_reads_the_same_from_a_folder_and_a_server(compressed):
    labels = cells().astype(np.uint32)
    with FaultServer(compressed.parent) as server:
        for source in (str(compressed), f"{server.url}/seg"):
            volume = segkit.open_volume(source)
            np.testing.assert_array_equal(volume.read(), labels)
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume))[30:36, 3:40, 31], labels[30:36, 3:40, 31])


def test_damaged_and_missing_chunks_of_compresso(compressed):
    file = min((compressed / "8_8_8").iterdir())
    whole = file.read_bytes()
    crashing = whole[:36] + b"\xff" * (len(whole) - 36)
    for content in (b"", whole[:20], b"<html>" * 20, whole[:8] + b"c" + whole[9:], b"\x1f\x8b" + whole[2:], crashing):
        file.write_bytes(content)
        with pytest.raises(DataError, match="seg/8_8_8 at z0:40, y0:44, x0:48 failed"):
            segkit.open_volume(compressed).read()
    file.unlink()
    with pytest.raises(DataError, match="NOT_FOUND"):
        segkit.open_volume(compressed).read()
    assert (segkit.open_volume(f"{compressed}#missing=fill").read() == 0).any()


def test_without_the_package_compresso_the_error_says_how_to_get_it(compressed, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "compresso", None)
    with pytest.raises(DataError, match=r"segkit-sdk\[compresso\]"):
        segkit.open_volume(compressed)
