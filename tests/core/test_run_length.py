"""Expected run length and located errors: cases worked out by hand, and an independent count of the same definition."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import DataError, UsageError
from segkit.metrics import EDGE_KINDS, EXPLANATIONS, RunLength, Skeletons, locate_errors
from segkit.metrics._joining import joining_nodes


def lines(*lengths, apart=100.0, step=10.0):
    """Straight skeletons along x, so many edges long, one above the other."""
    nodes, edges, owners = [], [], []
    for owner, length in enumerate(lengths):
        first = len(nodes)
        nodes += [(0.0, apart * owner, step * i) for i in range(length + 1)]
        edges += [(first + i, first + i + 1) for i in range(length)]
        owners += [owner] * (length + 1)
    return Skeletons(np.array(nodes), np.array(edges), np.array(owners))


def counted(skeletons, segments, merge_nodes):
    """The scores again, one edge at a time, as the definition reads."""
    nodes = defaultdict(lambda: defaultdict(int))
    for segment, owner in zip(segments.tolist(), skeletons.owners.tolist()):
        if segment:
            nodes[segment][owner] += 1
    merging = {s for s, by in nodes.items() if sum(n >= max(1, merge_nodes) for n in by.values()) > 1}
    run, whole, kinds = defaultdict(float), defaultdict(float), []
    for (a, b), length in zip(skeletons.edges.tolist(), skeletons.lengths.tolist()):
        one, other, piece = int(segments[a]), int(segments[b]), int(skeletons.pieces[a])
        whole[piece] += length
        if not one or not other:
            kinds.append("omitted")
        elif one != other:
            kinds.append("split")
        elif one in merging:
            kinds.append("merged")
        else:
            kinds.append("correct")
            run[piece, one] += length
    cable = sum(whole.values())
    # for each skeleton the mean over its cable, then the mean over skeletons weighted by their cable
    erl = sum(whole[p] * sum(c * c for (q, _), c in run.items() if q == p) / whole[p] for p in whole) / cable
    perfect = sum(length * length / cable for length in whole.values())
    return erl, perfect, kinds, len(merging)


@st.composite
def cases(draw):
    """Random forests with random segments, few enough to collide."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, owners_count = draw(st.integers(2, 60)), draw(st.integers(1, 5))
    owners = np.sort(rng.integers(0, owners_count, count))
    edges = []
    for owner in range(owners_count):
        own = np.flatnonzero(owners == owner)
        edges += [(int(rng.choice(own[:i])), int(own[i])) for i in range(1, len(own)) if rng.random() < 0.9]
    nodes = rng.integers(0, 40, (count, 3)).astype(float)
    nodes[:, 0] += np.arange(count) / 64  # no edge of length 0, no two distances alike
    segments = owners + 1 if draw(st.booleans()) else rng.integers(0, draw(st.integers(1, 8)) + 1, count)
    wrong = rng.random(count) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    segments = np.where(wrong, rng.integers(0, 9, count), segments).astype(np.uint64)
    return Skeletons(nodes, np.array(edges, np.int64).reshape(-1, 2), owners), segments, draw(st.integers(0, 4))


@settings(max_examples=100)
@given(cases())
def test_scores_equal_an_independent_count(case):
    skeletons, segments, merge_nodes = case
    runs = RunLength(skeletons, segments, merge_nodes)
    scores = runs.scores()
    assert scores.keys() <= EXPLANATIONS.keys()
    if not len(skeletons.edges):
        assert math.isnan(scores["nerl"])
        assert locate_errors(runs) == []
        return
    erl, perfect, kinds, merging = counted(skeletons, segments, merge_nodes)
    assert [EDGE_KINDS[kind] for kind in runs.kinds] == kinds
    assert scores["erl"] == pytest.approx(erl, rel=1e-9)
    assert scores["erl_perfect"] == pytest.approx(perfect, rel=1e-9)
    assert scores["merging_segments"] == merging
    assert sum(scores[f"{kind}_share"] for kind in EDGE_KINDS) == pytest.approx(1)
    errors = locate_errors(runs)
    count = {kind: sum(error.kind == kind for error in errors) for kind in ("split", "merger", "omission")}
    assert (count["split"], count["merger"]) == (scores["splits"], scores["mergers"])
    omitted = sum(error.cable for error in errors if error.kind == "omission")
    assert omitted == pytest.approx(scores["omitted_share"] * scores["cable"], abs=1e-6)
    assert all(error.lost >= 0 for error in errors)
    assert [error.lost for error in errors] == sorted((error.lost for error in errors), reverse=True)


