"""Damaged and hostile files: read or refused, in seconds, in little memory, and nothing else happens.

Seeds of every format are flipped, cut and spliced. Child processes read many of them each; one that dies or is late fails
the test with the name of the file, which stays behind.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from segkit.store import create_zarr

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is watched through /proc")

READER = Path(__file__).parent / "fixtures" / "fuzz_reader.py"
# Where a copy of the image-tiff project's collection lies, on machines that have one.
AWKWARD = Path(os.environ.get("SEGKIT_TEST_DATA", "absent"), "awkward-tiffs")
SECONDS, MEBIBYTES = 10.0, 2048  # of processor time, so that a busy machine fails nothing
LATE = 100.0

rng = np.random.default_rng(5)
ARRAY = rng.integers(0, 60, (6, 20, 24)).astype(np.uint16)

TIFFS: dict[str, dict[str, Any]] = {
    "plain.tif": {},
    "big.tif": {"bigtiff": True},
    "be.tif": {"byteorder": ">", "compression": "zlib"},
    "tiled.tif": {"tile": (16, 16), "compression": "zstd"},
    "lzw.tif": {"compression": "lzw", "rowsperstrip": 4},
    "ij.tif": {"imagej": True},
    "o.ome.tif": {"ome": True, "compression": "packbits"},
    "j2k.tif": {"compression": "jpeg2000", "tile": (16, 16)},
    "pages.tif": {"compression": "deflate", "metadata": None},
}


def write_files(folder: Path) -> list[Path]:
    """Write one small file of each kind."""
    for name, options in TIFFS.items():
        tifffile.imwrite(folder / name, ARRAY, **{"photometric": "minisblack"} | options)
    iio.imwrite(folder / "a.png", ARRAY[0])
    iio.imwrite(folder / "a.jpg", ARRAY[0].astype(np.uint8))
    np.save(folder / "a.npy", ARRAY)
    layouts: dict[str, dict[str, Any]] = {
        "gzip": {"chunks": (2, 8, 8), "compression": "gzip", "fletcher32": True},
        "lzf": {"chunks": (2, 8, 8), "compression": "lzf", "shuffle": True},
        "whole": {},
    }
    for name, options in layouts.items():
        for version in ("earliest", "latest"):
            with h5py.File(folder / f"{name}_{version}.h5", "w", libver=version) as file:
                file.create_dataset("volumes/raw", data=ARRAY, **options)
                file["volumes/raw"].attrs["resolution"] = [40.0, 4.0, 4.0]
                file["volumes/raw"].dims[0].label = "z"
                file["words"] = "no image"
    if find_spec("rasterio"):
        import rasterio

        place = {"crs": "EPSG:32616", "transform": rasterio.Affine(10, 0, 387900, 0, -10, 1767040), "nodata": 0}
        shape = {"driver": "GTiff", "count": 6, "height": 20, "width": 24, "dtype": "uint16"}
        for name, options in {
            "strips": {"compress": "lzw"},
            "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "interleave": "band"},
        }.items():
            with rasterio.open(folder / f"geo_{name}.tif", "w", **shape, **place, **options) as scene:
                scene.write(ARRAY)
                scene.set_band_description(1, "B1")
    if find_spec("pylibCZIrw") and find_spec("bioio_czi"):
        from pylibCZIrw import czi

        with czi.create_czi(str(folder / "a.czi")) as stack:
            for z, plane in enumerate(ARRAY):
                stack.write(plane[..., None], plane={"C": 0, "Z": z, "T": 0})
            stack.write_metadata("a", channel_names={0: "DAPI"}, scale_x=1e-7, scale_y=1e-7, scale_z=5e-7)
    if find_spec("mrcfile"):
        import mrcfile

        with mrcfile.new(folder / "a.mrc") as map_file:
            map_file.set_data(ARRAY.astype(np.int16))
            map_file.voxel_size = 8.0
    if find_spec("nibabel"):
        import nibabel

        for name, kind in {"a.nii": nibabel.Nifti1Image, "a.nii.gz": nibabel.Nifti2Image}.items():
            nibabel.save(kind(ARRAY.T, np.eye(4)), folder / name)
    return sorted(folder.iterdir())


def damage(whole: bytes, other: bytes, randomly: random.Random) -> bytes:
    """Flip, cut or splice the bytes of a file, most often at its beginning."""
    changed = bytearray(whole)

    def place() -> int:
        return randomly.randrange(min(len(changed), 3000) if randomly.random() < 0.7 else len(changed))

    kind = randomly.random()
    if kind < 0.08:
        return bytes(changed[: place()])
    if kind < 0.16:
        start, length = place(), randomly.randrange(1, 600)
        part = other[start : start + length]
        changed[start : start + (length if randomly.random() < 0.5 else 0)] = part
        return bytes(changed)
    for _ in range(randomly.choice([1, 1, 2, 4, 16])):
        at = place()
        if randomly.random() < 0.3:
            changed[at : at + 4] = randomly.choice(
                [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x10"]
            )
        else:
            changed[at] = randomly.randrange(256)
    return bytes(changed)


def mutants(seeds: list[Path], folder: Path, count: int) -> Iterator[Path]:
    """Yield damaged copies, each under a name of its own (a library may remember a file that it knows)."""
    randomly = random.Random(11)
    whole = {seed: seed.read_bytes() for seed in seeds}
    for number in range(count):
        seed = seeds[number % len(seeds)]
        kin = [other for other in seeds if other.suffix == seed.suffix]
        path = folder / f"{number}_{seed.name}"
        path.write_bytes(damage(whole[seed], whole[randomly.choice(kin)], randomly))
        yield path


EXTREMES: list[Any] = [
    0,
    -1,
    1,
    2**31,
    2**40,
    10**30,
    0.5,
    float("nan"),
    "",
    "x",
    None,
    [],
    {},
    [0, 0, 0],
    [1, 1, 1],
    True,
]


def change(content: Any, randomly: random.Random) -> Any:
    """Replace something within a JSON document."""
    at: Any = content
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return content
        key = randomly.choice(keys)
        inner = at[key]
        if isinstance(inner, dict | list) and inner and randomly.random() < 0.85:
            at = inner
        elif isinstance(at, dict) and randomly.random() < 0.1:
            del at[key]
            return content
        else:
            at[key] = randomly.choice(EXTREMES)
            return content


def write_stores(folder: Path) -> list[Path]:
    """Write small stores of Zarr 2 and 3, plain and OME."""
    (blocks,) = create_zarr(
        folder / "own.zarr", shape=ARRAY.shape, dtype="u2", axes="zyx", block_shape=(8, 16, 16), chunk_shape=(4, 8, 8)
    )
    for box in blocks.lattice:
        blocks.write(box, ARRAY[box.slices])
    plain = zarr.create_array(folder / "v2.zarr", shape=ARRAY.shape, dtype="u2", chunks=(3, 8, 8), zarr_format=2)
    plain[:] = ARRAY
    inner = zarr.create_array(
        folder / "ome2.zarr" / "0", shape=ARRAY.shape, dtype="u2", chunks=(3, 8, 8), zarr_format=2
    )
    inner[:] = ARRAY
    (folder / "ome2.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [30, 8, 8]}]
    level = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}], "version": "0.4"}
    (folder / "ome2.zarr" / ".zattrs").write_text(json.dumps({"multiscales": [level]}))
    return sorted(folder.iterdir())


def broken_stores(stores: list[Path], folder: Path, count: int) -> Iterator[Path]:
    """Yield copies of stores of which a metadata file or a chunk is damaged."""
    randomly = random.Random(12)
    for number in range(count):
        store = stores[number % len(stores)]
        path = folder / f"{number}_{store.name}"
        shutil.copytree(store, path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        described = [file for file in files if file.name in ("zarr.json", ".zarray", ".zattrs", ".zgroup")]
        file = randomly.choice(described if randomly.random() < 0.8 else files)
        content = file.read_bytes()
        if file in described and randomly.random() < 0.7:
            found = json.loads(content)
            for _ in range(randomly.choice([1, 1, 2, 3])):
                found = change(found, randomly)
            file.write_text(json.dumps(found))
        else:
            file.write_bytes(damage(content, content, randomly) if content else b"{")
        yield path


class Reader:
    """A process that reads files; a new one follows one that died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path) -> tuple[str, float, int, list[str]]:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(READER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        process = self.process
        late = threading.Timer(LATE, process.kill)
        late.start()
        process.stdin.write(f"{path}\n".encode())  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        line = process.stdout.readline()  # type: ignore[union-attr]
        late.cancel()
        if line:
            return tuple(json.loads(line))  # type: ignore[return-value]
        self.close()
        return f"the process died with {process.returncode}", 0.0, 0, []

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()  # type: ignore[union-attr]
            self.process.wait()
            self.process.stdout.close()  # type: ignore[union-attr]
            self.process = None


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def check(reader: Reader, paths: Iterator[Path] | list[Path]) -> dict[str, int]:
    """Read files; whatever breaks a promise fails the test, all others are removed."""
    outcomes = {"read": 0, "refused": 0}
    wrong = []
    for path in paths:
        found, seconds, mebibytes, offences = reader.ask(path)
        if found not in outcomes or seconds > SECONDS or mebibytes > MEBIBYTES or offences:
            wrong.append(f"{path}: {found}, {seconds:.1f} s, {mebibytes} MiB {offences}")
            continue
        outcomes[found] += 1
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    assert not wrong, "\n".join(wrong)
    return outcomes


def fuzz(reader: Reader, folder: Path, files: int, stores: int) -> None:
    for name in ("seeds", "stores", "mutants"):
        (folder / name).mkdir()
    seeds = write_files(folder / "seeds")
    assert check(reader, [Path(shutil.copy(seed, folder / "mutants")) for seed in seeds])["refused"] == 0
    seeds += sorted(AWKWARD.glob("*.tif*"))
    outcomes = check(reader, mutants(seeds, folder / "mutants", files))
    assert min(outcomes.values()) > files // 10
    kept = write_stores(folder / "stores")
    outcomes = check(reader, broken_stores(kept, folder / "mutants", stores))
    assert min(outcomes.values()) > stores // 10


def test_damaged_files(reader: Reader, tmp_path: Path) -> None:
    fuzz(reader, tmp_path, 120, 24)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_damaged_files(reader: Reader, tmp_path: Path) -> None:
    fuzz(reader, tmp_path, 2000, 600)


def zeros(wbits: int = zlib.MAX_WBITS) -> bytes:
    """Return 3 GiB of zeros, deflated."""
    packer, piece = zlib.compressobj(1, wbits=wbits), bytes(2**24)
    return b"".join(packer.compress(piece) for _ in range(192)) + packer.flush()


def tiff_bomb(path: Path) -> None:
    tifffile.imwrite(path, ARRAY[0], compression="zlib", rowsperstrip=20)
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[0].tags["StripByteCounts"].valueoffset
        start = tif.pages[0].tags["StripOffsets"].valueoffset
    bomb, whole = zeros(), bytearray(path.read_bytes())
    whole[place : place + 4] = struct.pack("<I", len(bomb))
    whole[start : start + 4] = struct.pack("<I", len(whole))
    for at in (place - 6, start - 6):
        whole[at : at + 2] = struct.pack("<H", 4)
    path.write_bytes(bytes(whole) + bomb)


def png_bomb(path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 24, 20, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zeros()) + chunk(b"IEND", b""))


