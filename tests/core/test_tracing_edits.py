"""Merges and splits by hand: what they make of traces and of voxels, and the log that keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.errors import DataError, UsageError
from segkit.tracing import EditLog, Piece, Trace, apply_edits, cut, edge_to_root, join, read_swc, replay

SIZE = (20.0, 10.0, 10.0)


def rod(id: int, start: float, stop: float, y: float = 0.0) -> Trace:
    x = np.arange(start, stop + 1, 10.0)
    nodes = np.stack([np.zeros_like(x), np.full_like(x, y), x], axis=1)
    number = np.arange(len(x))
    return Trace(nodes, np.stack([number[:-1], number[1:]], 1), np.ones(len(x)), id)


def test_joined_traces_are_bridged_where_they_come_closest() -> None:
    whole = join([Piece.of(rod(7, 0, 50)), Piece.of(rod(9, 200, 250)), Piece.of(rod(8, 70, 150))], 7)
    assert whole.trace.id == 7
    assert whole.trace.components == 1
    assert whole.trace.cable_length == pytest.approx(250)
    assert set(whole.origin.tolist()) == {7, 8, 9}
    with pytest.raises(UsageError, match="two or more"):
        join([Piece.of(rod(7, 0, 50))], 7)


def test_a_cut_takes_away_what_is_behind_an_edge() -> None:
    rest, part = cut(Piece.of(rod(7, 0, 100)), 4, 5, 8)
    assert (rest.trace.id, part.trace.id) == (7, 8)
    assert rest.trace.nodes[:, 2].max() == 40
    assert part.trace.nodes[:, 2].min() == 50
    assert len(part.trace.edges) == 5
    with pytest.raises(UsageError, match="not joined"):
        cut(Piece.of(rod(7, 0, 100)), 4, 6, 8)


def test_cuts_are_towards_the_root() -> None:
    line = rod(7, 0, 100)
    thick = Trace(line.nodes, line.edges, np.where(np.arange(11) == 3, 5.0, 1.0), 7)
    assert edge_to_root(thick, 6) == (5, 6)
    assert edge_to_root(thick, 1) == (2, 1)
    assert edge_to_root(thick, 3) == (3, 4)  # at the root: to where there is more cable
    with pytest.raises(UsageError, match="single node"):
        edge_to_root(Trace(np.zeros((1, 3)), np.zeros((0, 2)), np.ones(1), 5), 0)


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """A segmentation of three rods of which two are one neuron, and its traces."""
    labels = np.zeros((9, 9, 60), np.uint64)
    labels[3:6, 3:6, 2:28] = 7
    labels[3:6, 3:6, 30:58] = 2**40
    labels[0, 0, :] = 5
    volume = segkit.Volume.from_array(labels, voxel_size=SIZE, offset=(40.0, 0.0, 100.0), unit="nm")
    segkit.write_volume(volume, tmp_path / "labels.zarr", labels=True)
    segkit.trace(tmp_path / "labels.zarr", "skeleton", out_dir=tmp_path / "traces", ids=[7, 2**40])
    return tmp_path


def drawn(folder: Path, id: int) -> Trace | None:
    file = folder / f"{id}.swc"
    return read_swc(file)[0] if file.exists() else None


def test_the_log_is_replayed_and_taken_back(traced: Path) -> None:
    folder = traced / "traces"
    log = EditLog(folder)
    assert log.edits == ()
    a, b = drawn(folder, 7), drawn(folder, 2**40)
    assert a is not None
    assert b is not None
    log.add("merge", [7, 2**40], a.nodes[-1], b.nodes[0])
    pieces = replay(log.edits, lambda id: drawn(folder, id))
    assert pieces[2**40] is None
    whole = pieces[7]
    assert whole is not None
    assert whole.trace.components == 1
    near, beyond = edge_to_root(whole.trace, int(np.abs(whole.trace.nodes[:, 2] - 350).argmin()))
    log.add("split", [7, 2**40 + 1], whole.trace.nodes[near], whole.trace.nodes[beyond])
    again = replay(EditLog(folder).edits, lambda id: drawn(folder, id))
    assert sum(len(p.trace.nodes) for p in again.values() if p is not None) == len(whole.trace.nodes)
    before = log.path.read_bytes()
    assert log.undo().kind == "split"
    assert log.path.read_bytes().startswith(before)  # appended to, never rewritten
    assert [edit.kind for edit in log.edits] == ["merge"]
    log.undo()
    with pytest.raises(UsageError, match="no edit"):
        log.undo()


def test_a_torn_line_of_the_log_is_cut(traced: Path) -> None:
    log = EditLog(traced / "traces")
    log.add("merge", [7, 9], (0, 0, 0), (0, 0, 1))
    with log.path.open("ab") as file:
        file.write(b"0123 {half")
    log.add("merge", [7, 10], (0, 0, 0), (0, 0, 1))
    assert [edit.ids for edit in log.edits] == [(7, 9), (7, 10)]


def test_a_log_of_other_traces_is_refused(traced: Path) -> None:
    log = EditLog(traced / "traces")
    log.add("merge", [7, 99], (0, 0, 0), (0, 0, 1))
    with pytest.raises(DataError, match="trace 99"):
        replay(log.edits, lambda id: drawn(traced / "traces", id))


def test_edits_reach_the_voxels(traced: Path) -> None:
    folder, source = traced / "traces", traced / "labels.zarr"
    before = segkit.open_volume(source)
    with pytest.raises(UsageError, match="no edits"):
        apply_edits(source, folder, traced / "mended.zarr")
    log = EditLog(folder)
    a, b = drawn(folder, 7), drawn(folder, 2**40)
    assert a is not None
    assert b is not None
    log.add("merge", [7, 2**40], a.nodes[-1], b.nodes[0])
    merged = apply_edits(source, folder, traced / "merged.zarr")
    expected = before.read()
    np.testing.assert_array_equal(merged.read(), np.where(expected == 2**40, 7, expected))
    assert (merged.voxel_size, merged.offset, merged.dtype) == (before.voxel_size, before.offset, np.uint64)
    whole = replay(log.edits, lambda id: drawn(folder, id))[7]
    assert whole is not None
    # Voxel 20 of the first rod, 300 nm: what lies on one side of it gets another id.
    near, beyond = edge_to_root(whole.trace, int(np.abs(whole.trace.nodes[:, 2] - 300).argmin()))
    log.add("split", [7, 77], whole.trace.nodes[near], whole.trace.nodes[beyond])
    mended = apply_edits(source, folder, traced / "split.zarr").read()
    rod_ = mended[4, 4, 2:28]
    at = np.flatnonzero(np.diff(rod_.astype(np.int64)))
    assert set(rod_.tolist()) == {7, 77}
    assert len(at) == 1
    assert abs(2 + at[0] - 20) <= 1
    np.testing.assert_array_equal(mended == 0, expected == 0)
    np.testing.assert_array_equal(mended[0, 0], 5)
    assert len(np.unique(mended[3:6, 3:6, 30:58])) == 1


def test_the_command_mends(traced: Path) -> None:
    from click.testing import CliRunner

    from segkit.cli import cli

    folder = traced / "traces"
    a, b = drawn(folder, 7), drawn(folder, 2**40)
    assert a is not None
    assert b is not None
    EditLog(folder).add("merge", [7, 2**40], a.nodes[-1], b.nodes[0])
    arguments = ["mend", str(traced / "labels.zarr"), str(folder), str(traced / "out.zarr")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "1 merges and 0 splits applied" in result.output
    assert 2**40 not in segkit.open_volume(traced / "out.zarr").read()


def test_micrometres_are_written_and_read_back(tmp_path: Path) -> None:
    segkit.write_swc(rod(7, 0, 1000), tmp_path / "7.swc", unit="um")
    assert "# unit um" in (tmp_path / "7.swc").read_text()
    (back,) = read_swc(tmp_path / "7.swc")
    assert back.cable_length == pytest.approx(1000)
    assert back.unit == "nm"
    voxels = Trace(np.zeros((1, 3)), np.zeros((0, 2)), np.ones(1), 1, "voxel")
    with pytest.raises(DataError, match="unknown size"):
        segkit.write_swc(voxels, tmp_path / "1.swc", unit="um")


def test_longest_path() -> None:
    fork = Trace(np.array([[0, 0, 0], [0, 0, 10], [0, 0, 30], [0, 5, 10]]), [[0, 1], [1, 2], [1, 3]], np.ones(4), 1)
    assert fork.longest_path == 30
    assert Trace(np.zeros((1, 3)), np.zeros((0, 2)), np.ones(1), 1).longest_path == 0
