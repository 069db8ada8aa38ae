"""Volumes written to files: the same voxels and facts come back, in memory that does not grow, or nothing is there."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segkit
import segkit_formats
from segkit import Volume
from segkit.durable import faults
from segkit.errors import DataError, OutputExistsError, StorageError, UnknownNameError, UsageError
from segkit.opening import export_volume
from segkit_formats import _tiff_saving

rng = np.random.default_rng(6)


@pytest.fixture(autouse=True)
def _only_these_formats(isolated_plugins: object) -> None:
    segkit.register(segkit_formats)


TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "?")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_comes_back(tmp_path: Path, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(TYPES))
    lead = data.draw(st.sampled_from([(), (2,), (3,), (5,)]))
    shape = (*lead, *data.draw(st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))))
    known = data.draw(st.sampled_from([{}, {"voxel_size": (30.0, 8.0, 7.5)}]))
    named = {"channel_names": tuple("abcde"[: lead[0]])} if lead and data.draw(st.booleans()) else {}
    array = rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)
    chunks = (*(1 for _ in lead), 2, 4, 8) if data.draw(st.booleans()) else None
    volume = Volume.from_array(array, **known, **named, chunks=chunks)
    ome = data.draw(st.booleans()) and dtype not in ("u8", "i8")
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    export_volume(volume, path, overwrite=True)
    again = segkit.open_volume(path)
    np.testing.assert_array_equal(again.read(), array)
    assert (again.axes, again.unit) == (volume.axes, volume.unit)
    assert again.voxel_size == pytest.approx(volume.voxel_size, rel=1e-5)
    if dtype not in ("u8", "i8"):
        assert again.channel_names == volume.channel_names
    kept = {"?": "uint8", "f2": "float32"}.get(dtype, np.dtype(dtype).name)
    assert again.dtype.name == kept


@pytest.mark.parametrize("most", [200, 3_000, 30_000])
def test_blocks_of_any_size_make_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(_tiff_saving, "_MOST_BYTES", most)
    array = rng.integers(0, 60_000, (2, 7, 30, 33)).astype(np.uint16)
    export_volume(Volume.from_array(array, chunks=(1, 3, 8, 8)), tmp_path / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), array.transpose(1, 0, 2, 3))


def test_fiji_knows_the_voxel_size(tmp_path: Path) -> None:
    volume = Volume.from_array(np.zeros((4, 8, 8), np.uint8), voxel_size=(50.0, 10.0, 8.0))
    export_volume(volume, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert file.imagej_metadata["spacing"] == pytest.approx(0.05)
        assert file.imagej_metadata["unit"] == "um"
    export_volume(volume, tmp_path / "a.ome.tiff")
    with tifffile.TiffFile(tmp_path / "a.ome.tiff") as file:
        assert 'PhysicalSizeX="0.008"' in file.ome_metadata


def test_what_is_refused(tmp_path: Path) -> None:
    volume = Volume.from_array(np.zeros((2, 3, 4), np.uint64))
    (tmp_path / "there.tif").write_bytes(b"mine")
    (tmp_path / "folder.tif").mkdir()
    for name in ("there.tif", "folder.tif"):
        with pytest.raises(OutputExistsError):
            export_volume(volume, tmp_path / name)
    with pytest.raises(OutputExistsError):
        export_volume(volume, tmp_path / "folder.tif", overwrite=True)
    with pytest.raises(UnknownNameError, match=r"a\.docx.*tiff"):
        export_volume(volume, tmp_path / "a.docx")
    with pytest.raises(UsageError, match=r"only read.*tiff"):
        export_volume(volume, tmp_path / "a.h5", format="hdf5")
    with pytest.raises(UsageError, match="no folder"):
        export_volume(volume, tmp_path / "none" / "a.tif")
    with pytest.raises(DataError, match=r"uint64.*\.ome\.tif"):
        export_volume(volume, tmp_path / "a.ome.tif")
    export_volume(volume, tmp_path / "there.tif", overwrite=True)
    with pytest.raises(UsageError, match="what is read"):
        export_volume(tmp_path / "there.tif", tmp_path / "there.tif", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tif", "there.tif"]


def test_what_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume.from_array(np.ones((8, 9, 9), np.uint8), chunks=(1, 9, 9))
    monkeypatch.setattr(_tiff_saving, "_MOST_BYTES", 100)
    (tmp_path / "old.tif").write_bytes(b"mine")
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_volume(volume, tmp_path / "old.tif", overwrite=True, progress=stop)
    assert seen == [(0, 8), (1, 8), (2, 8), (3, 8)]

    class Torn:
        shape, dtype = (8, 9, 9), np.dtype("u1")

        def __getitem__(self, key: Any) -> Any:
            raise OSError("the cable")

    with pytest.raises(DataError, match="the cable"):
        export_volume(Volume(Torn()), tmp_path / "old.tif", overwrite=True)
    monkeypatch.setattr(faults, "mode", "enospc")
    monkeypatch.setattr(faults, "at", faults.count + 1)
    with pytest.raises(StorageError):
        export_volume(volume, tmp_path / "old.tif", overwrite=True)
    monkeypatch.setattr(faults, "at", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["old.tif"]
    assert (tmp_path / "old.tif").read_bytes() == b"mine"


BIG = """
import resource, sys, numpy as np
from segkit import Volume
from segkit.opening import export_volume
class Made:
    shape, dtype = (1600, 512, 512), np.dtype("u1")
    def __getitem__(self, key):
        z, y, x = (np.arange(*part.indices(n)).astype("u1") for part, n in zip(key, self.shape))
        return z[:, None, None] * 7 + y[:, None] * 3 + x
export_volume(Volume(Made(), voxel_size=(30.0, 8.0, 8.0), unit="nm"), sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_volume(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(tmp_path / "a.tif")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 350  # MiB, of a volume of 400
    assert (tmp_path / "a.tif").stat().st_size > 1600 * 512 * 512
    assert segkit.open_volume(tmp_path / "a.tif")[1599, 511, 500] == (1599 * 7 + 511 * 3 + 500) % 256


LIMITED = """
import resource, signal, sys, numpy as np, segkit
from segkit.opening import export_volume
from segkit.errors import StorageError
volume = segkit.open_volume(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    export_volume(volume, sys.argv[2])
except StorageError as error:
    print("refused", error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="this system has no limit to simulate a full disk")
@pytest.mark.parametrize("limit", [1000, 40_000])
def test_a_disk_that_fills_up(tmp_path: Path, limit: int) -> None:
    np.save(tmp_path / "a.npy", rng.integers(0, 255, (8, 100, 100)).astype(np.uint8))
    arguments = [str(tmp_path / "a.npy"), str(tmp_path / "b.tif"), str(limit)]
    done = subprocess.run([sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True)
    assert done.stdout.startswith("refused"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
