"""MRC and NIfTI, as their own libraries write them."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segkit
import segkit_formats
from segkit import Box, Volume
from segkit.errors import DataError

rng = np.random.default_rng(4)
ARRAY = rng.integers(-900, 900, (5, 9, 14)).astype(np.int16)


@pytest.fixture(autouse=True)
def _only_these_formats(isolated_plugins: object) -> None:
    segkit.register(segkit_formats)


def check(volume: Volume, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(volume.read(), expected)
    box = Box((1, 2, 3), (4, 9, 10))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(box), expected[(..., *box.slices)])
    assert volume.dtype == expected.dtype


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4", "f2"])
def test_mrc(tmp_path: Path, dtype: str) -> None:
    mrcfile = pytest.importorskip("mrcfile", reason="mrcfile is not installed")
    path, array = tmp_path / "a.mrc", (ARRAY % 100).astype(dtype)
    with mrcfile.new(path) as file:
        file.set_data(array)
        file.voxel_size = (8.0, 9.0, 40.0)  # x, y, z in ångström
        file.header.origin = (16.0, 0.0, 80.0)
    volume = segkit.open_volume(path)
    check(volume, array)
    assert volume.voxel_size == pytest.approx((4.0, 0.9, 0.8))
    assert volume.offset == pytest.approx((8.0, 0.0, 1.6))
    whole = path.read_bytes()
    for cut in (100, 1000, len(whole) - 7):
        (tmp_path / "cut.mrc").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"cut\.mrc"):
            segkit.formats["mrc"]().open(str(tmp_path / "cut.mrc"))
    changed = bytearray(whole)
    changed[64:76] = struct.pack("<3i", 3, 2, 1)  # columns run along z
    (tmp_path / "turned.mrc").write_bytes(bytes(changed))
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "turned.mrc").read(), array.transpose(2, 1, 0))
    with mrcfile.new(tmp_path / "none.map") as file:
        file.set_data(array)
        file.voxel_size = 0
    assert segkit.open_volume(tmp_path / "none.map").unit == "voxel"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
def test_nifti(tmp_path: Path, name: str, kind: str) -> None:
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    image = getattr(nibabel, kind)(ARRAY.transpose(2, 1, 0), np.diag([0.5, 0.6, 2.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / name)
    volume = segkit.open_volume(tmp_path / name)
    check(volume, ARRAY)
    assert volume.voxel_size == pytest.approx((2e6, 0.6e6, 0.5e6))
    assert volume.metadata["affine"][2][2] == 2.0
    whole = (tmp_path / name).read_bytes()
    for cut in (0, 10, 200, len(whole) - 300):
        path = tmp_path / f"cut_{name}"
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="cut_a"):
            segkit.open_volume(path).read()


def test_nifti_scaled_without_units_and_in_time(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    image = nibabel.Nifti1Image(ARRAY.transpose(2, 1, 0), np.eye(4))
    image.header.set_slope_inter(0.5, 3.0)
    nibabel.save(image, tmp_path / "a.nii")
    volume = segkit.open_volume(tmp_path / "a.nii")
    expected = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj).transpose(2, 1, 0).astype(np.float32)
    check(volume, expected)
    assert volume.unit == "voxel"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.uint8), np.eye(4)), tmp_path / "t.nii")
    with pytest.raises(DataError, match="'t' has a length of 3"):
        segkit.open_volume(tmp_path / "t.nii")
    nibabel.save(nibabel.Nifti1Image(ARRAY[0], np.eye(4)), tmp_path / "flat.nii")
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "flat.nii").read()[0], ARRAY[0].T)


def test_what_is_to_be_installed(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"x" * 400)
    (tmp_path / "a.mrc").write_bytes(b"x" * 208 + b"MAP " + b"x" * 1000)
    code = (
        "import sys; sys.modules['nibabel'] = sys.modules['mrcfile'] = None\n"
        "import segkit; from segkit.errors import PluginError\n"
        "try: segkit.open_volume(sys.argv[1])\n"
        "except PluginError as error: print(error)\n"
    )
    for name, package in (("a.nii", "nibabel"), ("a.mrc", "mrcfile")):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True)
        assert f"pip install {package}" in done.stdout, done.stderr
