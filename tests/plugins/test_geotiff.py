"""GeoTIFF: voxels and place on the map, from opening to the file that comes out at the other end."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import segkit
import segkit_formats
import segkit_geotiff
from segkit import Box, Volume
from segkit.cli import main
from segkit.errors import DataError
from segkit.opening import export_volume
from segkit.testing import check_format

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed: pip install 'segkit-sdk[geo]'")

rng = np.random.default_rng(8)
BANDS = rng.normal(size=(4, 40, 52)).astype(np.float32)
UTM = "EPSG:32616"
CORNER = (387900.0, 1767040.0)
MARIDA = Path(os.environ.get("SEGKIT_TEST_DATA", "absent"), "marida", "patches.tar.xz")


@pytest.fixture(autouse=True)
def _only_these_formats(isolated_plugins: object) -> None:
    segkit.register(segkit_formats)
    segkit.register(segkit_geotiff)


def write(path: Path, array: np.ndarray, *, crs: str | None = UTM, **options: Any) -> Path:
    transform = rasterio.Affine(10, 0, CORNER[0], 0, -20, CORNER[1])
    count, height, width = array.shape
    profile = {"width": width, "height": height, "count": count, "dtype": array.dtype.name, "transform": transform}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, **profile | options) as file:
        file.write(array)
    return path


def corner_of(path: Path) -> tuple[float, ...]:
    with rasterio.open(path) as file:
        assert file.crs == rasterio.CRS.from_user_input(UTM)
        return tuple(file.transform)[:6]


LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "bands apart": {"interleave": "band", "compress": "lzw"},
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "zstd"},
    "bigtiff": {"BIGTIFF": "YES"},
}


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_bands_are_channels(tmp_path: Path, options: dict[str, Any]) -> None:
    volume = segkit.open_volume(write(tmp_path / "a.tif", BANDS, **options))
    assert (volume.axes, volume.shape, volume.unit) == ("czyx", (4, 1, 40, 52), "nm")
    assert volume.voxel_size == pytest.approx((2e10, 2e10, 1e10))
    np.testing.assert_array_equal(volume.read()[:, 0], BANDS)
    box = Box((0, 7, 11), (1, 33, 40))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(box)[:, 0], BANDS[:, 7:33, 11:40])
    np.testing.assert_array_equal(volume[1:3, 0, 5:9, 3], BANDS[1:3, 5:9, 3])
    assert volume.chunks is not None
    assert volume.chunks[0] == (1 if options.get("interleave") == "band" else 4)
    check_format(segkit_geotiff.geotiff, source=tmp_path / "a.tif")


def test_one_band_has_no_channels_and_names_are_kept(tmp_path: Path) -> None:
    assert segkit.open_volume(write(tmp_path / "a.tif", BANDS[:1])).axes == "zyx"
    path = write(tmp_path / "b.tif", BANDS)
    with rasterio.open(path, "r+") as file:
        file.set_band_description(1, "red")
        file.set_band_description(4, "near infrared")
    assert segkit.open_volume(path).channel_names == ("red", "band 2", "band 3", "near infrared")


def test_missing_pixels_are_kept(tmp_path: Path) -> None:
    array = BANDS.copy()
    array[0, 3, 4] = np.nan
    volume = segkit.open_volume(write(tmp_path / "a.tif", array, nodata=float("nan")))
    assert np.isnan(volume[0, 0, 3, 4])
    assert volume.metadata["georeference"]["nodata"] == "nan"
    export_volume(volume, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as file:
        assert np.isnan(file.nodata)
        np.testing.assert_array_equal(file.read(), array)
    whole = segkit.open_volume(write(tmp_path / "c.tif", (BANDS * 9).astype(np.int16), nodata=-9999))
    assert whole.metadata["georeference"]["nodata"] == -9999
    # What is made of the image has missing values of its own, if any.
    labels = whole.with_array(np.zeros((1, 40, 52), np.uint8), "zyx")
    export_volume(labels, tmp_path / "d.tif")
    with rasterio.open(tmp_path / "d.tif") as file:
        assert file.nodata is None


def test_degrees_are_no_lengths(tmp_path: Path) -> None:
    volume = segkit.open_volume(write(tmp_path / "a.tif", BANDS, crs="EPSG:4326"))
    assert (volume.unit, volume.voxel_size) == ("voxel", (1, 1, 1))
    export_volume(volume.crop(Box((0, 2, 3), (1, 9, 9))), tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.crs.to_epsg() == 4326
        assert tuple(file.transform)[:6] == pytest.approx((10, 0, CORNER[0] + 30, 0, -20, CORNER[1] - 40))


def test_overviews_are_levels(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif", np.repeat(np.repeat(BANDS[:1], 2, 1), 2, 2), tiled=True, blockxsize=16, blockysize=16
    )
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.average)
    volume = segkit.open_volume(path)
    (level,) = volume.levels
    np.testing.assert_allclose(level.read(), BANDS[:1])
    assert (level.voxel_size[1:], level.offset) == ((4e10, 2e10), (0, 1e10, 0.5e10))
    export_volume(level, tmp_path / "b.tif")
    assert corner_of(tmp_path / "b.tif") == pytest.approx((20, 0, CORNER[0], 0, -40, CORNER[1]))


def test_threads_read_at_once(tmp_path: Path) -> None:
    volume = segkit.open_volume(write(tmp_path / "a.tif", BANDS, tiled=True, blockxsize=16, blockysize=16))
    wrong = []

    def read(seed: int) -> None:
        g = np.random.default_rng(seed)
        for _ in range(40):
            y, x = int(g.integers(0, 30)), int(g.integers(0, 40))
            found = volume.read(Box((0, y, x), (1, y + 8, x + 8)))[:, 0]
            if not np.array_equal(found, BANDS[:, y : y + 8, x : x + 8]):
                wrong.append((y, x))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_place_survives_every_step(tmp_path: Path) -> None:
    image = segkit.open_volume(write(tmp_path / "a.tif", BANDS))
    part = image.crop(Box((0, 4, 6), (1, 36, 46)))
    stored = segkit.write_volume(part, tmp_path / "part.zarr", block_shape=(1, 16, 16), chunk_shape=(1, 16, 16))
    again = segkit.open_volume(tmp_path / "part.zarr").crop(Box((0, 10, 10), (1, 20, 30)))
    assert stored.metadata["georeference"] == image.metadata["georeference"]
    labels = again.with_array(rng.integers(0, 9, (1, 10, 20)).astype(np.uint64), "zyx")
    export_volume(labels, tmp_path / "labels.tif")
    assert corner_of(tmp_path / "labels.tif") == pytest.approx((10, 0, CORNER[0] + 160, 0, -20, CORNER[1] - 280))
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "labels.tif").read(), labels.read())


def test_another_voxel_size_or_offset_moves_nothing_on_the_map(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", BANDS)
    part = segkit.open_volume(path).crop(Box((0, 4, 6), (1, 36, 46)))
    for changed in (
        segkit.open_volume(part, voxel_size=(1.0, 3.0, 5.0)),
        segkit.open_volume(part, offset=(7.0, 8.0, 9.0)),
        segkit.open_volume(path, voxel_size=(1.0, 3.0, 5.0), offset=(7.0, 8.0, 9.0)).crop(Box((0, 4, 6), (1, 36, 46))),
    ):
        export_volume(changed, tmp_path / "b.tif", overwrite=True)
        assert corner_of(tmp_path / "b.tif") == pytest.approx((10, 0, CORNER[0] + 60, 0, -20, CORNER[1] - 80))


def test_converting_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.tif", BANDS)

    def convert(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["convert", *map(str, arguments)])
        return int(ended.value.code or 0)

    assert convert(path, tmp_path / "b.zarr", "--region", "y10:30") == 0
    assert convert(tmp_path / "b.zarr", tmp_path / "c.tif", "--region", "x-20:") == 0
    assert "WGS 84 / UTM zone 16N" in capsys.readouterr().out
    assert corner_of(tmp_path / "c.tif") == pytest.approx((10, 0, CORNER[0] + 320, 0, -20, CORNER[1] - 200))
    with rasterio.open(tmp_path / "c.tif") as file:
        np.testing.assert_array_equal(file.read(), BANDS[:, 10:30, 32:])
    assert convert(tmp_path / "b.zarr", tmp_path / "d.tif", "--format", "tiff") == 0
    assert "georeference" not in segkit.open_volume(tmp_path / "d.tif").metadata


def test_plain_tiffs_are_left_to_others(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "plain.tif", BANDS[0])
    (tmp_path / "broken.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    path = write(tmp_path / "geo.tif", BANDS)
    accepts = segkit_geotiff.geotiff().accepts
    assert [accepts(str(p)) for p in (tmp_path / "plain.tif", tmp_path / "broken.tif", path)] == [False, False, True]
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(DataError):
        segkit.open_volume(tmp_path / "cut.tif").read()


def test_sidecar_files_are_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", BANDS)
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><SRS>EPSG:4326</SRS><Metadata><MDI key="x">y</MDI></Metadata></PAMDataset>'
    )
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    assert segkit.open_volume(path).metadata["georeference"]["transform"][:2] == [10.0, 0.0]
    export_volume(segkit.open_volume(path), tmp_path / "b.tif")
    assert not (tmp_path / "b.tif.aux.xml").exists()


def test_a_georeference_that_cannot_be_used(tmp_path: Path) -> None:
    volume = Volume.from_array(BANDS[0], metadata={"georeference": {"crs": "nowhere"}})
    with pytest.raises(DataError, match="--format tiff"):
        export_volume(volume, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_without_rasterio_it_is_a_plain_tiff(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", BANDS)
    code = (
        "import sys; sys.modules['rasterio'] = None\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'rasterio' else found(name, *a)\n"
        "import segkit; from segkit.errors import PluginError\n"
        "volume = segkit.open_volume(sys.argv[1]); assert 'geotiff' in volume.metadata, volume.metadata\n"
        "try: segkit.formats['geotiff']().open(sys.argv[1])\n"
        "except PluginError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert 'pip install "segkit-sdk[geo]"' in done.stdout, done.stderr


@pytest.mark.skipif(not MARIDA.is_file(), reason="SEGKIT_TEST_DATA names no folder with marida")
def test_satellite_scenes(tmp_path: Path) -> None:
    with tarfile.open(MARIDA) as archive:
        members = [m for m in archive.getmembers() if m.name.endswith(".tif")][:6]
        archive.extractall(tmp_path, members, filter="data")
    for path in tmp_path.rglob("*.tif"):
        volume = segkit.open_volume(path)
        with rasterio.open(path) as file:
            expected, transform, crs = file.read(), tuple(file.transform)[:6], file.crs
        np.testing.assert_array_equal(volume.read().reshape(expected.shape), expected)
        assert volume.voxel_size[1:] == pytest.approx((1e10, 1e10))
        export_volume(volume.crop(Box((0, 100, 50), (1, 140, 90))), tmp_path / "o.tiff", overwrite=True)
        with rasterio.open(tmp_path / "o.tiff") as file:
            assert file.crs == crs
            a, b, c, d, e, f = transform
            assert tuple(file.transform)[:6] == pytest.approx((a, b, c + 500, d, e, f - 1000))


LIMITED = """
import resource, signal, sys, segkit
from segkit.errors import StorageError
from segkit.opening import export_volume
volume = segkit.open_volume(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    export_volume(volume, sys.argv[2])
except StorageError as error:
    print("refused", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit to simulate a full disk")
def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    export_volume(segkit.open_volume(write(tmp_path / "a.tif", BANDS)), tmp_path / "b.tif")
    for limit in (3000, (tmp_path / "b.tif").stat().st_size - 10):  # in the middle, and when GDAL closes the file
        arguments = [str(tmp_path / "a.tif"), str(tmp_path / "c.tif"), str(limit)]
        done = subprocess.run([sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True)
        assert done.stdout.startswith("refused"), done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]
