"""N5 datasets and groups of scales, and what their attributes say of places."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from fixtures.chunked_stores import cells, neuropil, write_n5
from fixtures.fault_server import FaultServer

import segkit
from segkit.errors import DataError

BLOCK = (16, 16, 16)


@pytest.fixture
def container(tmp_path):
    """``brain.n5`` with a group ``em`` of two scales."""
    root = tmp_path / "brain.n5"
    for number, step in enumerate((1, 2)):
        write_n5(root / "em" / f"s{number}", neuropil()[::step, ::step, ::step], BLOCK, "gzip")
    (root / "attributes.json").write_text('{"n5": "2.5.1"}')
    return root


def say(folder, **attributes):
    file = folder / "attributes.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | attributes))


@pytest.mark.parametrize("compression", ["raw", "gzip", "bzip2", "xz", "blosc", "zstd"])
def test_every_compression(tmp_path, compression):
    write_n5(tmp_path / "a.n5", cells(), BLOCK, compression)
    volume = segkit.open_volume(tmp_path / "a.n5")
    assert (volume.dtype, volume.axes, volume.unit, volume.chunks) == (np.uint64, "zyx", "voxel", BLOCK)
    np.testing.assert_array_equal(volume.read(), cells())


def test_a_group_of_scales_in_a_folder_and_behind_a_server(container):
    group = container / "em"
    say(group, pixelResolution={"dimensions": [4, 5, 0.03], "unit": "um"}, scales=[[1, 1, 1], [2, 2, 2]])
    with FaultServer(container.parent) as server:
        for source in (str(container), str(group), group.as_uri(), f"{server.url}/brain.n5/em", f"n5://{group}"):
            volume = segkit.open_volume(source)
            assert volume.source == source
            assert (volume.voxel_size, volume.offset) == ((30.0, 5000.0, 4000.0), (0.0, 0.0, 0.0))
            (coarse,) = volume.levels
            assert (coarse.voxel_size, coarse.offset) == ((60.0, 10000.0, 8000.0), (15.0, 2500.0, 2000.0))
            np.testing.assert_array_equal(coarse.read(), neuropil()[::2, ::2, ::2])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(), neuropil())


@pytest.mark.parametrize(
    ("base", "attributes", "expected"),
    [
        ({"resolution": [4, 5, 6], "units": ["nm"] * 3}, {"downsamplingFactors": [2, 2, 1]}, ((6, 10, 8), (0, 2.5, 2))),
        ({"resolution": [4, 5, 6], "units": ["nm"] * 3}, {}, ((12, 10, 8), (3, 2.5, 2))),  # from the shapes
        ({}, {"pixelResolution": {"dimensions": [8, 9, 7], "unit": "nm"}}, ((7, 9, 8), (0, 0, 0))),
        (
            {},
            {"transform": {"axes": ["z", "y", "x"], "scale": [1, 2, 3], "translate": [7, 8, 9], "units": ["nm"] * 3}},
            ((1, 2, 3), (7, 8, 9)),
        ),
    ],
)
def test_places_of_scales(container, base, attributes, expected):
    say(container / "em" / "s0", **base)
    say(container / "em" / "s1", **attributes)
    coarse = segkit.open_volume(container / "em").levels[0]
    assert (coarse.voxel_size, coarse.offset) == expected
    assert coarse.unit == "nm"


def test_axes_by_name_and_by_number(tmp_path):
    many = np.stack([neuropil(seed=seed) for seed in range(2)])
    write_n5(tmp_path / "a", many, (*BLOCK, 1), "raw")
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "a").read(), many)
    stored = many.transpose(1, 0, 2, 3)  # x, y, c, z
    write_n5(tmp_path / "b", stored, (16, 16, 1, 16), "raw", axes=["x", "y", "c", "z"])
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "b").read(), many)
    write_n5(tmp_path / "c", many[0, 0], (16, 16), "raw")
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "c").read(), many[0, :1])


def test_a_missing_block_is_an_error_unless_declared(container):
    (container / "em" / "s0" / "1" / "0" / "2").unlink()
    with pytest.raises(DataError, match=r"em/s0 at z0:40, y0:44, x0:48 failed: NOT_FOUND.*#missing=fill"):
        segkit.open_volume(container).read()
    found = segkit.open_volume(f"{container}#missing=fill").read()
    expected = neuropil()
    expected[32:40, :16, 16:32] = 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", [2**50, 2**50, 2**50]),
        ("dimensions", [-1, 4, 4]),
        ("dimensions", "wide"),
        ("dimensions", [4]),
        ("dimensions", [4] * 9),
        ("blockSize", [0, 16, 16]),
        ("blockSize", [2**20, 2**20, 16]),
        ("blockSize", [16, 16]),
        ("dataType", "object"),
        ("dataType", ["uint8"]),
        ("compression", {"type": "lz4"}),
        ("compression", "gzip"),
        ("compression", {"type": "gzip", "level": "best"}),
        ("resolution", [0, 1, 1]),
        ("downsamplingFactors", [[2]]),
        ("transform", {"axes": ["z"]}),
        ("axes", ["c", "c", "c"]),
    ],
)
def test_absurd_attributes_are_refused(tmp_path, name, value):
    write_n5(tmp_path / "a.n5", neuropil(), BLOCK, "gzip")
    say(tmp_path / "a.n5", **{name: value})
    with pytest.raises(DataError):
        segkit.open_volume(tmp_path / "a.n5")


def test_a_group_without_an_image_of_its_own(container):
    write_n5(container / "labels", cells(), BLOCK, "gzip")
    with pytest.raises(DataError, match="is no N5 dataset; those in it are: em, labels"):
        segkit.open_volume(container)
    with FaultServer(container.parent) as server:
        with pytest.raises(DataError, match="has no scale 's0' in it"):
            segkit.open_volume(f"{server.url}/brain.n5")
        with pytest.raises(DataError, match="holds no N5 dataset"):
            segkit.open_volume(f"{server.url}/brain.n5/nothing")
