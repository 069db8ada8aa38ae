"""Boxes and lattices: the arithmetic that everything blockwise stands on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import UsageError
from segkit.geometry import Box, Lattice

triples = st.tuples(*[st.integers(-20, 20)] * 3)
shapes = st.tuples(*[st.integers(1, 24)] * 3)
boxes = st.builds(lambda start, shape: Box.of_shape(shape, start), triples, shapes)


def voxels(box: Box) -> set[tuple[int, int, int]]:
    return {tuple(v) for v in np.argwhere(np.ones(box.shape, bool)) + box.start}


@given(boxes, boxes)
def test_intersection_is_that_of_the_voxels(a: Box, b: Box) -> None:
    shared = a & b
    assert (voxels(shared) if shared else set()) == voxels(a) & voxels(b)
    assert a.contains(b) == (voxels(b) <= voxels(a))
    assert shared is None or (a.contains(shared) and b.contains(shared))


@given(boxes, shapes, triples)
def test_grow_shift_and_relative(box: Box, margin: tuple[int, int, int], by: tuple[int, int, int]) -> None:
    assert box.grow(margin).contains(box)
    assert box.grow(margin).shape == tuple(n + 2 * m for n, m in zip(box.shape, margin, strict=True))
    assert box.shift(by).relative_to(by) == box
    assert box.relative_to(box.start) == Box.of_shape(box.shape)
    assert box.size == len(voxels(box))


@given(boxes)
def test_a_box_is_read_as_it_is_printed(box: Box) -> None:
    origin = Box.of_shape(tuple(box.stop), (0, 0, 0)) if min(box.start) >= 0 else None
    if origin:
        assert Box.parse(str(box), origin) == box


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("", (0, 0, 0), (10, 20, 30)),
        ("z2:5", (2, 0, 0), (5, 20, 30)),
        (" x-4: , y:3", (0, 0, 26), (10, 3, 30)),
        ("z:-1", (0, 0, 0), (9, 20, 30)),
    ],
)
def test_regions_as_people_type_them(text: str, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
    assert Box.parse(text, Box.of_shape((10, 20, 30))) == Box(start, stop)


@pytest.mark.parametrize("text", ["z5", "q0:3", "z3:3", "z5:2", "z0:11", "y-21:", "z1:2:3"])
def test_regions_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="region"):
        Box.parse(text, Box.of_shape((10, 20, 30)))


def test_a_box_that_ends_before_it_begins() -> None:
    with pytest.raises(UsageError, match="swap"):
        Box((1, 0, 0), (0, 1, 1))


@settings(max_examples=30)
@given(boxes, shapes)
def test_blocks_cover_every_voxel_once(extent: Box, block_shape: tuple[int, int, int]) -> None:
    lattice = Lattice(extent, block_shape)
    count = np.zeros(extent.shape, int)
    for index, block in enumerate(lattice):
        count[block.relative_to(extent.start).slices] += 1
        assert lattice.index(lattice.position(index)) == index
        assert all(n <= b for n, b in zip(block.shape, block_shape, strict=True))
    assert (count == 1).all()
    assert len(lattice) == np.prod(lattice.counts)


@given(boxes, shapes, boxes)
def test_touching_names_exactly_the_blocks_that_share_voxels(
    extent: Box, block_shape: tuple[int, int, int], box: Box
) -> None:
    lattice = Lattice(extent, block_shape)
    assert list(lattice.touching(box)) == [i for i, block in enumerate(lattice) if block & box]


def test_a_lattice_refuses_what_it_cannot_cut() -> None:
    with pytest.raises(UsageError, match="at least 1 voxel"):
        Lattice(Box.of_shape((4, 4, 4)), (0, 1, 1))
    with pytest.raises(IndexError):
        Lattice(Box.of_shape((4, 4, 4)), (4, 4, 4))[1]
