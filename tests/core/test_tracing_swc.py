"""SWC files: written, read back, and refused where they are broken."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit import Trace, read_swc, write_swc
from segkit.errors import DataError, UsageError


def walk(count: int, pieces: int, seed: int, **fields) -> Trace:
    """A random forest."""
    rng = np.random.default_rng(seed)
    edges = [(int(rng.integers(i % pieces, i, endpoint=False)), i) for i in range(pieces, count)]
    order = rng.permutation(count)
    edges = order[np.array(edges, np.int64).reshape(-1, 2)]
    types = rng.integers(0, 6, count)
    return Trace(
        rng.normal(0, 1e5, (count, 3)).round(3), edges, rng.random(count).round(3) * 100, types=types, **fields
    )


def signature(trace: Trace) -> list:
    """What does not depend on the numbering of the nodes."""
    rows = zip(trace.nodes, trace.radii, trace.types)
    names = [tuple(np.round([*node, radius, kind], 3)) for node, radius, kind in rows]
    return sorted(names), sorted(tuple(sorted((names[a], names[b]))) for a, b in trace.edges)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_round_trip(tmp_path_factory, count, pieces, seed) -> None:
    path = tmp_path_factory.mktemp("swc") / "a.swc"
    trace = walk(count, min(pieces, count), seed, id=2**60 + seed)
    write_swc(trace, path)
    (again,) = read_swc(path)
    assert signature(again) == signature(trace)
    assert (again.id, again.unit, again.components) == (trace.id, "nm", trace.components)
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [int(row[0]) for row in rows] == list(range(1, count + 1))
    assert all(int(row[6]) < int(row[0]) for row in rows)  # parents before children
    write_swc(again, path.with_name("b.swc"))
    assert signature(read_swc(path.with_name("b.swc"))[0]) == signature(trace)


def test_several_traces_in_one_file(tmp_path: Path) -> None:
    traces = [walk(12, 2, 1, id=7, unit="voxel"), walk(5, 1, 2, id=9, unit="voxel")]
    write_swc(traces, tmp_path / "a.swc")
    again = read_swc(tmp_path / "a.swc")
    assert [(t.id, t.unit, len(t.nodes)) for t in again] == [(7, "voxel", 12), (9, "voxel", 5)]
    assert [signature(t) for t in again] == [signature(t) for t in traces]
    with pytest.raises(DataError, match="one unit"):
        write_swc([traces[0], walk(3, 1, 0)], tmp_path / "b.swc")


def test_the_root_is_the_thickest_node(tmp_path: Path) -> None:
    write_swc(Trace([[0, 0, 1], [0, 0, 2], [0, 0, 3]], [[0, 1], [1, 2]], [1, 2, 5]), tmp_path / "a.swc")
    first = next(line for line in (tmp_path / "a.swc").read_text().splitlines() if not line.startswith("#"))
    assert first == "1 0 3.000 0.000 0.000 5.000 -1"


def test_files_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "1234_neuron.swc"
    path.write_text(
        "# ORIGINAL_SOURCE somewhere\r\n\r\n"
        "3 2 30.0 20 10 1.5 20 # a comment behind\n"  # before its parent
        "20 1 3 2 1 5e0 -1\n"
        "  7   3 0 0 0 0 -1\n"
    )
    (trace,) = read_swc(path, scale=8)
    assert trace.id == 1234
    assert trace.components == 2
    np.testing.assert_allclose(trace.nodes[0], [80, 160, 240])
    np.testing.assert_allclose(trace.radii, [12, 40, 0])
    assert trace.edges.tolist() == [[1, 0]]
    assert trace.types.tolist() == [2, 1, 3]
    (voxels,) = read_swc(path, scale=(33, 32, 32), radius_scale=1)
    np.testing.assert_allclose(voxels.nodes[0], [330, 640, 960])
    np.testing.assert_allclose(voxels.radii, [1.5, 5, 0])
    with pytest.raises(UsageError, match="above 0"):
        read_swc(path, scale=0)
    path.write_text("# unit um\n1 0 1 2 3 0.5 -1\n")
    np.testing.assert_allclose(read_swc(path, scale=8)[0].nodes, [[3000, 2000, 1000]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no node"),
        ("# only words\n", "holds no node"),
        ("1 0 0 0 0 1 -1\n2 0 0 0 0 1\n", "Line 2 .* not a node"),
        ("1 0 0 0 zero 1 -1\n", "Line 1 .* not a node"),
        ("1 0 0 0 inf 1 -1\n", "Line 1 .* not finite"),
        ("1 0 0 0 0 1 -1\n1 0 0 0 0 1 -1\n", "Line 2 .* node 1 again, after line 1"),
        ("1 0 0 0 0 1 -1\n\n2 0 0 0 0 1 5\n", "Line 3 .* parent 5"),
        ("1 0 0 0 0 1 -1\n2 0 0 0 0 1 3\n3 0 0 0 0 1 2\n4 0 0 0 0 1 3\n", "Line 2 .* its own ancestor"),
        ("1 0 0 0 0 1 1\n", "Line 1 .* its own ancestor"),
    ],
)
def test_broken_files_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.swc"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_swc(path)
    with pytest.raises(DataError, match="no file"):
        read_swc(tmp_path / "absent.swc")


# Cable length in the unit of the files (8 nm), nodes, pieces, forks and ends without roots, and the highest Strahler order,
# by navis 1.12.0 (`TreeNeuron.cable_length`, `n_branches`, `n_ends`, `strahler_index`, all seen from the first root);
# `Skeleton.cable_length` of cloud-volume 12.15.2 gives the same lengths.
HEMIBRAIN = Path(os.environ.get("SEGKIT_TEST_DATA", "absent"), "swc-hemibrain")
BY_NAVIS = {
    1734350788: (266476.88, 4465, 1, 599, 618, 6),
    1734350908: (304332.66, 4847, 1, 735, 761, 6),
    722817260: (274703.38, 4332, 1, 633, 656, 6),
    754534424: (286522.47, 4696, 1, 696, 726, 7),
    754538881: (291265.31, 4881, 2, 626, 642, 6),
}


@pytest.mark.skipif(not HEMIBRAIN.is_dir(), reason="SEGKIT_TEST_DATA names no folder with swc-hemibrain")
@pytest.mark.parametrize("id", BY_NAVIS)
def test_measurements_are_those_of_others(id: int) -> None:
    (trace,) = read_swc(HEMIBRAIN / f"{id}.swc", scale=8)
    length, nodes, pieces, forks, ends, order = BY_NAVIS[id]
    assert trace.id == id
    assert trace.cable_length == pytest.approx(8 * length, rel=1e-6)
    # A root with one child is a tip here, and seen from another root the order may differ by one.
    assert (len(trace.nodes), trace.components, trace.branches, trace.tips - pieces) == (nodes, pieces, forks, ends)
    assert abs(trace.strahler - order) <= 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n# the end\n",
        lambda text: text.rstrip("\n"),
        lambda text: "\n".join([*(rows := text.splitlines())[:4], *rows[:3:-1]]) + "\n",
    ],
    ids=["tabs", "spaces at ends", "carriage returns", "comment at the end", "no last newline", "children first"],
)
def test_files_of_any_shape_are_read_the_same(tmp_path: Path, change) -> None:
    trace = walk(30, 2, 5, id=7)
    write_swc(trace, tmp_path / "7.swc")
    (tmp_path / "8.swc").write_text(change((tmp_path / "7.swc").read_text()), newline="")
    (again,) = read_swc(tmp_path / "8.swc")
    assert signature(again) == signature(trace)
    assert again.id == 7


@pytest.mark.parametrize("row", ["1 0 1 2 3 4", "1 0 1 2 3 4 -1 9 8", "1 0 1-2 2 3 4 -1", "1 0 nan 2 3 4 -1"])
def test_rows_of_another_length_are_not_read_as_one_another(tmp_path: Path, row: str) -> None:
    """Six numbers, then eight, are as many as twice seven."""
    (tmp_path / "a.swc").write_text(f"# unit nm\n{row}\n2 0 1 2 3 4 1 5\n")
    if len(row.split()) > 7:
        assert len(read_swc(tmp_path / "a.swc")[0].nodes) == 2
    else:
        with pytest.raises(DataError, match="Line 2"):
            read_swc(tmp_path / "a.swc")