@settings(max_examples=40)
@given(cases(), st.integers(0, 2**32))
def test_names_of_segments_and_order_of_nodes_change_nothing(case, seed):
    skeletons, segments, merge_nodes = case
    rng = np.random.default_rng(seed)
    scores = RunLength(skeletons, segments, merge_nodes).scores()
    names = np.array([0, *(2**63 + rng.permutation(10).astype(np.uint64))], np.uint64)
    order = rng.permutation(len(skeletons.nodes))
    place = np.argsort(order)
    edges = place[skeletons.edges][rng.permutation(len(skeletons.edges))]
    shuffled = Skeletons(skeletons.nodes[order], edges, skeletons.owners[order])
    again = RunLength(shuffled, names[segments][order], merge_nodes).scores()
    assert again == pytest.approx(scores, rel=1e-9, nan_ok=True)


@settings(max_examples=40)
@given(cases())
def test_the_truth_is_perfect_and_mending_gives_back_what_was_said(case):
    skeletons, segments, merge_nodes = case
    perfect = RunLength(skeletons, skeletons.owners + 1, merge_nodes)
    assert perfect.scores()["nerl"] == pytest.approx(1 if len(skeletons.edges) else math.nan, nan_ok=True)
    assert locate_errors(perfect) == []
    runs = RunLength(skeletons, segments)
    before = runs.scores()["erl"]
    for error in [error for error in locate_errors(runs) if error.kind == "split" and error.lost][:3]:
        # Joining two segments everywhere mends at least that split; on other skeletons it may do good as well.
        if len({int(o) for o in skeletons.owners[np.isin(segments, error.segments)]}) == 1:
            mended = np.where(segments == error.segments[1], np.uint64(error.segments[0]), segments)
            assert RunLength(skeletons, mended).scores()["erl"] >= before + error.lost - 1e-9
    whole = [error for error in locate_errors(runs) if error.kind == "merger"]
    if whole and not merge_nodes:
        parted = np.where(runs.merging[runs.places], 100 + segments * 8 + skeletons.owners.astype(np.uint64), segments)
        gain = RunLength(skeletons, parted).scores()["erl"] - before
        assert sum(error.lost for error in whole) == pytest.approx(gain, abs=1e-9)


def test_one_split():
    skeletons = lines(10)
    runs = RunLength(skeletons, np.array([1] * 4 + [2] * 7))
    scores = runs.scores()
    assert scores["erl"] == pytest.approx((30**2 + 60**2) / 100)
    assert scores["nerl"] == pytest.approx(0.45)
    assert scores["error_free_path"] == pytest.approx(45)
    assert (scores["splits"], scores["split_edges"], scores["mergers"]) == (1, 1, 0)
    assert scores["splits_per_mm"] == pytest.approx(1 / 100e-6)
    (error,) = locate_errors(runs)
    assert (error.kind, error.position, error.segments, error.skeletons) == ("split", (0, 0, 35), (1, 2), (0,))
    assert error.lost == pytest.approx(100 - 45)
    assert error.cable == 30
    assert math.isnan(runs.scores("voxel")["splits_per_mm"])


def test_a_split_that_is_crossed_often_is_one():
    scores = RunLength(lines(10), np.array([1, 1, 1, 2, 1, 2, 1, 2, 2, 2, 2])).scores()
    assert (scores["splits"], scores["split_edges"]) == (1, 5)


def test_one_omission():
    runs = RunLength(lines(10), np.array([5, 5, 5, 0, 0, 0, 9, 9, 9, 9, 9]))
    scores = runs.scores()
    assert scores["omitted_share"] == pytest.approx(0.4)
    assert scores["erl"] == pytest.approx((20**2 + 40**2) / 100)
    (error,) = locate_errors(runs)
    assert (error.kind, error.position, error.segments) == ("omission", (0, 0, 40), (5, 9))
    assert (error.cable, error.lost) == (40, pytest.approx(100 - 20))


