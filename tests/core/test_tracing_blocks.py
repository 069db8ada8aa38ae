"""Objects that are traced in blocks and joined, and somata."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import cc3d
import numpy as np
import pytest

import segkit.tracing._many as many
from segkit import Trace, Volume, read_swc, trace
from segkit.errors import IncompleteError, UsageError
from segkit.tracing._blocks import lattice_for
from segkit_skeletons import skeleton, teasar

VOXEL = (20.0, 10.0, 10.0)
BUDGET = 4 * 24**3  # blocks of 24 voxels with their halo


def tube(labels: np.ndarray, id: int, points: list[tuple[float, ...]], radius: float) -> None:
    """Draw a tube along points ``(z, y, x)`` in voxels, round in voxels."""
    grid = np.indices(labels.shape).transpose(1, 2, 3, 0)
    for begin, end in pairwise(points):
        a, along = np.array(begin, float), np.array(end, float) - begin
        share = np.clip((grid - a) @ along / (along @ along), 0, 1)
        labels[np.linalg.norm(grid - a - share[..., None] * along, axis=-1) <= radius] = id


@pytest.fixture(scope="module")
def neurons() -> Volume:
    labels = np.zeros((44, 48, 48), np.uint64)
    trunk = [(5, 6, 4), (14, 20, 16), (30, 28, 30), (38, 42, 44)]
    tube(labels, 2**33 + 5, trunk, 2.6)
    tube(labels, 2**33 + 5, [trunk[1], (12, 36, 12), (36, 42, 8)], 1.8)
    tube(labels, 2**33 + 5, [trunk[2], (34, 12, 38), (8, 6, 42)], 1.8)
    tube(labels, 9, [(4, 44, 44), (10, 30, 40)], 2)
    tube(labels, 9, [(40, 4, 4), (40, 4, 44)], 2)  # in two pieces
    return Volume.from_array(labels, voxel_size=VOXEL, offset=(500.0, 0.0, 70.0))


@pytest.mark.parametrize("tracer", [skeleton(constant=60.0), teasar(constant=60.0)], ids=["skeleton", "teasar"])
def test_blocks_agree_with_the_whole(neurons: Volume, tracer) -> None:
    assert len(lattice_for(neurons.box, VOXEL, BUDGET)[0]) > 20
    for whole, joined in zip(trace(neurons, tracer), trace(neurons, tracer, budget=BUDGET)):
        assert (joined.id, joined.components) == (whole.id, whole.components)
        assert joined.cable_length == pytest.approx(whole.cable_length, rel=0.03)
        assert (joined.tips, joined.branches) == (whole.tips, whole.branches)
        assert joined.radii.max() == pytest.approx(whole.radii.max(), rel=0.01)
        ways = np.linalg.norm(joined.nodes[:, None] - whole.nodes, axis=-1).min(1)
        assert ways.max() < 45


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_those_of_the_object(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((22, 25, 28)) < (0.03, 0.06, 0.09, 0.3)[seed]  # below and above where everything is connected
    labels = Volume.from_array(mask.astype(np.uint8))
    (joined,) = trace(labels, skeleton(), budget=100)
    pieces = cc3d.connected_components(mask, connectivity=26)
    assert joined.components == pieces.max()
    own = pieces[tuple(np.rint(joined.nodes).astype(int).T)]
    assert set(own[own > 0].tolist()) == set(range(1, pieces.max() + 1))


def test_a_ring_across_blocks_is_opened_once() -> None:
    z, y, x = np.indices((20, 44, 44))
    ring = ((np.hypot(y - 21, x - 21) - 15) ** 2 + (z - 10) ** 2 < 8).astype(np.uint8)
    volume = Volume.from_array(ring)
    (whole,), (joined,) = (trace(volume, skeleton(constant=4.0), budget=b) for b in (10**6, BUDGET))
    assert joined.components == 1
    assert joined.tips == 2
    assert joined.cable_length == pytest.approx(whole.cable_length, rel=0.04)


def scattered(mask, voxel_size) -> Trace:
    """A tracer that knows nothing of parts."""
    nodes = np.argwhere(mask) * np.array(voxel_size)
    return Trace(nodes, [[i, i + 1] for i in range(len(nodes) - 1)], np.ones(len(nodes)))


def test_any_tracer_can_be_joined() -> None:
    line = np.zeros((6, 6, 40), np.uint8)
    line[2, 3, 1:38] = 4
    (joined,) = trace(line, scattered, budget=100)
    assert (len(joined.nodes), joined.components, joined.cable_length) == (37, 1, 36)


def test_parts_are_kept_until_all_is_done(neurons: Volume, tmp_path: Path, monkeypatch) -> None:
    tracer = skeleton(constant=60.0)
    expected = trace(neurons, tracer, budget=BUDGET)

    def fail(*_) -> Trace:
        raise RuntimeError("no memory for this")

    monkeypatch.setattr(many, "trace_parts", fail)
    with pytest.raises(IncompleteError, match="no memory"):
        trace(neurons, tracer, budget=BUDGET, out_dir=tmp_path)
    monkeypatch.undo()
    parts = {file.name: file.stat().st_mtime_ns for file in (tmp_path / ".segkit" / "parts").iterdir()}
    assert parts
    (tmp_path / ".segkit" / "parts" / min(parts)).unlink()  # as if it had ended before
    steps: list[tuple[int, int]] = []
    found = trace(neurons, tracer, budget=BUDGET, out_dir=tmp_path, progress=lambda *step: steps.append(step))
    assert (len(parts), len(parts)) in steps
    assert [t.cable_length for t in found] == pytest.approx([t.cable_length for t in expected], rel=1e-5)
    assert not (tmp_path / ".segkit" / "parts").exists()


def test_a_failing_block_costs_the_objects_in_it(neurons: Volume) -> None:
    def tracer(mask, voxel_size) -> Trace:
        if mask.sum() > 100:
            raise ValueError("too much for me")
        return scattered(mask, voxel_size)

    with pytest.raises(IncompleteError, match="2 of 2 .* too much"):
        trace(neurons, tracer, budget=BUDGET)


# -- somata ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cell() -> Volume:
    """A ball of 10 voxels with a nucleus that is missing, and two neurites."""
    labels = np.zeros((36, 36, 48), np.uint8)
    tube(labels, 7, [(18, 18, 16), (30, 30, 44)], 1.8)
    tube(labels, 7, [(18, 18, 16), (4, 30, 44)], 1.8)
    distance = np.linalg.norm(np.indices(labels.shape).transpose(1, 2, 3, 0) - (18, 18, 16), axis=-1)
    labels[distance <= 10] = 7
    labels[distance <= 4] = 0
    return Volume.from_array(labels, voxel_size=(10.0, 10.0, 10.0), offset=(0.0, 0.0, 1000.0))


@pytest.mark.parametrize("budget", [2**28, 4 * 32**3])
@pytest.mark.parametrize("tracer", [skeleton(constant=20.0), teasar(constant=20.0)], ids=["skeleton", "teasar"])
def test_a_soma_is_one_root(cell: Volume, tracer, budget: int) -> None:
    (found,) = trace(cell, tracer, soma=80.0, budget=budget)
    assert found.soma is not None
    centre, radius = found.nodes[found.soma], found.radii[found.soma]
    assert np.linalg.norm(centre - (180, 180, 1160)) < 15
    assert radius == pytest.approx(100, abs=10)
    away = np.linalg.norm(found.nodes - centre, axis=1)
    assert (away < radius).sum() == 1
    assert found.types.sum() == 1
    assert (found.components, found.tips, found.degrees[found.soma]) == (1, 2, 2)
    assert found.rooted()[0][0] == found.soma


def test_what_is_no_soma(cell: Volume, neurons: Volume) -> None:
    assert trace(cell, skeleton(), soma=150.0)[0].soma is None
    assert trace(cell, skeleton())[0].soma is None
    thick = np.zeros((24, 24, 46), np.uint8)
    tube(thick, 3, [(12, 12, 11), (12, 12, 34)], 9)
    assert trace(thick, skeleton(), soma=6.0)[0].soma is None  # a neurite of that radius all along
    with pytest.raises(UsageError, match="above 0"):
        trace(cell, skeleton(), soma=0.0)


def test_somata_are_in_the_files(cell: Volume, tmp_path: Path) -> None:
    trace(cell, skeleton(constant=20.0), soma=80.0, out_dir=tmp_path)
    first = next(line for line in (tmp_path / "7.swc").read_text().splitlines() if not line.startswith("#"))
    assert first.split()[:2] == ["1", "1"]
    assert read_swc(tmp_path / "7.swc")[0].soma == 0
    (row,) = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert row["soma"] == "yes"
    assert float(row["soma_radius_um"]) == pytest.approx(0.1, abs=0.01)
    assert float(row["max_radius_um"]) == pytest.approx(float(row["soma_radius_um"]), rel=1e-5)
    assert [float(row[f"soma_{axis}_um"]) for axis in "zyx"] == pytest.approx([0.18, 0.18, 1.16], abs=0.015)
