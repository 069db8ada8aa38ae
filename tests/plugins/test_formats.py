"""The built-in formats: the same voxels from any of them, and one kind of error for damaged files."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segkit
import segkit_formats
from segkit import Box, Volume
from segkit.errors import DataError
from segkit.store import create_zarr

rng = np.random.default_rng(5)
ARRAY = rng.integers(0, 60000, (6, 20, 24)).astype(np.uint16)
COLOURS = rng.integers(0, 255, (5, 20, 24, 3)).astype(np.uint8)
# Where a copy of the image-tiff project's collection lies, on machines that have one.
AWKWARD = Path(os.environ.get("SEGKIT_TEST_DATA", "absent"), "awkward-tiffs")


@pytest.fixture(autouse=True)
def _only_these_formats(isolated_plugins: object) -> None:
    segkit.register(segkit_formats)


def check(volume: Volume, expected: np.ndarray) -> None:
    """Compare whole, in part, and after a journey to another process."""
    np.testing.assert_array_equal(volume.read(), expected)
    assert volume.dtype == expected.dtype.newbyteorder("=")
    start = tuple(n // 3 for n in volume.spatial_shape)
    box = Box.of_shape(tuple(max(1, n // 2) for n in volume.spatial_shape), start)
    box = box & volume.box or volume.box
    np.testing.assert_array_equal(volume.read(box), expected[(..., *box.slices)])
    travelled = pickle.loads(pickle.dumps(volume))
    np.testing.assert_array_equal(travelled.read(box), expected[(..., *box.slices)])


TIFFS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "zlib": {"compression": "zlib"},
    "lzw": {"compression": "lzw", "predictor": True},
    "strips": {"compression": "zstd", "rowsperstrip": 3},
    "tiles": {"compression": "zlib", "tile": (16, 16)},
    "tiles, big-endian": {"compression": "zlib", "tile": (16, 16), "byteorder": ">"},
    "tiles, uncompressed": {"tile": (16, 16)},
}


@pytest.mark.parametrize("options", TIFFS.values(), ids=TIFFS.keys())
def test_tiff_stacks(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ARRAY, photometric="minisblack", **options)
    volume = segkit.open_volume(path)
    check(volume, ARRAY)
    assert volume.axes == "zyx"
    assert (volume.chunks is None) == (not options.keys() & {"compression", "tile"})


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_tiff_types(tmp_path: Path, dtype: str) -> None:
    array = (ARRAY[0] % 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array)
    check(segkit.open_volume(tmp_path / "a.tif"), array[None])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["contiguous", "zlib", "tiles"]))
def test_any_region_of_a_tiff(tmp_path: Path, data: st.DataObject, name: str) -> None:
    path = tmp_path / f"{name}.tif"
    if not path.exists():
        tifffile.imwrite(path, ARRAY, photometric="minisblack", **TIFFS[name])
    start = tuple(data.draw(st.integers(0, n - 1)) for n in ARRAY.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, ARRAY.shape, strict=True))
    np.testing.assert_array_equal(
        segkit_formats.tiff().open(str(path)).read(Box(start, stop)), ARRAY[Box(start, stop).slices]
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_channels(tmp_path: Path, planar: Any) -> None:
    image = COLOURS[0] if planar == "contig" else COLOURS[0].transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", planarconfig=planar, compression="zlib")
    check(segkit.open_volume(tmp_path / "a.tif"), COLOURS[0].transpose(2, 0, 1)[:, None])


def test_imagej_says_axes_and_voxel_size(tmp_path: Path) -> None:
    image = rng.integers(0, 255, (4, 2, 20, 24)).astype(np.uint8)  # z, c, y, x
    metadata = {"axes": "ZCYX", "spacing": 0.05, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(125, 100), metadata=metadata)
    volume = segkit.open_volume(tmp_path / "a.tif")
    check(volume, image.transpose(1, 0, 2, 3))
    assert volume.voxel_size == pytest.approx((50, 10, 8))
    assert volume.unit == "nm"


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}], ids=["plain", "tiles"])
def test_ome_says_axes_and_voxel_size(tmp_path: Path, options: dict[str, Any]) -> None:
    image = rng.integers(0, 255, (1, 2, 4, 20, 24)).astype(np.uint8)
    metadata = {"axes": "TCZYX", "PhysicalSizeZ": 30.0, "PhysicalSizeZUnit": "nm"}
    metadata |= {"PhysicalSizeX": 0.008, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.01}
    tifffile.imwrite(tmp_path / "a.ome.tif", image, ome=True, metadata=metadata, **options)
    volume = segkit.open_volume(tmp_path / "a.ome.tif")
    check(volume, image[0])
    assert volume.voxel_size == pytest.approx((30, 10, 8))


def test_resolution_for_printing_is_no_voxel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", ARRAY[0], resolution=(72, 72), resolutionunit="inch")
    assert segkit.open_volume(tmp_path / "a.tif").unit == "voxel"


def test_time_series_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(DataError, match="'t' has a length of 6"):
        segkit.open_volume(tmp_path / "a.tif")


def test_pyramids_and_series(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(ARRAY[0], subifds=1, tile=(16, 16))
        file.write(ARRAY[0, ::2, ::2], subfiletype=1, tile=(16, 16))
    volume = segkit.open_volume(tmp_path / "p.tif")
    assert [level.shape for level in volume.levels] == [(1, 10, 12)]
    assert volume.levels[0].voxel_size == (1, 2, 2)
    check(volume.levels[0], ARRAY[:1, ::2, ::2])
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(ARRAY[0])
        file.write(ARRAY[1, :8])
    check(segkit.formats["tiff"](series=1).open(str(tmp_path / "s.tif")), ARRAY[1:2, :8])
    with pytest.raises(DataError, match="no number 2"):
        segkit.formats["tiff"](series=2).open(str(tmp_path / "s.tif"))


def test_a_georeference_is_kept(tmp_path: Path) -> None:
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0))]
    tifffile.imwrite(tmp_path / "a.tif", ARRAY[0], extratags=tags)
    assert segkit.open_volume(tmp_path / "a.tif").metadata["geotiff"]["pixel_scale"] == [10, 10, 0]


def test_slices_in_natural_order(tmp_path: Path) -> None:
    for z in range(12):
        tifffile.imwrite(tmp_path / f"s{z}.tif", ARRAY[z % 6] + z)
    volume = segkit.open_volume(tmp_path)
    check(volume, np.stack([ARRAY[z % 6] + z for z in range(12)]))
    some = segkit.open_volume(str(tmp_path / "s1*.tif"))
    np.testing.assert_array_equal(some.read()[:, 0, 0], [ARRAY[z % 6, 0, 0] + z for z in (1, 10, 11)])


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_pictures_alone_and_as_slices(tmp_path: Path, suffix: str, colour: bool) -> None:
    for z in range(3):
        iio.imwrite(tmp_path / f"{z}.{suffix}", COLOURS[z] if colour else COLOURS[z, ..., 0])
    expected = np.stack([iio.imread(tmp_path / f"{z}.{suffix}") for z in range(3)])
    expected = np.moveaxis(expected, -1, 0) if colour else expected
    if suffix != "jpg":
        check(segkit.open_volume(tmp_path), expected)
        check(segkit.open_volume(tmp_path / f"0.{suffix}"), expected[..., :1, :, :])
    else:  # decoders of JPEG differ in rounding
        assert np.abs(segkit.open_volume(tmp_path).read().astype(int) - expected).max() <= 3


def test_opaque_alpha_is_no_channel(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (6, 7, 4), np.uint8)
    iio.imwrite(tmp_path / "see_through.png", colours)
    colours[..., 3] = 255
    iio.imwrite(tmp_path / "opaque.png", colours)
    assert segkit.open_volume(tmp_path / "see_through.png").shape == (4, 1, 6, 7)
    check(segkit.open_volume(tmp_path / "opaque.png"), np.moveaxis(colours[..., :3], 2, 0)[:, None])


def test_png_of_16_bits(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", ARRAY[0])
    check(segkit.open_volume(tmp_path / "a.png"), ARRAY[:1])


def test_a_slice_that_does_not_fit_is_named(tmp_path: Path) -> None:
    for z in range(3):
        tifffile.imwrite(tmp_path / f"{z}.tif", ARRAY[z] if z < 2 else ARRAY[z, :9])
    with pytest.raises(DataError, match=r"2\.tif is 9 x 24.*0\.tif is 20 x 24"):
        segkit.open_volume(tmp_path)
    (tmp_path / "2.tif").unlink()
    iio.imwrite(tmp_path / "2.png", ARRAY[0])
    with pytest.raises(DataError, match=r"several kinds \(\.png, \.tif\)"):
        segkit.open_volume(tmp_path)
    with pytest.raises(DataError, match="No file fits"):
        segkit.open_volume(str(tmp_path / "none*.tif"))
    tifffile.imwrite(tmp_path / "1.tif", ARRAY[:2], photometric="minisblack")
    with pytest.raises(DataError, match="several images"):
        segkit.open_volume(str(tmp_path / "*.tif"))


def test_a_slice_that_goes_bad_later_is_named(tmp_path: Path) -> None:
    for z in range(3):
        iio.imwrite(tmp_path / f"{z}.png", ARRAY[z])
    volume = segkit.open_volume(tmp_path)
    iio.imwrite(tmp_path / "1.png", ARRAY[1, :5])
    with pytest.raises(DataError, match=r"1\.png"):
        volume.read()


def test_hdf5_datasets(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("volumes/raw", data=ARRAY, chunks=(2, 8, 8), compression="gzip")
        file["volumes/raw"].attrs["resolution"] = [40.0, 4.0, 4.0]
        file["volumes/raw"].attrs["offset"] = [80.0, 0.0, 0.0]
    volume = segkit.open_volume(path)
    check(volume, ARRAY)
    assert (volume.chunks, volume.voxel_size, volume.offset) == ((2, 8, 8), (40, 4, 4), (80, 0, 0))
    assert volume.source == f"{path}:volumes/raw"
    path = tmp_path / "b.h5"
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = ARRAY
        file["names"] = ["no", "image"]
        file["labels"] = ARRAY.astype(">u8")
        file["labels"].attrs["element_size_um"] = [0.04, 0.004, 0.004]
    labels = segkit.open_volume(f"{path}:labels")
    check(labels, ARRAY.astype("u8"))
    assert labels.voxel_size == pytest.approx((40, 4, 4))
    with pytest.raises(DataError, match="2 datasets .*'labels', 'volumes/raw'.*say which"):
        segkit.open_volume(path)
    with pytest.raises(DataError, match="Did you mean 'labels'"):
        segkit.open_volume(f"{path}:label")
    with pytest.raises(DataError, match="no array of numbers"):
        segkit.open_volume(f"{path}:names")


def test_hdf5_axes_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = ARRAY.transpose(2, 1, 0)
        for axis, label in enumerate("xyz"):
            file["raw"].dims[axis].label = label
    check(segkit.open_volume(tmp_path / "a.h5"), ARRAY)


def test_numpy_files(tmp_path: Path) -> None:
    for name, array in {"a": ARRAY, "b": np.asfortranarray(ARRAY), "c": ARRAY.astype(">u4")}.items():
        np.save(tmp_path / f"{name}.npy", array)
        check(segkit.open_volume(tmp_path / f"{name}.npy"), array)
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.save(tmp_path / "d.npy", ARRAY[0, 0])
    for name in ("o", "d"):
        with pytest.raises(DataError):
            segkit.open_volume(tmp_path / f"{name}.npy")


def test_ome_zarr_and_its_live_view(tmp_path: Path) -> None:
    (blocks,) = create_zarr(
        tmp_path / "a.zarr", shape=ARRAY.shape, dtype="u2", axes="zyx", block_shape=(6, 16, 16), chunk_shape=(6, 8, 8)
    )
    live = segkit.formats["ome_zarr"](live=True).open(str(tmp_path / "a.zarr"))
    assert live.read().max() == 0
    for box in blocks.lattice:
        blocks.write(box, ARRAY[box.slices])
    np.testing.assert_array_equal(live.read(), ARRAY)
    check(segkit.open_volume(tmp_path / "a.zarr"), ARRAY)


def outcome(path: Path) -> Volume | None:
    """Open and read; anything but a `DataError`, or more than 10 seconds, fails the test."""
    began, said = time.monotonic(), ""
    try:
        volume: Volume | None = segkit.open_volume(path)
        if volume.nbytes < 2**28:
            volume.read()
    except DataError as error:
        volume, said = None, str(error)
    assert "\n" not in said
    assert time.monotonic() - began < 10
    return volume


def seeds(folder: Path) -> dict[str, bytes]:
    small = ARRAY // np.uint16(900)
    made: dict[str, dict[str, Any]] = {
        "plain.tif": {},
        "big.tif": {"bigtiff": True},
        "be.tif": {"byteorder": ">", "compression": "zlib"},
        "tiled.tif": {"tile": (16, 16), "compression": "zstd"},
        "lzw.tif": {"compression": "lzw", "rowsperstrip": 4},
        "ij.tif": {"imagej": True},
        "o.ome.tif": {"ome": True, "compression": "packbits"},
        "j2k.tif": {"compression": "jpeg2000", "tile": (16, 16)},
    }
    found = {}
    for name, options in made.items():
        tifffile.imwrite(
            folder / name, small, **({} if "imagej" in options else {"photometric": "minisblack"}), **options
        )
        found[name] = (folder / name).read_bytes()
    iio.imwrite(folder / "a.png", small[0])
    iio.imwrite(folder / "a.jpg", COLOURS[0])
    np.save(folder / "a.npy", small)
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", data=small, chunks=(2, 8, 8), compression="gzip", fletcher32=True)
    return found | {name: (folder / name).read_bytes() for name in ("a.png", "a.jpg", "a.npy", "a.h5")}


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    for name, whole in seeds(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(whole)
        reference = outcome(path)
        assert reference is not None, name
        expected = reference.read()
        for cut in range(0, len(whole), max(1, len(whole) // 25)):
            path.write_bytes(whole[:cut])
            volume = outcome(path)
            if volume is not None:  # only what decoding does not need was lost
                np.testing.assert_array_equal(volume.read(), expected)


def test_claims_that_no_file_could_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ARRAY[0], compression="zlib", rowsperstrip=1)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        places = {name: tif.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength", "RowsPerStrip")}
    for name, place in places.items():
        for value in (0, 2**31, 2**32 - 1):
            size = 2 if whole[place - 8 + 2 : place - 8 + 4] == b"\x03\0" else 4
            changed = whole[:place] + value.to_bytes(4, "little")[-size:] + whole[place + size :]
            path.write_bytes(changed)
            began = time.monotonic()
            if name != "RowsPerStrip":
                with pytest.raises(DataError):
                    segkit.open_volume(path)
            else:
                outcome(path)
            assert time.monotonic() - began < 2


@pytest.mark.skipif(not AWKWARD.is_dir(), reason="SEGKIT_TEST_DATA names no folder with awkward-tiffs")
def test_awkward_tiffs() -> None:
    for path in sorted(AWKWARD.glob("*.tif*")):
        if path.name == "logluv-3c-16b.tiff":
            with pytest.raises(DataError, match="SGILOG"):
                segkit.open_volume(path).read()
            continue
        expected = tifffile.imread(path)
        volume = segkit.open_volume(path)
        assert volume.nbytes == expected.nbytes, path
        assert np.nansum(volume.read(), dtype=float) == pytest.approx(np.nansum(expected, dtype=float)), path


def test_hdf5_in_one_piece_is_mapped_and_chunks_are_read_elsewhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["whole"] = ARRAY
        file["swapped"] = ARRAY.astype(">i4")
        file["flags"] = ARRAY > 100
        file.create_dataset("chunks", data=ARRAY, chunks=(2, 8, 8), compression="lzf")
        file.create_dataset("packed", data=ARRAY, chunks=(2, 8, 8), scaleoffset=0)
        file.create_dataset("empty", ARRAY.shape, "u2")
    for name in ("whole", "swapped", "flags"):
        volume = segkit.open_volume(f"{tmp_path}/a.h5:{name}")
        assert isinstance(volume.array._array.array, np.memmap)
        expected = {"swapped": ARRAY.astype("i4"), "flags": ARRAY > 100}.get(name, ARRAY)
        check(volume, expected)
    for name in ("chunks", "packed"):
        check(segkit.open_volume(f"{tmp_path}/a.h5:{name}"), ARRAY)
    assert segkit.open_volume(f"{tmp_path}/a.h5:empty").read().max() == 0