def test_a_merger_costs_all_cable_in_the_segment():
    skeletons = lines(10, 4, 6)
    segments = np.array([1] * 11 + [1] * 5 + [3] * 7)
    runs = RunLength(skeletons, segments)
    scores = runs.scores()
    assert scores["erl"] == pytest.approx(60**2 / 200)
    assert scores["merged_share"] == pytest.approx(140 / 200)
    (error,) = locate_errors(runs)
    assert (error.kind, error.segments, error.skeletons, error.cable) == ("merger", (1,), (0, 1), 40)
    assert (error.position[1], error.lost) == (50, pytest.approx((100**2 + 40**2) / 200))
    assert RunLength(skeletons, segments, 6).scores()["merging_segments"] == 0


def test_a_graze_counts_only_below_merge_nodes():
    segments = np.array([1] * 11 + [1] + [2] * 10)
    assert RunLength(lines(10, 10), segments).scores()["nerl"] == pytest.approx(0.5 * 0.81)
    assert RunLength(lines(10, 10), segments, 2).scores()["nerl"] == pytest.approx(0.5 * (1 + 0.81))


def test_a_merger_of_three_is_two_places_in_a_chain():
    runs = RunLength(lines(10, 2, 8), np.ones(11 + 3 + 9))
    errors = locate_errors(runs)
    assert sorted(error.position[1] for error in errors) == [50, 150]
    assert errors[0].skeletons == (1, 2)  # what is added to the longest: the last, over the one between them
    assert errors[0].lost == pytest.approx((100**2 + 80**2) / 200)
    assert errors[1].lost == pytest.approx(20**2 / 200)


def test_pieces_of_a_skeleton_are_scored_by_themselves():
    skeletons = lines(4, 6)
    same = Skeletons(skeletons.nodes, skeletons.edges, np.zeros(12))
    for segments in (np.ones(12), np.array([1] * 5 + [2] * 7)):
        assert RunLength(same, segments).scores()["nerl"] == pytest.approx(1)
    cut = same.without(np.arange(12) == 1)
    assert cut.lengths.sum() == 80
    assert RunLength(cut, np.ones(11)).scores()["nerl"] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_places_of_mergers_are_a_minimum_spanning_tree(seed):
    from scipy.sparse.csgraph import minimum_spanning_tree

    rng = np.random.default_rng(seed)
    nodes = (rng.normal(0, 1, (120, 3)).cumsum(0) * 5).round(2)
    units = np.sort(rng.integers(0, 9, 120))
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 2, 1])[units]
    _, units = np.unique(units, return_inverse=True)
    pairs = joining_nodes(nodes, units, groups)
    assert (groups[pairs[:, 0]] == groups[pairs[:, 1]]).all()
    found = np.linalg.norm(nodes[pairs[:, 0]] - nodes[pairs[:, 1]], axis=1).sum()
    least = 0.0
    for group in range(3):
        inside = np.unique(units[groups == group])
        between = np.zeros((len(inside), len(inside)))
        for i, one in enumerate(inside):
            for j, other in enumerate(inside):
                apart = np.linalg.norm(nodes[units == one][:, None] - nodes[units == other][None], axis=2)
                between[i, j] = apart.min() if i < j else 0
        least += minimum_spanning_tree(between).sum()
    assert len(pairs) == len(np.unique(units)) - 3
    assert found == pytest.approx(least)


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="owner"):
        Skeletons(np.zeros((3, 3)), np.array([(0, 3)]), np.zeros(3))
    with pytest.raises(DataError, match="two skeletons"):
        Skeletons(np.zeros((2, 3)), np.array([(0, 1)]), np.array([0, 1]))
    with pytest.raises(DataError, match="one for each node"):
        RunLength(lines(3), np.zeros(3))
    with pytest.raises(UsageError, match="merge_nodes"):
        RunLength(lines(3), np.zeros(4), -1)


def test_many_nodes_take_no_time():
    from time import process_time

    skeletons = lines(*[999] * 200, step=1.0)
    segments = np.repeat(np.arange(1, 201), 1000)
    segments[np.arange(0, 200_000, 997)] = 0
    segments[5_000:6_000] = 5
    began = process_time()
    errors = locate_errors(RunLength(skeletons, segments))
    assert process_time() - began < 3  # seconds, for 200,000 nodes
    assert len(errors) > 200
