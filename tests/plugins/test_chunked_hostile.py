"""An ``info`` that anybody may have written is opened, or refused with one error, at once and in little memory."""

from __future__ import annotations

import copy
import json
import random
import resource
from time import monotonic

import pytest
from fixtures.chunked_stores import SHARDING, neuropil, write_precomputed

import segkit
from segkit.errors import DataError, SegkitError
from segkit.geometry import Box


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    write_precomputed(root, neuropil(), sharding=SHARDING)
    info = json.loads((root / "info").read_text())
    (root / "good.json").write_text(json.dumps(info))
    return root


def put(folder, *path_and_value):
    *path, value = path_and_value
    info = json.loads((folder / "good.json").read_text())
    at = info
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    (folder / "info").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("size",), [2**40, 2**40, 2**40]),
        (("size",), [10**30, 1, 1]),
        (("size",), [-1, 4, 4]),
        (("size",), [0, 4, 4]),
        (("size",), [4, 4]),
        (("size",), [True, 4, 4]),
        (("size",), [4.5, 4, 4]),
        (("size",), None),
        (("size",), {"x": 4}),
        (("chunk_sizes",), [[2**30, 2**30, 2**30]]),
        (("chunk_sizes",), [[0, 1, 1]]),
        (("chunk_sizes",), []),
        (("chunk_sizes",), "64"),
        (("voxel_offset",), [2**70, 0, 0]),
        (("resolution",), [0, 4, 4]),
        (("resolution",), [float("nan"), 4, 4]),
        (("resolution",), [1e300, 4, 4]),
        (("resolution",), ["4", 4, 4]),
        (("encoding",), "pickle"),
        (("encoding",), ["raw"]),
        (("key",), "../../etc"),
        (("key",), "/etc"),
        (("key",), "file:///etc"),
        (("key",), 7),
        (("sharding", "minishard_bits"), 62),
        (("sharding", "shard_bits"), -1),
        (("sharding", "hash"), "md5"),
        (("sharding",), "yes"),
    ],
)
def test_absurd_scales_are_refused(folder, path, value):
    put(folder, "scales", 0, *path, value)
    with pytest.raises(DataError):
        segkit.open_volume(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data_type", "object"),
        ("data_type", ["uint8"]),
        ("num_channels", -1),
        ("num_channels", 10**9),
        ("scales", []),
        ("scales", {}),
        ("scales", [None]),
        ("scales", [[]] * 1000),
    ],
)
def test_absurd_volumes_are_refused(folder, key, value):
    put(folder, key, value)
    with pytest.raises(DataError):
        segkit.open_volume(folder)


def test_a_volume_of_countless_tiny_chunks_is_refused(folder):
    put(folder, "scales", 0, "size", [2**20, 2**20, 1])
    put_chunk = json.loads((folder / "info").read_text())
    put_chunk["scales"][0]["chunk_sizes"] = [[1, 1, 1]]
    (folder / "info").write_text(json.dumps(put_chunk))
    with pytest.raises(DataError, match="which no reader gets through"):
        segkit.open_volume(folder)


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"[]", b"7", b'{"scales": ', b"[" * 100_000, b'{"scales":' * 100_000]
)
def test_what_is_no_object_is_no_precomputed_volume(folder, text):
    (folder / "info").write_bytes(text)
    with pytest.raises(SegkitError):
        segkit.open_volume(f"precomputed://{folder}")
    with pytest.raises(SegkitError):
        segkit.open_volume(folder)


def mutated(info, dice):
    """Return a copy in which one value is another one, gone, or deep in lists."""
    found = copy.deepcopy(info)
    places = []

    def walk(at):
        for key in at if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ():
            places.append((at, key))
            walk(at[key])

    walk(found)
    at, key = dice.choice(places)
    deep = []
    for _ in range(200):
        deep = [deep]
    wild = [None, -1, 0, 1, 2**31, 2**63, 10**40, 1e308, 0.5, "", "raw", "x" * 5000, [], {}, True, deep, [[1] * 50]]
    if dice.random() < 0.1:
        del at[key]
    else:
        at[key] = dice.choice(wild)
    return found


@pytest.mark.parametrize("rounds", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_info_is_opened_or_refused(folder, rounds):
    info = json.loads((folder / "good.json").read_text())
    dice = random.Random(4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for _ in range(rounds):
        (folder / "info").write_text(json.dumps(mutated(mutated(info, dice), dice)))
        began, text = monotonic(), ""
        try:
            volume = segkit.open_volume(f"precomputed://{folder}")
            volume.read(Box.of_shape([min(20, n) for n in volume.spatial_shape]))
        except SegkitError as error:
            text = str(error)
        assert "\n" not in text
        assert len(text) < 1200
        slowest = max(slowest, monotonic() - began)
    assert slowest < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024  # KiB
