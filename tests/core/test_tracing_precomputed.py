"""Precomputed skeletons: written, read back, and refused where they are broken."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest

import segkit.tracing._precomputed as precomputed
from segkit import Trace, Volume, read_swc, trace, write_swc
from segkit.errors import DataError, OutputExistsError
from segkit.tracing import read_precomputed, write_precomputed
from segkit_skeletons import skeleton


def walk(count: int, pieces: int, seed: int, **fields) -> Trace:
    """A random forest whose numbers float32 holds."""
    rng = np.random.default_rng(seed)
    edges = [(int(rng.integers(i % pieces, i)), i) for i in range(pieces, count)]
    nodes = rng.integers(0, 10**6, (count, 3)) / 4
    fields = {"id": seed, "types": rng.integers(0, 6, count)} | fields
    return Trace(nodes, np.array(edges).reshape(-1, 2), rng.random(count).astype(np.float32), **fields)


def same(one: Trace, other: Trace) -> None:
    assert (one.id, one.unit) == (other.id, other.unit)
    np.testing.assert_array_equal(one.nodes, other.nodes)
    np.testing.assert_array_equal(one.radii, other.radii)
    np.testing.assert_array_equal(one.types, other.types)
    assert {frozenset(edge) for edge in one.edges.tolist()} == {frozenset(edge) for edge in other.edges.tolist()}


@pytest.fixture
def traces() -> list[Trace]:
    return [walk(30, 2, 3), walk(1, 1, 2**40 + 1), walk(12, 1, 2**63 + 7), walk(9, 3, 16)]


@pytest.mark.parametrize("sharded", [False, True])
def test_round_trip(traces: list[Trace], tmp_path: Path, sharded: bool) -> None:
    write_precomputed(traces, tmp_path / "skeletons", sharded=sharded)
    again = read_precomputed(tmp_path / "skeletons")
    assert [each.id for each in again] == sorted(each.id for each in traces)
    for each in again:
        same(each, next(other for other in traces if other.id == each.id))
    same(read_precomputed(tmp_path / "skeletons", [2**40 + 1])[0], traces[1])
    with pytest.raises(DataError, match="no skeleton of object 4"):
        read_precomputed(tmp_path / "skeletons", [4])
    files = sorted(file.name for file in (tmp_path / "skeletons").iterdir())
    assert files == (["0.shard", "info"] if sharded else sorted(["info", *(str(t.id) for t in traces)]))


def test_swc_and_precomputed_say_the_same(traces: list[Trace], tmp_path: Path) -> None:
    write_precomputed(traces, tmp_path / "a")
    for each in read_precomputed(tmp_path / "a"):
        write_swc(each, tmp_path / "a.swc")
        (swc,) = read_swc(tmp_path / "a.swc")
        assert swc.cable_length == pytest.approx(each.cable_length)
        assert (swc.tips, swc.branches, swc.components) == (each.tips, each.branches, each.components)


def test_many_shards(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(precomputed, "_IN_SHARD", 4)
    write_precomputed((walk(2, 1, id) for id in range(120)), tmp_path / "a", sharded=True)
    assert len(list((tmp_path / "a").glob("*.shard"))) == 8
    assert [t.id for t in read_precomputed(tmp_path / "a", [119, 17])] == [119, 17]
    assert len(read_precomputed(tmp_path / "a")) == 120


def test_what_others_wrote(tmp_path: Path) -> None:
    (tmp_path / "info").write_text(json.dumps({"scales": [], "skeletons": "bones"}))
    (tmp_path / "bones").mkdir()
    attributes = [{"id": "cross_section", "data_type": "float32", "num_components": 2}]
    info = {"@type": "neuroglancer_skeletons", "vertex_attributes": attributes}
    info["transform"] = [8, 0, 0, 100, 0, 8, 0, 0, 0, 0, 33, 0]
    (tmp_path / "bones" / "info").write_text(json.dumps(info))
    loop = np.array([0, 1, 1, 2, 2, 0, 0, 1], "<u4").tobytes()
    head = np.array([3, 4], "<u4").tobytes()
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]], "<f4").tobytes()
    (tmp_path / "bones" / "12").write_bytes(head + positions + loop + np.zeros(6, "<f4").tobytes())
    (found,) = read_precomputed(tmp_path)
    assert found.nodes.tolist() == [[0, 0, 100], [0, 0, 108], [33, 0, 100]]
    assert (len(found.edges), found.components, found.radii.sum()) == (2, 1, 0)
    (tmp_path / "bones" / "12").write_bytes(head + positions + loop)
    with pytest.raises(DataError, match="skeleton 12 .* damaged: it has 76 bytes, and 100 are due"):
        read_precomputed(tmp_path)
    (tmp_path / "bones" / "12").write_bytes(b"abc")
    with pytest.raises(DataError, match="damaged"):
        read_precomputed(tmp_path)
    (tmp_path / "bones" / "info").write_text(json.dumps(info | {"transform": [1, 2]}))
    with pytest.raises(DataError, match="does not describe skeletons"):
        read_precomputed(tmp_path)
    with pytest.raises(DataError, match="no precomputed skeletons"):
        read_precomputed(tmp_path / "absent")


def test_nothing_is_overwritten_by_accident(traces: list[Trace], tmp_path: Path) -> None:
    write_precomputed(traces, tmp_path / "a")
    with pytest.raises(OutputExistsError):
        write_precomputed(traces[:1], tmp_path / "a")
    write_precomputed(traces[:1], tmp_path / "a", overwrite=True)
    assert len(read_precomputed(tmp_path / "a")) == 1
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        write_precomputed(traces, tmp_path / "b", overwrite=True)
    with pytest.raises(DataError, match="same id"):
        write_precomputed([traces[0], traces[0]], tmp_path / "c")
    with pytest.raises(DataError, match="in voxels"):
        write_precomputed([walk(3, 1, 1, unit="voxel")], tmp_path / "c")
    assert not (tmp_path / "c").exists()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


def test_from_a_server(traces: list[Trace], tmp_path: Path) -> None:
    write_precomputed(traces, tmp_path / "skeletons")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/skeletons"
        same(read_precomputed(url, [3])[0], traces[0])
        same(read_precomputed(f"precomputed://{url}", [16])[0], traces[3])
        with pytest.raises(DataError, match="Name the ids"):
            read_precomputed(url)
        with pytest.raises(DataError, match="no skeleton of object 99"):
            read_precomputed(url, [99])
        server.shutdown()


def test_beside_the_table(tmp_path: Path) -> None:
    labels = np.zeros((9, 9, 40), np.uint64)
    labels[3:6, 3:6, 2:38] = 2**50
    volume = Volume.from_array(labels, voxel_size=(10.0, 10.0, 10.0))
    (swc,) = trace(volume, skeleton(), out_dir=tmp_path, also=["precomputed"])
    (again,) = read_precomputed(tmp_path / "skeletons")
    assert again.id == 2**50
    assert again.cable_length == pytest.approx(swc.cable_length, rel=1e-5)
