"""Segmentation gives the same ids whatever the blocks, their order, the number of workers, and where it is kept."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from scipy import ndimage

from segkit import segment
from segkit.geometry import Box, Lattice
from segkit.registry import registries
from segkit.segmentation import _layout
from segkit.segmentation._in_memory import Held
from segkit.segmentation._layout import Layout, cell_shape
from segkit.segmentation._merging import Found, Names
from segkit.segmentation._seams import Look, contents

SHAPE = (30, 36, 40)
BLOCKS = [(30, 36, 40), (8, 8, 8), (7, 13, 40), (30, 5, 11), (16, 16, 16)]
CASES = [  # every block and both numbers of workers, and by the slow tests all of them together
    pytest.param(block, workers, marks=[pytest.mark.slow] if (number + workers) % 2 else [])
    for number, block in enumerate(BLOCKS)
    for workers in (1, 4)
]


def field(seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(SHAPE), 1.2)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@dataclass(frozen=True)
class Unsteady:
    """Components of what is above a threshold, of which some take longer than others."""

    halo: tuple[int, int, int] = (0, 0, 0)
    stitching: Literal["touching", "overlap"] = "touching"

    def __call__(self, prediction, voxel_size):
        time.sleep(0.002 * (int(prediction[0].sum() * 1000) % 4))
        return ndimage.label(prediction[0] > 0.65)[0]


@pytest.mark.parametrize(("block", "workers"), CASES)
def test_components(block, workers, tmp_path) -> None:
    prediction = field()
    expected, count = ndimage.label(prediction > 0.65)
    assert count > 20
    in_memory = segment(prediction, Unsteady(), block_shape=block, workers=workers)
    np.testing.assert_array_equal(in_memory.read(), expected)
    on_disk = segment(prediction, Unsteady(), tmp_path / "out.zarr", block_shape=block, workers=workers)
    np.testing.assert_array_equal(on_disk.read(), expected)


@pytest.fixture
def small_cells(monkeypatch):
    monkeypatch.setattr(_layout, "_CELL_VOXELS", 16**3)


@pytest.fixture(scope="module")
def watershed():
    return registries["segmenters"]["watershed"](halo=(4, 4, 4), neck=0.8)


@pytest.mark.parametrize(("block", "workers"), CASES)
def test_watershed(block, workers, tmp_path, small_cells, watershed) -> None:
    prediction = field()
    expected = segment(prediction, watershed, workers=1).read()
    assert expected.max() > 20
    in_memory = segment(prediction, watershed, block_shape=block, workers=workers)
    np.testing.assert_array_equal(in_memory.read(), expected)
    on_disk = segment(prediction, watershed, tmp_path / "out.zarr", block_shape=block, workers=workers)
    np.testing.assert_array_equal(on_disk.read(), expected)


def test_order_of_looks_does_not_matter(watershed) -> None:
    prediction = field(1)
    layout = Layout.of(Box.of_shape(SHAPE), (15, 12, 10), (4, 4, 4))
    order = np.random.default_rng(0).permutation(len(layout.lattice))
    cuts = {index: watershed(prediction[None][(0, *layout.seen(index).slices)][None], (1, 1, 1)) for index in order}
    look = pickle.loads(pickle.dumps(Look.of(layout, Held(layout, cuts), watershed)))  # as it travels to workers
    seen = {index: look(index) for index in order}
    found = Found()
    for index in range(len(layout.lattice)):
        found.add(*seen[index])
    pairs = found.column("pairs")
    assert len(pairs) > 20
    names = Names.of(found, 0)
    mirrored = Found(parts={**found.parts, "pairs": [np.random.default_rng(1).permutation(pairs)[:, ::-1]]})
    np.testing.assert_array_equal(Names.of(mirrored, 0).ids, names.ids)


def test_one_object_through_100_000_blocks_with_large_ids() -> None:
    count, top = 100_000, 2**32 - 2
    found = Found()
    blocks = np.arange(count, dtype=np.uint64) << np.uint64(32)
    keys = np.stack([blocks | np.uint64(1), blocks | np.uint64(top)], 1)
    first = np.uint64(2**63) + np.arange(2 * count, dtype=np.uint64)[::-1]
    chain = np.stack([keys[:-1, 1], keys[1:, 1]], 1)
    found.add(keys.ravel(), np.full(2 * count, 2**40, np.uint64), first, chain)
    names = Names.of(found, 2**41)
    assert names.count == 1
    names = Names.of(found, 0)
    assert names.count == count + 1
    assert (names.ids[1::2] == 1).all()  # the chain holds the very first voxel, in its last block
    assert names.ids[0] == count + 1
    lattice = Lattice(Box.of_shape((2**21, 2**21, 2**21)), (2**10, 2**10, 2**10))
    assert len(lattice) == 2**33


def test_first_voxels_of_a_huge_volume_do_not_overflow() -> None:
    layout = Layout.of(Box.of_shape((2**22, 2**21, 2**21)), (2**20, 2**19, 2**19), (0, 0, 0))
    last = len(layout.lattice) - 1
    ids = np.zeros((4, 4, 4), np.uint32)
    ids[1, 2, 3] = 7
    keys, voxels, first = contents(layout, last, ids)
    assert keys.tolist() == [(last << 32) + 7]
    assert voxels.tolist() == [1]
    z, y, x = (a + b for a, b in zip(layout.lattice[last].start, (1, 2, 3), strict=True))
    assert first.tolist() == [(z * 2**21 + y) * 2**21 + x]
    assert first[0] > 2**63


@pytest.mark.parametrize(
    ("shape", "voxel_size", "expected"),
    [
        ((192, 192, 192), (8, 8, 8), (192, 192, 192)),
        ((100, 192, 192), (8, 8, 8), (100, 192, 192)),
        ((200, 192, 192), (8, 8, 8), (100, 192, 192)),
        ((1, 5000, 5000), (1, 1, 1), (1, 2500, 2500)),
        ((1000, 1000, 1000), (32, 8, 8), (72, 250, 250)),
        ((20, 4000, 4000), (1, 1, 1), (20, 572, 572)),
    ],
)
def test_cells_are_cubes_as_far_as_the_volume_goes(shape, voxel_size, expected) -> None:
    cell = cell_shape(shape, voxel_size)
    assert cell == expected
    assert np.prod(cell, dtype=float) < 1.01 * 192**3


@pytest.mark.parametrize("workers", [1, 3])
def test_parts_of_what_is_in_memory(workers) -> None:
    expected = ndimage.label(field() > 0.65)[0]
    found = segment(field(), Unsteady(), block_shape=(8, 9, 16), workers=workers)
    for one in (found, pickle.loads(pickle.dumps(found))):
        assert (one.dtype, one.shape) == (np.uint64, SHAPE)
        np.testing.assert_array_equal(one[7:9, ::3, -1], expected[7:9, ::3, -1])
        np.testing.assert_array_equal(one.read(Box((5, 0, 15), (6, 36, 17))), expected[5:6, :, 15:17])
        np.testing.assert_array_equal(np.asarray(one.dask[3:20]), expected[3:20])
    whole = found.read()
    whole[:] = 0  # an array of the caller's own
    np.testing.assert_array_equal(found.read(), expected)
