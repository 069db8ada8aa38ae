"""Sets of traces without a window: measures, simplified drawing, clicks, tags, edits and exports."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from traced import neuron, written

from napari_segkit.session.jobs._stops import stops
from napari_segkit.session.traces._columns import columns_of
from napari_segkit.session.traces._errors import read_errors
from napari_segkit.session.traces._exports import Export
from napari_segkit.session.traces._filter import found_by
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._rays import hit
from napari_segkit.session.traces._review import Review
from napari_segkit.session.traces._set import TraceReading, TraceSet, trace_folders
from napari_segkit.session.traces._sketch import paths_of, simplified, sketch
from segkit.errors import DataError, OutputExistsError, UsageError
from segkit.tracing import EditLog, Trace, read_precomputed, read_swc, write_swc

IDS = [90003, 17, 2**40]


@pytest.fixture
def traces() -> list[Trace]:
    return [neuron(id, 300 + 100 * at, at) for at, id in enumerate(IDS)]


@pytest.fixture
def opened(traces: list[Trace], tmp_path: Path) -> TraceSet:
    return read(written(tmp_path / "traces", traces))


def read(source: Path) -> TraceSet:
    reading = TraceReading(source)
    while (found := reading.step()) is None:
        pass
    return found


def test_measures_of_many_are_those_of_each(traces: list[Trace]) -> None:
    neurons = Neurons.of(traces)
    columns = {column.key: column for column in columns_of(neurons)}
    assert columns["id"].values.tolist() == IDS
    assert columns["cable"].title == "cable µm"
    for row, trace in enumerate(traces):
        assert columns["cable"].values[row] * 1000 == pytest.approx(trace.cable_length)
        assert columns["branches"].values[row] == trace.branches
        assert columns["tips"].values[row] == trace.tips
        assert columns["pieces"].values[row] == 1
        assert columns["max_radius"].values[row] * 1000 == pytest.approx(trace.radii.max())
        again = neurons.trace(row)
        np.testing.assert_array_equal(again.nodes, trace.nodes)
        np.testing.assert_array_equal(again.edges, trace.edges)


def test_the_table_beside_the_files_is_read(tmp_path: Path, traces: list[Trace]) -> None:
    folder = written(tmp_path / "traces", traces)
    (folder / "table.csv").write_text("id,strahler_order,tortuosity,soma,volume_um3\n17,4,,yes,0.5\n")
    columns = {column.key: column for column in columns_of(read(folder).neurons)}
    at = columns["id"].values.tolist().index(17)
    assert columns["strahler_order"].values[at] == 4
    assert np.isnan(columns["tortuosity"].values[at])
    assert columns["soma"].values[at] == 1
    assert np.isnan(columns["strahler_order"].values[at - 1])
    assert columns["volume_um3"].title == "volume µm³"


def test_ids_are_unique(traces: list[Trace]) -> None:
    same = [Trace(t.nodes, t.edges, t.radii, id) for t, id in zip(traces, (5, 5, 0), strict=True)]
    assert Neurons.of(same).ids.tolist() == [5, 6, 7]
    assert len(Neurons.of([])) == 0
    assert len(columns_of(Neurons.of([]))[0].values) == 0


def test_paths_hold_every_edge_once(traces: list[Trace]) -> None:
    pieces = Trace(
        [[0, 0, 0], [0, 0, 1], [5, 0, 0], [5, 0, 1], [5, 0, 2], [5, 1, 1]],
        [[0, 1], [2, 3], [3, 4], [3, 5]],
        np.ones(6),
        1,
    )
    neurons = Neurons.of([*traces, pieces])
    points, starts = paths_of(neurons.edges, len(neurons.nodes))
    joined = np.ones(len(points) - 1, bool)
    joined[starts[1:-1] - 1] = False
    found = np.sort(np.stack([points[:-1][joined], points[1:][joined]], 1), 1)
    expected = np.sort(neurons.edges, 1)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))


def test_what_is_left_out_is_near_the_line(traces: list[Trace]) -> None:
    neurons = Neurons.of(traces)
    points, starts = paths_of(neurons.edges, len(neurons.nodes))
    places = neurons.nodes[points]
    keep = simplified(places, starts, 30.0)
    assert keep.sum() < len(keep) / 2
    for begin, end in pairwise(starts):
        kept = np.flatnonzero(keep[begin:end]) + begin
        assert (kept[0], kept[-1]) == (begin, end - 1)
        for a, b in pairwise(kept):
            side = places[b] - places[a]
            part = np.clip((places[a : b + 1] - places[a]) @ side / max(side @ side, 1e-12), 0, 1)
            off = np.linalg.norm(places[a : b + 1] - places[a] - part[:, None] * side, axis=1)
            assert off.max() <= 30.0 + 1e-6


def test_too_many_edges_are_simplified_first_and_said_last(traces: list[Trace]) -> None:
    neurons = Neurons.of(traces)
    assert len(sketch(neurons, 10.0, 10_000).ends) == len(neurons.edges)
    fewer = sketch(neurons, 10.0, 400)
    assert len(fewer.ends) <= 400
    assert (fewer.shown, fewer.note) == (3, "")
    assert fewer.tolerance > 0
    few = sketch(neurons, 10.0, 30)
    assert len(few.ends) <= 30
    assert few.shown < 3
    assert "of 3, shortest hidden" in few.note
    assert (np.diff(few.owners) >= 0).all()


def test_a_ray_hits_the_line_and_not_only_its_nodes() -> None:
    line = Trace([[0, 0, 0], [0, 0, 100]], [[0, 1]], np.ones(2), 5)
    other = Trace([[500, 3, 40], [500, 3, 60]], [[0, 1]], np.ones(2), 6)
    neurons = Neurons.of([line, other])
    found = hit(neurons, (0, 1, 60), (1, 0, 0), 4.0)
    assert found is not None
    assert (found.row, found.node) == (0, 1)
    assert found.distance == pytest.approx(1)
    behind = hit(neurons, (0, 2.5, 45), (1, 0, 0), 4.0)
    assert behind is not None
    assert behind.row == 1
    near = hit(neurons, (0, 2.5, 45), (1, 0, 0), 4.0, depth=100)
    assert near is not None
    assert near.row == 0
    assert hit(neurons, (0, 50, 50), (1, 0, 0), 4.0) is None
    only = hit(neurons, (0, 1, 50), (1, 0, 0), 4.0, only=np.array([False, True]))
    assert only is not None
    assert only.row == 1
    assert hit(Neurons.of([]), (0, 0, 0), (1, 0, 0), 4.0) is None


def test_stops_come_as_on_a_walk(traces: list[Trace]) -> None:
    branches, tips = stops(traces[0])
    assert len(branches) == traces[0].branches
    assert len(tips) == traces[0].tips
    assert set(branches.tolist()) == set(np.flatnonzero(traces[0].degrees > 2).tolist())


def test_search_finds_ids_and_tags(tmp_path: Path) -> None:
    ids = np.array([1, 10, 12, 123, 90003, 2**63 + 5], np.uint64)
    review = Review(tmp_path)
    review.mark([10, 123], status="split")
    review.mark([12], note="crosses the soma")
    found = {
        text: ids[found_by(text, ids, review)].tolist()
        for text in ("", "1", "12", "9000, 10", "split", "soma", "ok", "0")
    }
    assert found[""] == ids.tolist()
    assert found["1"] == [1, 10, 12, 123]
    assert found["12"] == [12, 123]
    assert found["9000, 10"] == [10, 90003]
    assert found["split"] == [10, 123]
    assert found["soma"] == [12]
    assert found["ok"] == found["0"] == []
    assert ids[found_by("922", ids, review)].tolist() == [2**63 + 5]


def test_point_44_tags_are_undone_byte_for_byte(tmp_path: Path) -> None:
    review = Review(tmp_path)
    undo = review.mark([5], status="ok")
    undo()
    assert not review.path.exists()
    review.mark([5, 2**63], status="split")
    review.mark([5], note='says "so", and more\nlines')
    before = review.path.read_bytes()
    undo = review.mark([5, 6], status="check", note="")
    assert review.status(6) == "check"
    assert Review(tmp_path).status(6) == "check"
    undo()
    assert review.path.read_bytes() == before
    assert Review(tmp_path).note(5) == 'says "so", and more\nlines'
    # Something else happened since: only what this mark changed is taken back.
    undo = review.mark([7], status="merge")
    review.mark([8], status="ok")
    undo()
    assert (review.status(7), review.status(8)) == ("", "ok")
    review.path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="review.csv"):
        Review(tmp_path)


def test_merges_show_at_once_and_are_there_again(opened: TraceSet) -> None:
    before = opened.neurons
    edit = opened.merge([17, 90003])
    assert edit.ids[0] == 17  # the longer one
    assert sorted(opened.neurons.ids.tolist()) == [17, 2**40]
    whole = opened.neurons.trace(opened.neurons.rows[17])
    assert whole.components == 1
    assert len(whole.nodes) == 700
    again = read(opened.source)
    assert sorted(again.neurons.ids.tolist()) == [17, 2**40]
    np.testing.assert_allclose(again.neurons.trace(again.neurons.rows[17]).cable_length, whole.cable_length, rtol=1e-5)
    opened.undo()
    assert opened.neurons is before
    again.undo() if again.log.edits else None
    assert sorted(read(opened.source).neurons.ids.tolist()) == sorted(IDS)
    with pytest.raises(UsageError, match="two neurons"):
        opened.merge([17])


def test_splits_get_an_id_that_was_never_used(opened: TraceSet) -> None:
    row = opened.neurons.rows[17]
    node = int(stops(opened.neurons.trace(row))[0][3])
    nodes = len(opened.neurons.trace(row).nodes)
    edit = opened.split(17, node)
    assert edit.ids == (17, 2**40 + 1)
    parts = [opened.neurons.trace(opened.neurons.rows[id]) for id in edit.ids]
    assert sum(len(part.nodes) for part in parts) == nodes
    assert all(part.components == 1 for part in parts)
    opened.undo()
    assert opened.split(17, node).ids == (17, 2**40 + 1)
    # A neuron of both: what was split off one is merged into another.
    opened.merge([2**40 + 1, 90003])
    assert len(read(opened.source).neurons) == 3
    assert [edit.kind for edit in EditLog(opened.folder).edits] == ["split", "merge"]


def test_folders_of_traces_are_found(tmp_path: Path, traces: list[Trace]) -> None:
    written(tmp_path / "traces" / "run-3" / "affinities", traces)
    written(tmp_path / "traces" / "run-4", traces[:1])
    (tmp_path / "traces" / "empty").mkdir()
    assert [path.name for path in trace_folders(tmp_path / "traces")] == ["affinities", "run-4"]
    with pytest.raises(DataError, match="no SWC file"):
        TraceReading(tmp_path / "traces" / "empty")


def test_point_43_swc_export_is_the_same_again(opened: TraceSet, tmp_path: Path) -> None:
    neurons = opened.neurons
    for unit in ("nm", "um"):
        for rows in ([0], [0, 2], range(3)):
            many = Export(neurons, list(rows), "swc", tmp_path / f"{unit}{len(rows)}", unit)()
            files = sorted(many.glob("*.swc"))
            assert sorted(int(file.stem) for file in files) == sorted(int(neurons.ids[row]) for row in rows)
            for file in files:
                assert f"# unit {unit}" in file.read_text().splitlines()
                (back,) = read_swc(file)
                trace = neurons.trace(neurons.rows[int(file.stem)])
                assert len(back.nodes) == len(trace.nodes)
                assert back.cable_length == pytest.approx(trace.cable_length, rel=1e-3)
                lines = [line.split() for line in file.read_text().splitlines() if line[0] != "#"]
                assert all(int(line[6]) < int(line[0]) for line in lines)
                assert sum(line[6] == "-1" for line in lines) == 1
    forest = Export(neurons, [0, 1, 2], "forest", tmp_path / "all.swc")()
    assert {trace.id for trace in read_swc(forest)} == set(IDS)
    with pytest.raises(OutputExistsError, match="holds something"):
        Export(neurons, [0], "forest", forest)()
    with pytest.raises(UsageError, match="nothing to export"):
        Export(neurons, [], "swc", tmp_path / "none")()


def test_other_exports(opened: TraceSet, tmp_path: Path) -> None:
    neurons = opened.neurons
    opened.review.mark([17], status="ok", note="soma")
    skeletons = Export(neurons, [0, 1], "precomputed", tmp_path / "skeletons")()
    assert len(list(read_precomputed(str(skeletons)))) == 2
    table = Export(neurons, [0, 1, 2], "csv", tmp_path / "all.csv", review=opened.review)()
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {row["id"] for row in rows} == {str(id) for id in IDS}
    assert next(row for row in rows if row["id"] == "17")["status"] == "ok"
    assert "cable_um" in rows[0]
    graph = json.loads(Export(neurons, [0], "json", tmp_path / "graph.json", review=opened.review)().read_text())
    assert graph["unit"] == "nm"
    assert len(graph["traces"][0]["nodes_zyx"]) == len(neurons.trace(0).nodes)


def test_meshes_are_drawn_of_the_segmentation(tmp_path: Path) -> None:
    import segkit

    labels = np.zeros((12, 12, 30), np.uint64)
    labels[4:8, 4:8, 2:28] = 17
    volume = segkit.Volume.from_array(labels, voxel_size=(10.0, 10.0, 10.0), unit="nm")
    segkit.write_volume(volume, tmp_path / "labels.zarr", labels=True)
    segkit.trace(tmp_path / "labels.zarr", "skeleton", out_dir=tmp_path / "traces")
    opened = read(tmp_path / "traces")
    with pytest.raises(UsageError, match="segmentation"):
        Export(opened.neurons, [0], "meshes", tmp_path / "meshes")()
    found = Export(opened.neurons, [0], "meshes", tmp_path / "meshes", segmentation=str(tmp_path / "labels.zarr"))()
    assert (found / "17.ply").read_bytes().startswith(b"ply")


def test_errors_are_read(tmp_path: Path) -> None:
    (tmp_path / "errors.csv").write_text(
        "kind,z_nm,y_nm,x_nm,lost_nm,cable_nm,skeletons,segments\nsplit,1,2,3,40,50,7,8 9\nmerger,4,5,6,30,20,1 2,5\n"
    )
    errors = read_errors(tmp_path)
    assert errors.unit == "nm"
    assert errors.kinds == ["split", "merger"]
    assert errors.segments == [(8, 9), (5,)]
    np.testing.assert_array_equal(errors.positions[1], (4, 5, 6))
    with pytest.raises(DataError, match="Compare again"):
        read_errors(tmp_path / "gone")


def test_unit_of_voxels(tmp_path: Path) -> None:
    write_swc(Trace([[0, 0, 0], [0, 0, 3]], [[0, 1]], np.ones(2), 3, "voxel"), tmp_path / "3.swc")
    columns = columns_of(read(tmp_path / "3.swc").neurons)
    assert columns[1].title == "cable voxels"
    assert columns[1].values[0] == 3


def test_point_42_a_million_nodes_are_measured_and_drawn_quickly() -> None:
    neurons = Neurons.of([neuron(at + 1, 20_000, at, branch=200) for at in range(10)])
    start = perf_counter()
    columns_of(neurons)
    drawn = sketch(neurons, 16.0, 20_000)
    seconds = perf_counter() - start
    assert len(drawn.ends) <= 20_000
    assert drawn.shown == 10
    assert seconds < 5  # 0.3 s on a calm machine
