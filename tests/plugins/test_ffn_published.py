"""Published weights of flood-filling networks: the same numbers from every file, and one kind of error for damaged ones."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import torch

import segkit
from segkit.cli import main
from segkit.errors import DataError, SegkitError
from segkit.model import find_importer, import_model
from segkit.testing import check_importer

Array = np.ndarray[Any, Any]
STEP = 1234


def tensors(width: int = 3, depth: int = 2) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    found: dict[str, Array] = {"global_step": np.array(STEP, np.int32), "other/fraction": np.zeros(2, np.int64)}
    for layer in [f"conv{i}_{half}" for i in range(depth) for half in "ab"]:
        shape = (3, 3, 3, 2 if layer == "conv0_a" else width, width)
        found[f"seed_update/{layer}/weights"] = rng.normal(size=shape).astype(np.float32)
        found[f"seed_update/{layer}/biases"] = rng.normal(size=width).astype(np.float32)
    found["seed_update/conv_lom/weights"] = rng.normal(size=(1, 1, 1, width, 1)).astype(np.float32)
    found["seed_update/conv_lom/biases"] = rng.normal(size=1).astype(np.float32)
    return found


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def masked(data: bytes) -> int:
    plain = google_crc32c.value(data)
    return ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(entries: dict[bytes, bytes], kind: int = 0) -> bytes:
    """Return a LevelDB block: keys share their beginnings with the one before, all in one restart."""
    body, last = b"", b""
    for key, value in sorted(entries.items()):
        shared = next((i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), min(len(key), len(last)))
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    body += struct.pack("<II", 0, 1) + bytes([kind])
    return body + struct.pack("<I", masked(body))


def write_checkpoint(folder: Path, arrays: dict[str, Array], **changes: Any) -> Path:
    """Write a checkpoint as TensorFlow does; `changes` spoil one field of every tensor's entry, or the table."""
    data, entries = b"", {b"": b"\x08" + varint(changes.get("shards", 1)) + changes.get("header", b"")}
    for name, array in sorted(arrays.items()):
        numbers = array.tobytes()
        dimensions = b"".join(b"\x12" + varint(len(d)) + d for n in array.shape for d in [b"\x08" + varint(n)])
        entries[name.encode()] = (
            b"\x08"
            + varint(changes.get("dtype", {"f": 1, "i": 9 if array.itemsize == 8 else 3}[array.dtype.kind]))
            + (b"\x12" + varint(len(dimensions)) + dimensions)
            + (b"\x20" + varint(changes.get("offset", len(data))))
            + (b"\x28" + varint(changes.get("size", len(numbers))))
            + (b"\x35" + struct.pack("<I", changes.get("checksum", masked(numbers))))
            + changes.get("more", b"")
        )
        data += numbers
    parts, index = [block(entries, changes.get("kind", 0)), block({})], b""
    place = block({b"\xff": varint(0) + varint(len(parts[0]) - 5)})
    start = [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    handles = varint(start[1]) + varint(len(parts[1]) - 5) + varint(start[2]) + varint(len(place) - 5)
    index = b"".join([*parts, place, handles.ljust(40, b"\0"), struct.pack("<Q", 0xDB4775248B80FB57)])
    (folder / "net.ckpt-7.index").write_bytes(index)
    (folder / "net.ckpt-7.data-00000-of-00001").write_bytes(data)
    return folder / "net.ckpt-7.index"


def write_archive(folder: Path, arrays: dict[str, Array]) -> Path:
    np.savez(folder / "net.npz", **arrays)
    return folder / "net.npz"


@pytest.mark.parametrize("write", [write_checkpoint, write_archive])
def test_weights_become_a_model(tmp_path: Path, write: Any) -> None:
    arrays = tensors()
    path = write(tmp_path, arrays)
    model = import_model(path, options={"voxel_size": (33, 16, 16), "field_of_view": (9, 17, 17), "deltas": (2, 4, 4)})
    weights = model.network.state_dict()
    for index, name in enumerate(["first", "residuals.0.pair"]):
        for half in "ab":
            theirs = arrays[f"seed_update/conv{index}_{half}/weights"].transpose(4, 3, 0, 1, 2)
            assert np.array_equal(weights[f"{name}.{half}.weight"], theirs)
            assert np.array_equal(weights[f"{name}.{half}.bias"], arrays[f"seed_update/conv{index}_{half}/biases"])
    assert np.array_equal(weights["last.weight"][0, :, 0, 0, 0], arrays["seed_update/conv_lom/weights"][0, 0, 0, :, 0])
    assert model.architecture_choice.options["width"] == 3
    assert model.architecture_choice.options["depth"] == 2
    assert model.in_channels == 1
    assert model.patch_shape == (13, 25, 25)
    assert (model.voxel_size, model.unit) == ((33, 16, 16), "nm")
    assert model.details == {"source": path.name, "step": STEP}
    assert model.normalization.centre == (128,)
    assert model.task_choice.options["field_of_view"] == (9, 17, 17)
    assert import_model(path).unit == "voxel"
    check_importer(segkit.importers["google_ffn"], source=path)


def test_every_flipped_bit_of_a_checkpoint_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, tensors())
    wanted = import_model(path).network.state_dict()
    data = path.with_suffix(".data-00000-of-00001")
    errors: list[str] = []
    for file, places in ((path, range(path.stat().st_size)), (data, range(0, data.stat().st_size, 257))):
        whole = file.read_bytes()
        for place in places:
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                found = import_model(path, importer="google_ffn").network.state_dict()
            except DataError as error:
                errors.append(str(error))
            else:
                assert all(torch.equal(found[name], weight) for name, weight in wanted.items())
        file.write_bytes(whole)
    assert len(errors) > 500
    assert all(path.name in error for error in errors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": 1 << 40}, r"data-00000-of-00001 is too short \(\d+ bytes\): 'global_step' lies at 1099511627776"),
        ({"size": 1 << 40}, "has 1099511627776 bytes, which is not"),
        ({"checksum": 1}, "the checksum of 'global_step' in net.ckpt-7.data-00000-of-00001 is wrong"),
        ({"dtype": 7}, "is of the type 7"),
        ({"kind": 1}, "is compressed"),
        ({"header": b"\x10\x01"}, "big-endian"),
        ({"shards": 3}, "net.ckpt-7.data-00000-of-00003 is missing"),
        ({"shards": 0}, "counts 0 data files"),
        ({"more": b"\x3a\x00"}, "in slices"),
        ({"more": b"\x3d"}, "cut off"),
        ({"more": b"\xff" * 11}, "does not end"),
    ],
)
def test_a_checkpoint_that_is_not_believed(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_checkpoint(tmp_path, tensors(), **changes)
    with pytest.raises(DataError, match=message):
        import_model(path)


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, tensors())
    whole = path.read_bytes()
    for length in (0, 47, 48, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"net.ckpt-7.index cannot be read as a TensorFlow checkpoint.*Copy"):
            import_model(path)
    path.write_bytes(whole)
    data = path.with_suffix(".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(DataError, match="too short"):
        import_model(path)


@pytest.mark.parametrize("write", [write_checkpoint, write_archive])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda arrays: arrays.pop("seed_update/conv0_a/weights"), "no flood-filling network as google/ffn saves it"),
        (lambda arrays: arrays.pop("seed_update/conv1_b/biases"), "'seed_update/conv1_b/biases' of .* is missing"),
        (
            lambda arrays: arrays.update({"seed_update/conv1_a/weights": np.zeros((3, 3, 1, 3, 3), np.float32)}),
            r"of the shape \(3, 3, 1, 3, 3\) \(float32\), where \(3, 3, 3, 3, 3\)",
        ),
        (
            lambda arrays: arrays.update({"seed_update/conv70_a/biases": np.zeros(3, np.float32)}),
            r"'seed_update/conv2_a/weights' of .* is missing",
        ),
        (
            lambda arrays: arrays.update({"seed_update/conv0_a/biases": np.zeros(3, np.int64)}),
            r"of the shape \(3,\) \(int64\), where \(3,\) \(float32\)",
        ),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, write: Any, spoil: Any, message: str) -> None:
    arrays = tensors()
    spoil(arrays)
    path = write(tmp_path, arrays)
    with pytest.raises(DataError, match=message):
        import_model(path, importer="google_ffn")


