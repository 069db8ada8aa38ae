"""Microscope files: real CZI files written by their maker's library."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import segkit
import segkit_bioio
from segkit import Box
from segkit.errors import DataError, PluginError
from segkit.testing import check_format

czi = pytest.importorskip(
    "pylibCZIrw.czi", reason="pylibCZIrw is not installed, which writes the files for these tests"
)
pytest.importorskip("bioio_czi", reason="bioio-czi is not installed: pip install 'segkit-sdk[bioio]'")

rng = np.random.default_rng(3)
STACK = rng.integers(0, 4000, (2, 5, 24, 32)).astype(np.uint16)
SCALE = {"scale_x": 0.1e-6, "scale_y": 0.2e-6, "scale_z": 0.5e-6}


@pytest.fixture(autouse=True)
def _only_this_format(isolated_plugins: object) -> None:
    segkit.register(segkit_bioio)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("czi") / "stack.czi"
    with czi.create_czi(str(path)) as file:
        for c, z in np.ndindex(2, 5):
            file.write(STACK[c, z][..., None], plane={"C": c, "Z": z, "T": 0})
        file.write_metadata("stack", channel_names={0: "DAPI", 1: "GFP"}, **SCALE)
    return path


def test_channels_depth_and_voxel_size(stack: Path) -> None:
    volume = segkit.open_volume(stack)
    assert (volume.axes, volume.shape, volume.unit) == ("czyx", STACK.shape, "nm")
    assert volume.voxel_size == pytest.approx((500, 200, 100))
    assert volume.channel_names == ("DAPI", "GFP")
    assert volume.chunks == (1, 1, 24, 32)
    np.testing.assert_array_equal(volume.read(), STACK)
    box = Box((1, 3, 4), (4, 20, 30))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(box), STACK[(slice(None), *box.slices)])
    check_format(segkit_bioio.bioio, source=stack)


def test_colours_and_tiles(tmp_path: Path) -> None:
    colours = rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)
    with czi.create_czi(str(tmp_path / "colours.czi")) as file:
        file.write(colours, plane={"C": 0, "Z": 0, "T": 0})
    volume = segkit.open_volume(tmp_path / "colours.czi")
    np.testing.assert_array_equal(volume.read()[:, 0], colours.transpose(2, 0, 1))
    box = Box((0, 3, 4), (1, 9, 20))
    np.testing.assert_array_equal(volume.read(box)[:, 0], colours.transpose(2, 0, 1)[:, 3:9, 4:20])
    with czi.create_czi(str(tmp_path / "tiles.czi")) as file:
        for y in (0, 12):
            for x in (0, 16):
                tile = STACK[0, 0, y : y + 12, x : x + 16, None].copy()
                file.write(tile, plane={"C": 0, "Z": 0, "T": 0}, location=(x, y))
    np.testing.assert_array_equal(segkit.open_volume(tmp_path / "tiles.czi").read().squeeze(), STACK[0, 0])


def test_threads_read_at_once(stack: Path) -> None:
    volume, found = segkit.open_volume(stack), {}

    def read(z: int) -> None:
        found[z] = volume.read(Box((z, 0, 0), (z + 1, 24, 32)))

    threads = [threading.Thread(target=read, args=(z,)) for z in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.concatenate([found[z] for z in range(5)], axis=1), STACK)


def test_time_points_and_scenes_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "times.czi"
    with czi.create_czi(str(path)) as file:
        for t in range(3):
            file.write(STACK[0, t][..., None], plane={"C": 0, "Z": 0, "T": t}, scene=0)
    with pytest.raises(DataError, match=r"3 time points.*time=0"):
        segkit.open_volume(path)
    chosen = segkit.formats["bioio"](time=2).open(str(path))
    np.testing.assert_array_equal(chosen.read().squeeze(), STACK[0, 2])
    assert chosen.unit == "voxel"
    with pytest.raises(DataError, match="no number 3"):
        segkit.formats["bioio"](time=3).open(str(path))

    np.testing.assert_array_equal(segkit.open_volume(f"{path}#time=1").read().squeeze(), STACK[0, 1])
    (scene,) = chosen.metadata["scenes"]
    for name in (scene, "0"):
        assert segkit.formats["bioio"](scene=name, time=0).open(str(path)).metadata["scene"] == scene
    with pytest.raises(DataError, match=rf"no scene 'other'.*counted from 0: {scene}"):
        segkit.formats["bioio"](scene="other").open(str(path))


def test_what_is_to_be_installed(tmp_path: Path) -> None:
    for name, package in (("a.lif", "bioio-lif"), ("a.nd2", "bioio-nd2"), ("a.oib", "bioio-bioformats")):
        (tmp_path / name).write_bytes(b"x" * 99)
        with pytest.raises(PluginError, match=f"pip install {package}"):
            segkit.open_volume(tmp_path / name)


def test_asking_whether_it_is_one_imports_nothing(stack: Path) -> None:
    code = (
        "import sys, segkit_bioio; assert segkit_bioio.bioio().accepts(sys.argv[1]); "
        "assert not {'bioio', 'dask', 'xarray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(stack)], check=True)


def test_damaged_files_are_refused(stack: Path, tmp_path: Path) -> None:
    whole = stack.read_bytes()
    for cut in (0, 40, len(whole) // 2, len(whole) - 900):
        (tmp_path / f"{cut}.czi").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=f"{cut}.czi"):
            segkit.open_volume(tmp_path / f"{cut}.czi").read()
