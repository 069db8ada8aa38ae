"""Surfaces of objects: closed, of the right volume, whatever the blocks, and written to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit import Volume, trace
from segkit.errors import DataError, IncompleteError, UsageError
from segkit.geometry import Box
from segkit.tracing import mesh
from segkit.tracing._surface import surface
from segkit_skeletons import skeleton


def volume_of(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume inside of triangles that run counterclockwise seen from outside, with corners ``(x, y, z)``."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(faces: np.ndarray) -> bool:
    """Whether each edge is used as often in one direction as in the other."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    one, count = np.unique(edges, axis=0, return_counts=True)
    back, again = np.unique(edges[:, ::-1], axis=0, return_counts=True)
    return np.array_equal(one, back) and np.array_equal(count, again)


def euler(faces: np.ndarray) -> int:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return len(np.unique(faces)) - len(np.unique(edges, axis=0)) + len(faces)


@pytest.fixture(scope="module")
def ball() -> Volume:
    labels = np.zeros((30, 44, 44), np.uint64)
    away = np.linalg.norm((np.indices(labels.shape).transpose(1, 2, 3, 0) - (15, 21, 22)) * (2, 1, 1), axis=-1)
    labels[away < 18] = 2**35
    return Volume.from_array(labels, voxel_size=(20.0, 10.0, 10.0), offset=(0.0, 1000.0, 0.0))


def test_a_ball(ball: Volume) -> None:
    vertices, faces = mesh(ball, 2**35)
    assert is_closed(faces)
    assert euler(faces) == 2
    voxels = int((ball.read() > 0).sum()) * 20 * 10 * 10
    assert volume_of(vertices[:, ::-1], faces) == pytest.approx(voxels, rel=0.02)
    np.testing.assert_allclose((vertices.max(0) + vertices.min(0)) / 2, (300, 1210, 220), atol=5)
    with pytest.raises(DataError, match="no object 3"):
        mesh(ball, 3)


@pytest.mark.parametrize("block", [7, 16, 31])
def test_blocks_make_the_same_mesh(ball: Volume, block: int) -> None:
    whole, _ = mesh(ball, 2**35)
    pieces = list(surface(ball, 2**35, Box((5, 2, 3), (26, 41, 42)), block))
    assert len(pieces) > 1
    vertices, faces = (np.concatenate(parts) for parts in zip(*pieces))
    assert is_closed(faces)
    assert euler(faces) == 2
    assert sorted(map(tuple, vertices.tolist())) == sorted(map(tuple, whole.tolist()))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_ragged_objects_are_closed(share: float) -> None:
    mask = np.random.default_rng(3).random((9, 10, 11)) < share  # reaches the border of the volume
    volume = Volume.from_array(mask.astype(np.uint8))
    vertices, faces = (np.concatenate(parts) for parts in zip(*surface(volume, 1, volume.box, 4)))
    assert is_closed(faces)
    assert len(np.unique(vertices, axis=0)) == len(vertices)


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    head, _, body = path.read_bytes().partition(b"end_header\n")
    counts = [int(line.split()[2]) for line in head.decode().splitlines() if line.startswith("element")]
    vertices = np.frombuffer(body, "<f4", 3 * counts[0]).reshape(-1, 3)
    faces = np.frombuffer(body, np.dtype([("n", "u1"), ("corners", "<u4", 3)]), counts[1], 12 * counts[0])
    assert len(body) == 12 * counts[0] + 13 * counts[1]
    assert (faces["n"] == 3).all()
    return vertices.astype(np.float64), faces["corners"].astype(np.int64)


def test_files(ball: Volume, tmp_path: Path) -> None:
    trace(ball, skeleton(), out_dir=tmp_path, also=["meshes", "precomputed"])
    vertices, faces = read_ply(tmp_path / "meshes" / f"{2**35}.ply")
    whole, expected = mesh(ball, 2**35)
    np.testing.assert_array_equal(faces, expected)
    np.testing.assert_allclose(vertices, whole[:, ::-1])
    assert json.loads((tmp_path / "mesh" / "info").read_text())["@type"] == "neuroglancer_legacy_mesh"
    (name,) = json.loads((tmp_path / "mesh" / f"{2**35}:0").read_text())["fragments"]
    content = (tmp_path / "mesh" / name).read_bytes()
    count = int(np.frombuffer(content, "<u4", 1)[0])
    np.testing.assert_array_equal(np.frombuffer(content, "<f4", 3 * count, 4).reshape(-1, 3), vertices)
    np.testing.assert_array_equal(np.frombuffer(content, "<u4", -1, 4 + 12 * count).reshape(-1, 3), faces)
    before = (tmp_path / "meshes" / f"{2**35}.ply").stat().st_mtime_ns
    trace(ball, skeleton(), out_dir=tmp_path, also=["meshes"])
    assert (tmp_path / "meshes" / f"{2**35}.ply").stat().st_mtime_ns == before
    trace(ball, skeleton(constant=1.0), out_dir=tmp_path, overwrite=True)
    assert not (tmp_path / "meshes").exists()
    assert not (tmp_path / "skeletons").exists()


def test_what_cannot_be_written(ball: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'stl'"):
        trace(ball, skeleton(), out_dir=tmp_path, also=["stl"])
    with pytest.raises(UsageError, match="out_dir"):
        trace(ball, skeleton(), also=["meshes"])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "meshes").write_text("a file where a folder is due")
    with pytest.raises(IncompleteError, match="mesh"):
        trace(ball, skeleton(), out_dir=tmp_path / "a", also=["meshes"])
