"""Segmentations compared with skeletons: what is read, what is left out, and what is written."""

import csv
import math

import numpy as np
import pytest

import segkit
from segkit.errors import DataError, UsageError
from segkit.metrics import EXPLANATIONS
from segkit.tracing import Trace, evaluate_traces, read_traces, write_swc
from segkit.volume import Volume

SIZE, START = (30.0, 10.0, 10.0), (300.0, 0.0, -100.0)


def straight(id, z, y, x0, x1):
    """A skeleton along x, of voxels of `SIZE` from `START`."""
    voxels = np.array([(z, y, x) for x in range(x0, x1)])
    edges = np.stack([np.arange(x1 - x0 - 1), np.arange(1, x1 - x0)], 1)
    return Trace(voxels * np.array(SIZE) + np.array(START), edges, np.zeros(len(voxels)), id)


@pytest.fixture
def truth():
    return [straight(7, 2, 3, 0, 40), straight(900, 5, 12, 4, 30), straight(12, 5, 16, 10, 40)]


@pytest.fixture
def labels():
    array = np.zeros((9, 20, 40), np.uint64)
    array[1:4, 2:5], array[4:7, 11:14], array[4:7, 15:18] = 2**50, 2, 3
    return array


class Watched:
    """An array that counts what is read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.regions = array, array.shape, array.dtype, []

    def __getitem__(self, key):
        self.regions.append(tuple((part.start, part.stop) for part in key))
        return self.array[key]


def placed(array, **more):
    return Volume.from_array(array, voxel_size=SIZE, offset=START, **more)


def test_the_truth_is_perfect_and_errors_have_places(labels, truth):
    perfect = evaluate_traces(placed(labels), truth)
    assert perfect.scores["nerl"] == 1
    assert perfect.scores.keys() <= EXPLANATIONS.keys()
    assert (perfect.errors, perfect.outside, perfect.nodes, perfect.unit) == ([], 0, 96, "nm")
    labels[:, :, 25:][labels[:, :, 25:] == 2**50] = 9
    labels[labels == 3] = 2
    split, merger = sorted(evaluate_traces(placed(labels), truth).errors, key=lambda error: error.kind, reverse=True)
    assert (split.kind, split.skeletons, split.segments) == ("split", (7,), (9, 2**50))
    assert split.position == (360, 30, 145)
    assert (merger.kind, merger.skeletons, merger.segments) == ("merger", (12, 900), (2,))
    assert merger.position[:2] == (450, 140)


@pytest.mark.parametrize("chunks", [None, (3, 4, 8), (9, 20, 40), (1, 20, 40)])
def test_only_blocks_with_nodes_are_read(labels, truth, chunks):
    array = np.zeros((90, 200, 400), np.uint64)
    array[:9, :20, :40] = labels
    watched, steps = Watched(array), []
    volume = placed(watched, chunks=chunks)
    outcome = evaluate_traces(volume, truth, workers=1, progress=lambda *step: steps.append(step))
    assert outcome.scores["nerl"] == 1
    assert all(stop <= edge for region in watched.regions for (_, stop), edge in zip(region, (9, 20, 40)))
    assert steps == [(done, len(watched.regions)) for done in range(len(watched.regions) + 1)]
    assert all(
        stop - start <= chunk for region in watched.regions for (start, stop), chunk in zip(region, chunks or (64,) * 3)
    )
    crop = evaluate_traces(volume, truth, region="z2:7, x5:", workers=2)
    assert crop.scores["nerl"] == 1
    assert (crop.outside, crop.nodes) == (6, 90)


def test_large_chunks_are_read_in_parts(labels, truth, monkeypatch):
    monkeypatch.setattr("segkit.tracing._places._LARGEST", 200)
    watched = Watched(labels)
    assert evaluate_traces(placed(watched, chunks=labels.shape), truth).scores["nerl"] == 1
    assert all(math.prod(stop - start for start, stop in region) <= 200 for region in watched.regions)


def test_files_and_folders(labels, truth, tmp_path):
    for trace in truth:
        write_swc(trace, tmp_path / f"{trace.id}.swc")
    write_swc(truth, tmp_path / "all.SWC")
    assert [trace.id for trace in read_traces(tmp_path / "all.SWC")] == [7, 900, 12]
    assert [trace.id for trace in read_traces(tmp_path)] == [7, 900, 12, 7, 12, 900]
    (tmp_path / "all.SWC").rename(tmp_path / "all.txt")
    labels[:, :, 20] = 0
    from_folder, from_file = (evaluate_traces(placed(labels), source) for source in (tmp_path, tmp_path / "all.txt"))
    assert from_folder.as_dict()["scores"] == from_file.as_dict()["scores"]
    assert {error.skeletons for error in from_file.errors} == {(7,), (900,), (12,)}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no SWC file"):
        read_traces(tmp_path / "empty")


def test_skeletons_with_one_name_are_numbered(labels, truth):
    labels[:, :, 20] = 0
    same = [Trace(trace.nodes, trace.edges, trace.radii) for trace in truth]
    assert {error.skeletons for error in evaluate_traces(placed(labels), same).errors} == {(1,), (2,), (3,)}


def test_the_table_of_errors(labels, truth, tmp_path):
    labels[:, :, 25:][labels[:, :, 25:] == 2**50] = 9
    labels[:, 15:18, 12:14] = 0
    outcome = evaluate_traces(placed(labels), truth)
    outcome.write_errors(tmp_path / "errors.csv")
    with (tmp_path / "errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == [error.kind for error in outcome.errors] == ["split", "omission"]
    assert rows[0]["segments"] == f"9 {2**50}"
    assert float(rows[0]["lost_nm"]) == pytest.approx(outcome.errors[0].lost, rel=1e-5)
    assert [float(rows[0][f"{axis}_nm"]) for axis in "zyx"] == list(outcome.errors[0].position)


def test_thin_ends_are_cut_back(labels):
    radii = np.array([5.0, 5, 30, 9, 30, 30, 5])
    nodes = np.array([(3, 3, x) for x in range(7)]) * np.array(SIZE) + np.array(START)
    thick = Trace(nodes, np.stack([np.arange(6), np.arange(1, 7)], 1), radii, 1)
    thin = Trace(nodes, thick.edges, np.full(7, 5.0), 2)
    outcome = evaluate_traces(placed(labels), [thick, thin], trim=10)
    assert (outcome.nodes, outcome.scores["cable"], outcome.scores["skeletons"]) == (4, 30, 1)
    assert outcome.runs.skeletons.nodes[:, 2].tolist() == [-80, -70, -60, -50]
    with pytest.raises(DataError, match="trim less"):
        evaluate_traces(placed(labels), [thin], trim=10)
    for trim in (-1, float("nan")):
        with pytest.raises(UsageError, match="trim"):
            evaluate_traces(placed(labels), [thick], trim=trim)


def test_what_cannot_be_compared_is_refused(labels, truth):
    with pytest.raises(DataError, match="'voxel_size'"):
        evaluate_traces(labels, truth)
    with pytest.raises(DataError, match="None of the 96 nodes"):
        evaluate_traces(Volume.from_array(labels, voxel_size=SIZE, offset=(9e9, 0, 0)), truth)
    with pytest.raises(DataError, match="no skeletons"):
        evaluate_traces(placed(labels), [])
    with pytest.raises(DataError, match="float"):
        evaluate_traces(placed(labels.astype(np.float32)), truth)
    with pytest.raises(DataError, match="-1"):
        evaluate_traces(placed(labels.astype(np.int64) - 1), [straight(1, 0, 0, 0, 9)])
    with pytest.raises(UsageError, match="merge_nodes"):
        evaluate_traces(placed(labels), truth, merge_nodes=-2)


def test_voxels_are_a_unit_too(labels):
    traces = segkit.trace(labels, "skeleton")
    outcome = evaluate_traces(labels, traces)
    assert (outcome.unit, outcome.scores["nerl"]) == ("voxel", 1)
    assert outcome.as_dict()["scores"]["splits_per_mm"] is None