def test_archives_are_not_believed(tmp_path: Path) -> None:
    path = write_archive(tmp_path, tensors())
    whole = path.read_bytes()
    errors = []
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            import_model(path, importer="google_ffn")
        except SegkitError as error:
            errors.append(str(error))
    assert errors
    assert all(path.name in error for error in errors)
    path.write_bytes(whole[: len(whole) // 2])
    assert find_importer(path) is not None
    with pytest.raises(DataError, match="cannot be read as an .npz archive"):
        import_model(path)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    lie = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("seed_update/conv0_a/weights.npy", lie)
    with pytest.raises(DataError, match="has 0 bytes, which is not"):
        import_model(path)
    np.savez(path, **{"seed_update/conv0_a/weights": np.array([{}], object)})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="weights are numbers"):
        import_model(path)


def test_other_archives_are_not_accepted(tmp_path: Path) -> None:
    np.savez(tmp_path / "image.npz", raw=np.zeros((4, 4, 4)))
    assert find_importer(tmp_path / "image.npz") is None
    (tmp_path / "lonely.index").write_bytes(b"0" * 99)
    assert find_importer(tmp_path / "lonely.index") is None


def test_convert_writes_a_model_and_info_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = write_checkpoint(tmp_path, tensors()), tmp_path / "model"

    def run(*words: object, fails: bool = False) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        shown = capsys.readouterr()
        assert bool(ended.value.code) == fails, shown.err
        return " ".join((shown.err if fails else shown.out).split())

    shown = run("convert", path, target, "-o", "voxel_size=33,16,16", "-o", "deltas=4,4,4")
    assert "ffn:flood_filling" in shown
    assert "33 x 16 x 16" in shown
    assert f"step {STEP}" in run("info", target)
    model = segkit.Model.load(target, device="cpu")
    assert model.patch_shape == (41, 41, 41)
    assert torch.equal(model.network.state_dict()["last.bias"], import_model(path).network.state_dict()["last.bias"])

    assert "already" in run("convert", path, target, fails=True)
    run("convert", path.with_suffix(".data-00000-of-00001"), target, "--overwrite")
    assert segkit.Model.load(target, device="cpu").patch_shape == (49, 49, 49)
    assert "--region are about images" in run("convert", path, target, "--region", "z0:3", fails=True)
    assert "voxelsize" in run("convert", path, tmp_path / "m", "-o", "voxelsize=1,1,1", fails=True)
    np.save(tmp_path / "image.npy", np.zeros((4, 4, 4), np.uint8))
    assert "is an image" in run("convert", tmp_path / "image.npy", tmp_path / "m", "-o", "deltas=1,1,1", fails=True)
    (tmp_path / "folder").mkdir()
    assert "already" in run("convert", path, tmp_path / "folder", "--overwrite", fails=True)


@pytest.fixture
def published() -> Path:
    folder = Path(os.environ.get("SEGKIT_TEST_DATA", "absent")) / "ffn-fib25-weights"
    if not folder.is_dir():
        pytest.skip(
            "the published weights are not here; SEGKIT_TEST_DATA names the folder that holds ffn-fib25-weights"
        )
    return folder


def test_the_published_weights_are_the_same_from_either_file(published: Path, tmp_path: Path) -> None:
    one = import_model(published / "fib25_ffn_weights.npz")
    two = import_model(published / "model.ckpt-27465036.index")
    first, second = one.network.state_dict(), two.network.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sum(weight.numel() for weight in first.values()) == 638_433
    arrays = np.load(published / "fib25_ffn_weights.npz", allow_pickle=False)
    theirs = arrays["seed_update/conv11_b/weights"].transpose(4, 3, 0, 1, 2)
    assert np.array_equal(first["residuals.10.pair.b.weight"], theirs)
    assert one.details == two.details
    assert one.details["step"] == 27_465_036
    assert one.details["licence"] == "Apache-2.0"
    assert "google/ffn" in one.details["source"]
    assert (one.voxel_size, one.unit, one.patch_shape) == ((10, 10, 10), "nm", (49, 49, 49))
    assert (one.normalization.centre, one.normalization.scale) == ((128,), (33,))
    check_importer(segkit.importers["google_ffn"], source=published / "model.ckpt-27465036.index")