def hdf5_bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("raw", (6, 20, 24), "u2", chunks=(6, 20, 24), compression="gzip")
        stored.id.write_direct_chunk((0, 0, 0), zeros())


def zarr_bomb(path: Path, version: int, codec: str) -> None:
    chosen: dict[str, Any] = (
        {"compressors": {"id": codec, "level": 1}}
        if version == 2
        else {"compressors": {"name": codec, "configuration": {"level": 1}}}
    )
    array = zarr.create_array(path, shape=(6, 20, 24), dtype="u2", chunks=(6, 20, 24), zarr_format=version, **chosen)  # type: ignore[arg-type]
    array[:] = ARRAY
    (chunk,) = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".z", "zarr"))]
    if codec == "zstd":
        import imagecodecs

        chunk.write_bytes(imagecodecs.zstd_encode(bytes(2**28), level=1) * 12)
    else:
        chunk.write_bytes(zeros())


def deep_json(path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def many_chunks(path: Path) -> None:
    zarr.create_array(path, shape=(2**14, 2**14, 2**14), dtype="u1", chunks=(1, 1, 1), zarr_format=3)


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


BOMBS: dict[str, Callable[[Path], object]] = {
    "bomb.tif": tiff_bomb,
    "bomb.png": png_bomb,
    "bomb.h5": hdf5_bomb,
    "v2.zarr": lambda path: zarr_bomb(path, 2, "zlib"),
    "zstd.zarr": lambda path: zarr_bomb(path, 3, "zstd"),
    "deep.zarr": deep_json,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_gigabytes(reader: Reader, tmp_path: Path, name: str) -> None:
    BOMBS[name](tmp_path / name)
    check(reader, [tmp_path / name])


def test_what_claims_or_does_too_much(reader: Reader, tmp_path: Path) -> None:
    deep_json(tmp_path / "deep.zarr")
    many_chunks(tmp_path / "many.zarr")
    canary = tmp_path / "canary"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload(canary)], object), allow_pickle=True)
    (tmp_path / "payload.npy").write_bytes(buffer.getvalue())
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Payload(canary)))
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 10}">' for n in range(12))
    description = (
        f'<?xml version="1.0"?><!DOCTYPE OME [{entities}]><OME xmlns="http://www.openmicroscopy.org/x">&e11;</OME>'
    )
    tifffile.imwrite(tmp_path / "entities.ome.tif", ARRAY, description=description, metadata=None)
    check(reader, sorted(tmp_path.iterdir()))
    assert not canary.exists()
