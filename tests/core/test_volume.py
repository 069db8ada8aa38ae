"""Reading regions of a volume equals slicing the array in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit import Box, Volume
from segkit.errors import DataError, UsageError

rng = np.random.default_rng(3)
ARRAY = rng.integers(0, 200, (2, 7, 9, 11), np.uint8)


class Broken:
    shape = (4, 4, 4)
    dtype = np.dtype("u1")

    def __getitem__(self, key: object) -> object:
        raise OSError("bad sector")


@st.composite
def keys(draw: st.DrawFn) -> tuple[object, ...]:
    parts: list[object] = []
    for length in ARRAY.shape[: draw(st.integers(0, 4))]:
        if draw(st.booleans()):
            parts.append(draw(st.integers(-length, length - 1)))
        else:
            start, stop = draw(st.integers(-length - 2, length + 2)), draw(st.integers(-length - 2, length + 2))
            parts.append(slice(start, stop, draw(st.sampled_from([None, 1, 2, 3]))))
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), Ellipsis)
    return tuple(parts)


@given(keys())
def test_indexing_is_that_of_numpy(key: tuple[object, ...]) -> None:
    np.testing.assert_array_equal(Volume.from_array(ARRAY)[key], ARRAY[key])


@given(st.tuples(*[st.integers(0, 4)] * 3), st.tuples(*[st.integers(1, 12)] * 3))
def test_what_lies_outside_is_a_reflection(margin: tuple[int, ...], shape: tuple[int, ...]) -> None:
    volume = Volume.from_array(ARRAY)
    inside = Box.of_shape(tuple(min(n, m) for n, m in zip(shape, volume.spatial_shape, strict=True)))
    box = inside.grow(margin)
    seen = volume.read(box)
    known = box & volume.box
    assert known is not None
    pad = [(0, 0)] + [(a - b, d - c) for a, b, c, d in zip(known.start, box.start, known.stop, box.stop, strict=True)]
    np.testing.assert_array_equal(seen, np.pad(ARRAY[(slice(None), *known.slices)], pad, mode="reflect"))


@given(st.data())
def test_a_crop_of_a_crop(data: st.DataObject) -> None:
    volume = Volume.from_array(ARRAY, voxel_size=(3, 2, 1), offset=(5.0, 0.0, 0.0))
    for _ in range(2):
        start = tuple(data.draw(st.integers(0, n - 1)) for n in volume.spatial_shape)
        stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, volume.spatial_shape, strict=True))
        expected = volume.read()[(slice(None), *Box(start, stop).slices)]
        moved = [o + a * v for o, a, v in zip(volume.offset, start, volume.voxel_size, strict=True)]
        volume = volume.crop(Box(start, stop))
        np.testing.assert_array_equal(volume.read(), expected)
        assert volume.offset == pytest.approx(moved)


class Computed:
    """Gives several regions at once, and knows which."""

    shape, dtype, batch = ARRAY.shape, ARRAY.dtype, 4

    def __init__(self) -> None:
        self.asked: list[Box] = []

    def __getitem__(self, key: object) -> object:
        return ARRAY[key]

    def read_blocks(self, boxes):
        for box in boxes:
            self.asked.append(box)
            yield ARRAY[(slice(None), *box.slices)]


def test_a_crop_of_what_computes_several_regions_does_so_too() -> None:
    array = Computed()
    crop = Volume(array, "czyx").crop(Box((1, 0, 2), (7, 9, 11))).crop(Box((1, 2, 3), (5, 9, 9)))
    boxes = [Box((0, 0, 0), (2, 3, 4)), Box((2, 3, 4), (4, 7, 6))]
    for box, voxels in zip(boxes, crop.read_blocks(boxes), strict=True):
        np.testing.assert_array_equal(voxels, crop.read(box))
    assert array.asked == [Box((2, 2, 5), (4, 5, 9)), Box((4, 5, 9), (6, 9, 11))]
    assert crop.array.batch == 4
    assert not hasattr(Volume(ARRAY, "czyx").crop(Box((1, 0, 2), (7, 9, 11))).array, "read_blocks")


def test_axes_of_arrays() -> None:
    assert Volume.from_array(ARRAY[0, 0]).shape == (1, 9, 11)
    assert Volume.from_array(ARRAY[:, 0], axes="cyx").shape == (2, 1, 9, 11)
    assert Volume.from_array(ARRAY[0]).axes == "zyx"
    assert Volume.from_array(ARRAY, voxel_size=(3, 2, 1)).unit == "nm"
    for array, axes in ((ARRAY[0, 0, 0], None), (ARRAY[None], None), (ARRAY, "zyx"), (ARRAY[0], "xyz")):
        with pytest.raises(UsageError, match="axes"):
            Volume.from_array(array, axes=axes)


def test_properties_and_dask() -> None:
    volume = Volume.from_array(ARRAY, voxel_size=(3, 2, 1))
    assert (volume.channels, volume.nbytes, volume.box.size) == (2, ARRAY.nbytes, 7 * 9 * 11)
    np.testing.assert_array_equal(volume.dask[:, 1:3].compute(), ARRAY[:, 1:3])
    assert "3 x 2 x 1 nm" in repr(volume)


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<i8", "?", "f2"])
def test_voxels_come_in_the_byte_order_of_this_machine(dtype: str) -> None:
    array = ARRAY[0].astype(dtype)
    volume = Volume.from_array(array)
    assert volume.dtype == volume.read().dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(volume.read(), array)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(DataError, match="bad sector"):
        Volume(Broken()).read()
    volume = Volume.from_array(ARRAY)
    with pytest.raises(DataError, match="lies outside"):
        volume.read(Box((20, 0, 0), (21, 1, 1)))
    with pytest.raises(UsageError, match="not inside"):
        volume.crop(Box((0, 0, 0), (8, 1, 1)))
    with pytest.raises(DataError, match="above 0"):
        Volume(ARRAY[0], voxel_size=(0.0, 1.0, 1.0))
    with pytest.raises(DataError, match="axes"):
        Volume(ARRAY, "zyx")
    with pytest.raises(IndexError):
        volume[0, 7]
    with pytest.raises(IndexError, match="positive"):
        volume[:, ::-1]
