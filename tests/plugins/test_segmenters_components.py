"""Connected components are those that other libraries find, numbered by their first voxels."""

from __future__ import annotations

from threading import Thread

import cc3d
import fastremap
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from segkit import segment
from segkit_segmenters import components
from segkit_segmenters._runs import label_components

CONNECTIVITIES = st.sampled_from([4, 6, 18, 26])
SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 19))


def by_scipy(mask: np.ndarray, connectivity: int) -> np.ndarray:
    structure = ndimage.generate_binary_structure(3, {4: 1, 6: 1, 18: 2, 26: 3}[connectivity])
    if connectivity == 4:
        structure[[0, 2]] = False
    return ndimage.label(mask, structure)[0]


def by_cc3d(mask: np.ndarray, connectivity: int) -> np.ndarray:
    if connectivity == 4:  # which cc3d knows for a single slice only
        return by_scipy(mask, 4)
    found = cc3d.connected_components(mask, connectivity=connectivity)
    return fastremap.renumber(found, preserve_zero=True)[0]


@settings(max_examples=200)
@given(st.data(), CONNECTIVITIES)
def test_any_mask(data, connectivity) -> None:
    mask = data.draw(SHAPES.flatmap(lambda shape: arrays.arrays(bool, shape)))
    np.testing.assert_array_equal(label_components(mask, connectivity), by_scipy(mask, connectivity))


@settings(max_examples=60)
@given(SHAPES, CONNECTIVITIES, st.floats(0, 1), st.integers(0, 99))
def test_any_density(shape, connectivity, density, seed) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    np.testing.assert_array_equal(label_components(mask, connectivity), by_scipy(mask, connectivity))


@settings(max_examples=25)
@given(SHAPES, SHAPES, CONNECTIVITIES, st.integers(0, 99))
def test_any_blocks(shape, block, connectivity, seed) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.4
    found = segment(mask, components(connectivity=connectivity), block_shape=block).read()
    np.testing.assert_array_equal(found, by_scipy(mask, connectivity))


@settings(max_examples=30)
@given(st.tuples(*[st.integers(12, 40)] * 3), CONNECTIVITIES, st.floats(0.05, 0.95), st.integers(0, 99))
def test_larger_volumes(shape, connectivity, density, seed) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    np.testing.assert_array_equal(label_components(mask, connectivity), by_cc3d(mask, connectivity))


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_as_many_runs_as_can_be(connectivity) -> None:
    """More than there was room for at first, and more objects than 16 bits can name."""
    mask = np.indices((48, 48, 64)).sum(0) % 2 == 0
    found = label_components(mask, connectivity)
    assert found.max() == (mask.sum() if connectivity == 6 else 1)
    assert found.dtype == (np.uint32 if connectivity == 6 else np.uint16)
    np.testing.assert_array_equal(found, by_cc3d(mask, connectivity))


def test_an_object_that_winds() -> None:
    """Its arms meet only at the end, through every one of them."""
    mask = np.zeros((3, 40, 40), bool)
    mask[:, ::2] = True
    mask[1, 1::4, -1] = mask[1, 3::4, 0] = True
    mask[0, :-1, 1::2] = False
    np.testing.assert_array_equal(label_components(mask, 6), by_cc3d(mask, 6))


def test_parts_of_arrays_and_several_threads() -> None:
    volume = np.random.default_rng(0).random((40, 30, 50)) < 0.5
    parts = [volume[z : z + 9, ::2, 3:-4] for z in range(20)]
    found: dict[int, np.ndarray] = {}

    def work(first: int) -> None:
        for at in range(first, 20, 2):
            found[at] = label_components(parts[at], 26)

    threads = [Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at, part in enumerate(parts):
        np.testing.assert_array_equal(found[at], by_cc3d(part, 26))
