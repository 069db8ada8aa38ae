"""Traces, their measurements, and tracing of whole segmentations."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import segkit.tracing._many as many
from segkit import Trace, Volume, read_swc, trace
from segkit.errors import DataError, IncompleteError, OutputExistsError, PluginError


def line_tracer(mask, voxel_size) -> Trace:
    """Joins the voxels of an object in the order of memory; enough to see where they are."""
    nodes = np.argwhere(mask) * np.asarray(voxel_size)
    count = len(nodes)
    return Trace(nodes, np.stack([np.arange(count - 1), np.arange(1, count)], 1), np.full(count, 2.0))


@pytest.fixture
def labels() -> Volume:
    ids = np.zeros((12, 10, 30), np.uint64)
    ids[3, 4, 2:28] = 5
    ids[0, 0, 0:4] = 2**40  # at the corner of the volume
    ids[8:11, 7, 9] = 9
    return Volume.from_array(ids, voxel_size=(30.0, 8.0, 4.0), offset=(1000.0, 0.0, 40.0), source="three lines")


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "table.csv").read_text().splitlines()))


def test_measurements() -> None:
    fork = Trace([[0, 0, 0], [0, 0, 10], [0, 6, 10], [3, 0, 14], [9, 9, 9]], [[0, 1], [1, 2], [3, 1]], [1] * 5, id=3)
    assert fork.cable_length == pytest.approx(21)
    assert (fork.tips, fork.branches, fork.components) == (3, 1, 2)
    assert fork.tortuosity == pytest.approx(16 / np.hypot(6, 10))
    assert fork.shifted((1, 2, 3)).nodes[0].tolist() == [1, 2, 3]
    assert fork.shifted((1, 2, 3)).cable_length == fork.cable_length
    straight = Trace([[0, 0, i] for i in range(5)], [[i, i + 1] for i in range(4)], np.ones(5))
    assert straight.tortuosity == pytest.approx(1)
    assert np.isnan(Trace([[0, 0, 0]], [], [1]).tortuosity)
    assert (fork.strahler, straight.strahler, Trace([[0, 0, 0]], [], [1]).strahler) == (2, 1, 1)
    assert Trace(np.zeros((0, 3)), [], []).strahler == 0


def test_strahler_order_and_soma() -> None:
    # 0 - 1, which forks into 2 (forks into 3, 4) and 5 (forks into 6, 7)
    nodes = [[0, 0, 9], [0, 0, 8], [0, 3, 6], [0, 4, 4], [0, 2, 4], [0, -3, 6], [0, -2, 4], [0, -4, 4]]
    edges = [[0, 1], [1, 2], [2, 3], [2, 4], [1, 5], [5, 6], [5, 7]]
    tree = Trace(nodes, edges, [5, 1, 1, 1, 1, 1, 1, 1])
    assert tree.strahler == 3
    assert Trace(nodes[:5], edges[:4], [5, 1, 1, 1, 1]).strahler == 2
    assert Trace(nodes, edges, [1, 9, 1, 1, 1, 1, 1, 1]).strahler == 2  # at a root that forks, one branch is the stem
    assert Trace([[0, 0, i] for i in range(5)], [[i, i + 1] for i in range(4)], [1, 1, 5, 1, 1]).strahler == 1
    assert tree.soma is None
    body = Trace(nodes, edges, tree.radii, types=[0, 0, 1, 0, 0, 0, 0, 0])
    assert body.soma == 2
    assert body.rooted()[0][0] == 2
    assert body.kept(np.arange(8) > 1).types.tolist() == [1, 0, 0, 0, 0, 0]
    with pytest.raises(DataError, match="3 types"):
        Trace(nodes, edges, tree.radii, types=[1, 0, 0])
    assert Trace(np.zeros((0, 3)), [], []).components == 0


@pytest.mark.parametrize(
    ("nodes", "edges", "radii", "message"),
    [
        ([[0, 0, 0], [0, 0, 1]], [[0, 1]], [1], "2 nodes but 1 radii"),
        ([[0, 0, 0], [0, 0, np.nan]], [[0, 1]], [1, 1], "not a finite"),
        ([[0, 0, 0], [0, 0, 1]], [[0, 2]], [1, 1], "to node 2"),
        ([[0, 0, 0], [0, 0, 1], [0, 1, 1]], [[0, 1], [1, 2], [2, 0]], [1] * 3, "cycle"),
        ([[0, 0, 0], [0, 0, 1]], [[0, 1], [1, 0]], [1] * 2, "cycle"),
        ([[0, 0, 0]], [[0, 0]], [1], "cycle"),
    ],
)
def test_broken_traces_are_refused(nodes, edges, radii, message) -> None:
    with pytest.raises(DataError, match=message):
        Trace(nodes, edges, radii)


def test_nodes_lie_in_the_volume(labels: Volume) -> None:
    traces = trace(labels, line_tracer)
    assert [t.id for t in traces] == [5, 9, 2**40]
    for each in traces:
        expected = np.argwhere(labels.read() == each.id) * np.array(labels.voxel_size) + np.array(labels.offset)
        np.testing.assert_allclose(each.nodes, expected)
        assert each.unit == "nm"


@pytest.mark.parametrize("size", [3, 5, 64])
def test_the_survey_does_not_depend_on_blocks(labels: Volume, monkeypatch, size: int) -> None:
    monkeypatch.setattr(many, "_block_shape", lambda _: (size, size, size))
    traces = trace(labels, line_tracer)
    assert [len(t.nodes) for t in traces] == [26, 3, 4]


def test_choice_of_objects(labels: Volume) -> None:
    assert [t.id for t in trace(labels, line_tracer, min_size=4)] == [5, 2**40]
    assert [t.id for t in trace(labels, line_tracer, ids=[2**40, 9])] == [9, 2**40]
    with pytest.raises(DataError, match="no object 6; it has 3"):
        trace(labels, line_tracer, ids=[6, 5])
    with pytest.raises(DataError, match="no segmentation"):
        trace(np.zeros((3, 3, 3), np.float32), line_tracer)
    with pytest.raises(DataError, match="negative"):
        trace(np.full((3, 3, 3), -1), line_tracer)
    assert len(trace(np.zeros((3, 3, 3), np.uint8), line_tracer)) == 0


def test_a_folder_of_traces(labels: Volume, tmp_path: Path) -> None:
    steps = []
    traces = trace(labels, line_tracer, out_dir=tmp_path / "out", progress=lambda *step: steps.append(step))
    assert [t.id for t in traces] == [5, 9, 2**40]
    assert len(traces[1:]) == 2
    np.testing.assert_allclose(traces[0].nodes, trace(labels, line_tracer, ids=[5])[0].nodes)
    assert read_swc(tmp_path / "out" / "9.swc")[0].id == 9
    rows = table(tmp_path / "out")
    assert [row["id"] for row in rows] == ["5", "9", str(2**40)]
    assert float(rows[0]["cable_length_um"]) == pytest.approx(25 * 4 / 1000)
    assert float(rows[0]["mean_radius_um"]) == pytest.approx(0.002)
    assert float(rows[1]["volume_um3"]) == pytest.approx(3 * 30 * 8 * 4 * 1e-9)
    box = [int(rows[1][f"{axis}_{end}_voxel"]) for end in ("start", "stop") for axis in "zyx"]
    assert box == [8, 7, 9, 11, 8, 10]
    assert (rows[1]["voxels"], rows[1]["tips"], rows[1]["branches"], rows[1]["pieces"]) == ("3", "2", "0", "1")
    assert steps[-1] == (3, 3)


def test_an_interrupted_folder_goes_on(labels: Volume, tmp_path: Path) -> None:
    seen = []

    def tracer(mask, voxel_size) -> Trace:
        seen.append(int(mask.sum()))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return line_tracer(mask, voxel_size)

    with pytest.raises(KeyboardInterrupt):
        trace(labels, tracer, out_dir=tmp_path, workers=1)
    assert trace(labels, tracer, out_dir=tmp_path, workers=1)[2].id == 2**40
    assert seen == [26, 3, 3, 4]
    trace(labels, tracer, out_dir=tmp_path)
    assert len(seen) == 4
    (tmp_path / "9.swc").unlink()  # by accident
    trace(labels, tracer, out_dir=tmp_path)
    assert seen[4:] == [3]


def test_one_bad_object_does_not_stop_the_others(labels: Volume, tmp_path: Path) -> None:
    def tracer(mask, voxel_size) -> Trace:
        if mask.sum() == 3:
            raise ValueError("too short for me")
        return line_tracer(mask, voxel_size)

    with pytest.raises(IncompleteError, match="1 of 3 objects could not be traced: 9. .* too short"):
        trace(labels, tracer, out_dir=tmp_path)
    assert (tmp_path / f"{2**40}.swc").exists()
    assert len(table(tmp_path)) == 2
    with pytest.raises(PluginError, match="segkit.Trace is due"):
        trace(labels, lambda mask, voxel_size: None, ids=[5])


def test_other_traces_are_not_mixed(labels: Volume, tmp_path: Path) -> None:
    trace(labels, line_tracer, out_dir=tmp_path / "a")
    with pytest.raises(OutputExistsError, match="budget"):
        trace(labels, line_tracer, out_dir=tmp_path / "a", budget=10**6)
    trace(labels, line_tracer, out_dir=tmp_path / "a", budget=10**6, ids=[9], overwrite=True)
    assert [file.name for file in (tmp_path / "a").glob("*.swc")] == ["9.swc"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.swc").write_text("1 0 0 0 0 1 -1\n")
    with pytest.raises(OutputExistsError, match="other traces"):
        trace(labels, line_tracer, out_dir=tmp_path / "b")
    trace(labels, line_tracer, out_dir=tmp_path / "b", overwrite=True)
    assert (tmp_path / "b" / "mine.swc").exists()
