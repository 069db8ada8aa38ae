"""Which blocks are chosen, and how coarser levels are made."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segkit import Volume
from segkit.store import choose_blocks
from segkit.store._pyramid import level_factors, level_shape, shrink


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    channels=st.integers(1, 20),
    source=st.none() | st.tuples(*[st.integers(1, 300)] * 3),
    dtype=st.sampled_from(["u1", "u2", "f4", "u8"]),
)
def test_chosen_blocks_are_whole_chunks_and_bounded(
    shape: tuple[int, int, int], channels: int, source: tuple[int, int, int] | None, dtype: str
) -> None:
    class Unread:
        def __init__(self) -> None:
            self.shape, self.dtype = (channels, *shape), np.dtype(dtype)

        def __getitem__(self, key: object) -> object:
            raise AssertionError

    chunks = None if source is None else (1, *(min(s, n) for s, n in zip(source, shape, strict=True)))
    block, chunk = choose_blocks(Volume(Unread(), "czyx", chunks=chunks), None, None)
    assert all(b % c == 0 for b, c in zip(block, chunk, strict=True))
    size, least = np.prod(block), np.prod(chunk)
    assert size == least or size * channels * np.dtype(dtype).itemsize <= 64 * 2**20
    assert max(chunk) <= 256


@given(
    st.tuples(*[st.integers(1, 5000)] * 3),
    st.tuples(*[st.sampled_from([4.0, 8.0, 30.0, 40.0, 100.0])] * 3),
    st.none() | st.integers(1, 6),
)
def test_levels_approach_equal_sides(shape: Any, size: Any, count: int | None) -> None:
    factors = level_factors(shape, size, count)
    assert factors[0] == (1, 1, 1)
    assert count is None or len(factors) <= count
    for finer, coarser in pairwise(factors):
        ratio = [b // a for a, b in zip(finer, coarser, strict=True)]
        assert set(ratio) in ({1, 2}, {2})
        assert all(m >= 1 for m in level_shape(shape, coarser))
    if count is None:
        assert max(level_shape(shape, factors[-1])) <= 256 or len(factors) > 1


def test_anisotropic_voxels_become_isotropic_first() -> None:
    factors = level_factors((1000, 4000, 4000), (30, 8, 8), 5)
    assert factors == ((1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8), (4, 16, 16))


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 2)] * 3))
def test_shrinking_keeps_the_mean_of_each_group(shape: tuple[int, ...], step: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random((2, *shape))
    seen = shrink(array, step, labels=False)
    pad = [(0, 0)] + [(0, -n % s) for n, s in zip(shape, step, strict=True)]
    whole = np.pad(array, pad, mode="edge")
    c, z, y, x = whole.shape
    groups = whole.reshape(c, z // step[0], step[0], y // step[1], step[1], x // step[2], step[2])
    np.testing.assert_allclose(seen, groups.mean((2, 4, 6)))
