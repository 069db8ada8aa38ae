"""Whole ways from a URL: OME-Zarr, object stores, converting on the command line, and what is not reached."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.chunked_stores import SHARDING, neuropil, write_precomputed
from fixtures.fault_server import FaultServer

import segkit
from segkit.cli import main
from segkit.errors import DataError, SegkitError
from segkit.geometry import Box


@pytest.fixture
def image(tmp_path):
    """``image.zarr`` as segkit writes it, with two levels."""
    volume = segkit.Volume.from_array(neuropil(), voxel_size=(33.0, 4.0, 4.0), offset=(99.0, 8.0, 4.0))
    segkit.write_volume(volume, tmp_path / "image.zarr", block_shape=(16, 16, 16), chunk_shape=(8, 8, 8), pyramid=2)
    return tmp_path / "image.zarr"


def test_ome_zarr_at_a_url(image):
    near = segkit.open_volume(image)
    with FaultServer(image.parent) as server:
        for url in (f"{server.url}/image.zarr", f"{server.url}/image.zarr/", f"zarr://{server.url}/image.zarr"):
            far = segkit.open_volume(url)
            assert (far.voxel_size, far.offset, far.unit, far.chunks) == (
                near.voxel_size,
                near.offset,
                "nm",
                near.chunks,
            )
            assert far.metadata == near.metadata
            assert [level.voxel_size for level in far.levels] == [level.voxel_size for level in near.levels]
            np.testing.assert_array_equal(far.levels[0].read(), near.levels[0].read())
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(far)).read(), neuropil())
        np.testing.assert_array_equal(segkit.open_volume(f"{server.url}/image.zarr/1").read(), near.levels[0].read())
        with pytest.raises(DataError, match="There is no Zarr array or group at"):
            segkit.open_volume(f"{server.url}/nothing.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_of_others_that_is_not_there_is_filled_in_a_folder_and_an_error_at_a_url(tmp_path, version):
    import zarr

    array = zarr.create_array(tmp_path / "a.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="u1", zarr_format=version)
    array[:4] = 7
    assert segkit.open_volume(tmp_path / "a.zarr").read()[:, 0, 0].tolist() == [7] * 4 + [0] * 4
    with pytest.raises(DataError, match="NOT_FOUND"):
        segkit.open_volume(f"{tmp_path}/a.zarr#missing=error").read()
    with FaultServer(tmp_path) as server:
        far = segkit.open_volume(f"{server.url}/a.zarr")
        assert far.read(Box.of_shape((4, 8, 8))).all()
        with pytest.raises(DataError, match=r"a.zarr at z0:8, y0:8, x0:8 failed: NOT_FOUND.*#missing=fill"):
            far.read()
        assert segkit.open_volume(f"{server.url}/a.zarr#missing=fill").read().sum() == 7 * 4 * 64


def test_convert_part_of_a_url(tmp_path, capfd):
    write_precomputed(tmp_path / "em", neuropil(), "png", sharding=SHARDING)
    with FaultServer(tmp_path) as server:
        url = f"{server.url}/em#box=z34:50,y200:232"
        for target, region in (("whole.zarr", ""), ("part.zarr", "x8:40, z:9")):
            with pytest.raises(SystemExit) as end:
                main(["convert", url, str(tmp_path / target), "--region", region, "--levels", "1"])
            assert end.value.code == 0
        whole, part = (segkit.open_volume(tmp_path / name) for name in ("whole.zarr", "part.zarr"))
        np.testing.assert_array_equal(whole.read(), neuropil()[4:20, :32])
        np.testing.assert_array_equal(part.read(), neuropil()[4:13, :32, 8:40])
        assert part.offset == (34 * 33.0, 200 * 4.0, 108 * 4.0)
        with pytest.raises(SystemExit) as end:
            main(["info", url])
        assert end.value.code == 0
        assert "16 x 32 x 48" in capfd.readouterr().out


READ = """
import sys, numpy, segkit
volume = segkit.open_volume(sys.argv[1])
part = volume.crop(segkit.Box((3, 4, 5), (20, 21, 22)))
print(volume.voxel_size, part.read().sum())
"""


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_object_stores(tmp_path, scheme):
    """The layout of the public H01 volumes, in a bucket on loopback that speaks as the real ones do."""
    folder = tmp_path / "h01-release" / "data" / "20210601" / "4nm_raw"
    write_precomputed(folder, neuropil(), "jpeg", sharding={**SHARDING, "data_encoding": "raw"})
    expected = segkit.open_volume(folder).read()[3:20, 4:21, 5:22].sum()
    with FaultServer(tmp_path) as server:
        places = {"TENSORSTORE_GCS_HTTP_URL": server.url, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        done = subprocess.run(
            [sys.executable, "-c", READ, f"{scheme}://h01-release/data/20210601/4nm_raw"],
            env={**os.environ, **places, "HOME": str(tmp_path), "GCE_METADATA_ROOT": "127.0.0.1:9"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(") ")[1].strip() == str(expected)


def test_what_is_not_reached(tmp_path):
    for source in ("ftp://host/em", "http:///em", "http://[::1/em", "gs:///em"):
        with pytest.raises(SegkitError):
            segkit.open_volume(source)
    for name in ("precomputed", "n5", "ome_zarr"):
        with pytest.raises(DataError, match="cannot be reached"):
            segkit.open_volume("ftp://host/em", format=name)


# -- real data, where it is at hand --------------------------------------------------------------------------------------

DATA = os.environ.get("SEGKIT_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="needs real volumes: SEGKIT_TEST_DATA names no folder")
EXPECTED = {
    "fib25_em_raw": ("expected_xyz.npz", "em"),
    "fib25_em_raw_sharded": ("expected_xyz.npz", "em"),
    "fib25_seg_cseg": ("expected_xyz.npz", "seg"),
    "fib25_seg_cseg_sharded_bigids": ("expected_xyz.npz", "seg_bigids"),
    "h01_em_jpeg_sharded": ("h01_em_jpeg_decoded_xyz.npz", "em"),
}


@needs_data
@pytest.mark.parametrize("name", EXPECTED)
def test_real_volumes(name):
    root = Path(DATA) / "precomputed"
    file, key = EXPECTED[name]
    with np.load(root / file, allow_pickle=False) as arrays:
        expected = arrays[key].T
    with FaultServer(root) as server:
        for source in (root / name, f"{server.url}/{name}"):
            volume = segkit.open_volume(source)
            assert volume.dtype == expected.dtype
            np.testing.assert_array_equal(volume.read(), expected)


@needs_data
def test_real_labels_of_compresso():
    import h5py

    pytest.importorskip("compresso")
    root = Path(DATA) / "pinky40-labels"
    with h5py.File(root / "pinky40_32x32x40nm_xyz_256x256x256.h5") as file:
        expected = next(iter(file.values()))[:].T
    with FaultServer(root) as server:
        for source in (root / "precomputed_compresso", f"{server.url}/precomputed_compresso#scale=2"):
            volume = segkit.open_volume(source)
            assert (volume.shape, volume.voxel_size) == ((512, 256, 256), (40.0, 32.0, 32.0))
            np.testing.assert_array_equal(volume.read(Box.of_shape((256, 256, 256))), expected)


@needs_data
def test_the_public_layout_of_h01_converts(tmp_path):
    shutil.copytree(Path(DATA) / "precomputed" / "h01_em_jpeg_sharded", tmp_path / "4nm_raw")
    with FaultServer(tmp_path) as server:
        url = f"{server.url}/4nm_raw#box=x803424:803552,y290624:290752,z3740:3770"
        with pytest.raises(SystemExit) as end:
            main(["convert", url, str(tmp_path / "h01.zarr")])
        assert end.value.code == 0
        found = segkit.open_volume(tmp_path / "h01.zarr")
        assert found.voxel_size == (33.0, 4.0, 4.0)
        whole = segkit.open_volume(f"{server.url}/4nm_raw")
        np.testing.assert_array_equal(found.read(), whole.read(Box((3, 24, 24), (33, 152, 152))))
