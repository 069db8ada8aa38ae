"""The built-in tracers, on shapes whose skeleton is known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from segkit import Trace, trace
from segkit.tracing import spanning_forest
from segkit_skeletons import skeleton, teasar
from segkit_skeletons._graph import pruned, smoothed, spaced

TRACERS = {"skeleton": skeleton, "teasar": teasar, "kimimaro": partial(teasar, engine="kimimaro")}


@pytest.fixture(params=TRACERS)
def factory(request):
    if request.param == "kimimaro":
        pytest.importorskip("kimimaro")
    return TRACERS[request.param]


def tubes(shape, parts, voxel_size=(1.0, 1.0, 1.0)) -> np.ndarray:
    """A mask of capsules ``(from, to, radius)``."""
    place = np.indices(shape).transpose(1, 2, 3, 0) * np.array(voxel_size)
    mask = np.zeros(shape, bool)
    for begin, end, radius in parts:
        begin, end = np.array(begin, float), np.array(end, float)
        along = end - begin
        t = np.clip((place - begin) @ along / (along @ along), 0, 1)
        mask |= np.linalg.norm(place - (begin + t[..., None] * along), axis=-1) <= radius
    return mask


FORK = [((16, 16, 6), (16, 16, 25), 3.2), ((16, 16, 25), (7, 7, 42), 2.6), ((16, 16, 25), (25, 25, 42), 2.6)]
FORK_LENGTH = 19 + 2 * np.sqrt(9**2 + 9**2 + 17**2)


@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_fork(factory, scale: float) -> None:
    mask = tubes((33, 33, 48), FORK)
    found = factory(constant=4 * scale)(mask, (scale,) * 3)
    assert (found.tips, found.branches, found.components) == (3, 1, 1)
    assert found.cable_length == pytest.approx(FORK_LENGTH * scale, rel=0.15)
    # nodes lie near the axes, radii are those of the tubes
    fork = found.nodes[found.degrees == 3][0] / scale
    assert np.linalg.norm(fork - [16, 16, 25]) < 5
    assert found.radii.max() / scale == pytest.approx(3.5, abs=0.8)
    inside = np.rint(found.nodes / scale).astype(int)
    assert mask[tuple(inside.T)].mean() > 0.99


def test_anisotropic_voxels(factory) -> None:
    size = (4.0, 1.0, 1.0)
    parts = [((40, 16, 6), (80, 16, 40), 5)]
    mask = tubes((30, 32, 48), parts, size)
    found = factory(constant=8.0)(mask, size)
    assert (found.tips, found.branches) == (2, 0)
    assert found.cable_length == pytest.approx(np.hypot(40, 34), rel=0.25)


def test_every_piece_has_a_node(factory) -> None:
    mask = np.zeros((12, 12, 30), bool)
    mask[2, 2, 2] = True
    mask[2:4, 6:8, 2:4] = True
    mask[8, 8, 3:28] = True
    mask[2:9, 2:9, 20:26] ^= mask[2:9, 2:9, 20:26] | True
    mask[4:6, 4:6, 22:24] = False  # a cavity
    found = factory()(mask, (1.0, 1.0, 1.0))
    import cc3d

    pieces = cc3d.connected_components(mask, connectivity=26)
    assert found.components == pieces.max()
    assert len(np.unique(pieces[tuple(np.rint(found.nodes).astype(int).T)])) >= pieces.max()


@pytest.mark.parametrize(("wide", "deep"), [(3, 2), (4, 2), (6, 4)])
def test_slanted_bars_are_not_lost(factory, wide: int, deep: int) -> None:
    mask = np.zeros((44, 48, 48), bool)
    for i in range(34):
        mask[3 + max(0, i - 1) : 3 + i + deep, 3 + i : 3 + i + wide, 40 - i : 40 - i + wide] = True
    found = factory(constant=4.0)(mask, (1.0, 1.0, 1.0))
    assert found.components == 1
    assert found.cable_length == pytest.approx(33 * np.sqrt(3), rel=0.2)
    inside = np.rint(found.nodes).astype(int)
    assert mask[tuple(inside.T)].all()


def test_a_ring_becomes_a_tree(factory) -> None:
    z, y, x = np.indices((11, 40, 40))
    mask = (np.hypot(y - 20, x - 20) - 13) ** 2 + (z - 5) ** 2 < 9
    found = factory(constant=2.0)(mask, (1.0, 1.0, 1.0))
    assert found.components == 1
    assert found.cable_length > 0.75 * 2 * np.pi * 13


def test_the_same_again(factory) -> None:
    mask = tubes((33, 33, 48), FORK)
    first, second = (factory()(mask, (8.0, 4.0, 4.0)) for _ in range(2))
    np.testing.assert_array_equal(first.nodes, second.nodes)
    np.testing.assert_array_equal(first.edges, second.edges)


def test_in_a_volume(factory) -> None:
    labels = np.zeros((40, 40, 60), np.uint64)
    labels[3:36, 3:36, 5:53][tubes((33, 33, 48), FORK)] = 77
    (found,) = trace(labels, factory(constant=4.0))
    assert np.linalg.norm(found.nodes[found.degrees == 3][0] - [19, 19, 30]) < 5


def stick(spur: int) -> Trace:
    """A straight line of 41 nodes with a side branch of `spur` nodes in the middle."""
    line = [[0, 0, i] for i in range(41)] + [[0, i, 20] for i in range(1, spur + 1)]
    edges = [[i, i + 1] for i in range(40)] + [[20, 41]] + [[i, i + 1] for i in range(41, 40 + spur)]
    return Trace(line, edges, np.full(len(line), 2.0))


def test_spurs_go_and_branches_stay() -> None:
    assert pruned(stick(3), 2, 0).tips == 2
    assert pruned(stick(4), 2, 0).tips == 3
    assert pruned(stick(4), 2, 1).tips == 2
    assert pruned(stick(30), 2, 0).cable_length == 70
    assert pruned(stick(3), 0, 0).tips == 3
    star = Trace([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], [[0, 1], [0, 2], [0, 3]], np.full(4, 9.0))
    assert pruned(star, 1, 0).cable_length == 2  # the way through it is left


def test_smoothing_and_spacing() -> None:
    zigzag = Trace([[0, i % 2, i] for i in range(30)], [[i, i + 1] for i in range(29)], np.ones(30))
    straight = smoothed(zigzag, 20)
    assert straight.cable_length == pytest.approx(29, rel=0.02)
    assert straight.nodes[0].tolist() == [0, 0, 0]
    sparse = spaced(stick(10), 5)
    assert sparse.cable_length == pytest.approx(50)
    assert (sparse.tips, sparse.branches) == (3, 1)
    assert len(sparse.nodes) < 15
    assert spaced(stick(10), 0).nodes.shape == (51, 3)


def test_loops_open_where_they_are_thin() -> None:
    nodes = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]], float)
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 3], [1, 1]])
    kept = spanning_forest(nodes, edges, np.array([5.0, 5, 5, 1]))
    assert kept.tolist() in ([[0, 1], [0, 3], [1, 2]], [[0, 1], [1, 2], [2, 3]])
