"""How little of a terabyte is read: when it is opened, at a step through its slices, and in 3D."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytest

import segkit
from segkit import Volume
from segkit.errors import DataError

SHAPE = (16384, 8192, 8192)
LEVELS = 7
SHOWN = 1200 * 800


class Counting:
    """An array of any size that counts the voxels it is asked for, and the largest request."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.asked, self.largest = shape, np.dtype(np.uint8), 0, 0

    def __getitem__(self, key):
        shape = tuple(len(range(*part.indices(n))) for part, n in zip(key, self.shape, strict=True))
        self.asked += int(np.prod(shape))
        self.largest = max(self.largest, int(np.prod(shape)))
        return np.broadcast_to(np.array(7, self.dtype), shape)


class Terabyte:
    """A format whose one file is a terabyte of nothing."""

    arrays: ClassVar[list[Counting]] = []

    def accepts(self, source: str) -> bool:
        return source.endswith(".terabyte")

    def open(self, source: str) -> Volume:
        return pyramid(type(self).arrays, source)


def pyramid(arrays: list[Counting], source: str) -> Volume:
    arrays[:] = [Counting(tuple(n >> level for n in SHAPE)) for level in range(LEVELS)]
    levels = [
        Volume(array, voxel_size=(8.0 * 2**n,) * 3, unit="nm", chunks=(64, 64, 64), source=source)
        for n, array in enumerate(arrays)
    ]
    return replace(levels[0], levels=tuple(levels[1:]))


@pytest.fixture
def terabyte(components, tmp_path) -> tuple[Path, list[Counting]]:
    """A file of a terabyte, and what is read of its levels."""

    class Plugin:
        @segkit.hookimpl
        def segkit_formats(self):
            return {"terabyte": lambda: Terabyte()}

    segkit.register(Plugin(), "terabyte")
    path = tmp_path / "brain.terabyte"
    path.touch()
    return path, Terabyte.arrays


def asked(arrays: list[Counting]) -> list[int]:
    return [array.asked for array in arrays]


def settled(viewer, qtbot) -> None:
    for _ in range(5):
        qtbot.wait(20)


def test_point_17_opening_a_terabyte_reads_less_than_its_coarsest_level_twice(
    viewer, terabyte, tmp_path, qtbot
) -> None:
    from napari_segkit.data import DataPage
    from napari_segkit.session import Session

    path, arrays = terabyte
    session = Session(tmp_path / "project")
    page = DataPage(viewer, session)
    process = psutil.Process()
    before, start = process.memory_info().rss, time.perf_counter()
    page.image.source.open(str(path))

    session.problem.connect(lambda problem: pytest.fail(problem.details))

    def opened() -> bool:
        session.poll()
        return session.data.image is not None

    qtbot.waitUntil(opened, timeout=10_000)
    seconds, grown = time.perf_counter() - start, process.memory_info().rss - before
    coarsest = int(np.prod(arrays[-1].shape))
    assert np.prod(SHAPE) > 1e12
    assert asked(arrays)[:3] == [0] * 3
    assert sum(asked(arrays)) <= 2 * coarsest, "one slice as fine as the canvas, and thumbnails"
    assert grown < 200 * 2**20
    assert seconds < 2 * max(1, psutil.getloadavg()[0] / psutil.cpu_count())
    assert "1.1 TB" in page.image.card.text().replace("\N{NO-BREAK SPACE}", " ")
    assert "7 levels" in page.image.card.text()
    page.close_down()
    session.close()


def shown(viewer, arrays: list[Counting]):
    """Add the terabyte as a layer, without a page."""
    from napari_segkit.layers import add_layers, create_layers, layers_of

    [layer] = add_layers(viewer, create_layers(layers_of(pyramid(arrays, "brain.terabyte"))))
    return layer


@pytest.mark.parametrize("zoom", [None, 0.02, 0.125])
def test_point_18_a_step_reads_what_is_shown(viewer, qtbot, zoom: float | None) -> None:
    arrays: list[Counting] = []
    layer = shown(viewer, arrays)
    viewer.scene.camera.center = (0.0, *(8.0 * n / 2 for n in SHAPE[1:]))
    if zoom is not None:
        viewer.scene.camera.zoom = zoom  # pixels for each nm; a voxel of the finest level is 8 nm
    settled(viewer, qtbot)
    viewer.dims.set_point(0, 8.0 * 8000)
    settled(viewer, qtbot)
    before = asked(arrays)
    viewer.dims.set_point(0, 8.0 * 9000)
    settled(viewer, qtbot)
    read = [after - first for after, first in zip(asked(arrays), before, strict=True)]
    corners = layer.corner_pixels[:, -2:] if layer.data_level < LEVELS - 1 else np.array([[0, 0], arrays[-1].shape[1:]])
    plane = int(np.prod(corners[1] - corners[0] + 1))
    thumbnail = int(np.prod(arrays[-1].shape[1:]))
    assert sum(read) > 0
    assert sum(read) - thumbnail <= 4 * plane, (read, layer.data_level)
    assert sum(read) <= 4 * SHOWN


def test_point_19_three_dimensions_read_the_coarsest_level(viewer, qtbot) -> None:
    arrays: list[Counting] = []
    shown(viewer, arrays)
    settled(viewer, qtbot)
    before, start = asked(arrays), time.perf_counter()
    viewer.dims.ndisplay = 3
    settled(viewer, qtbot)
    seconds = time.perf_counter() - start
    read = [after - first for after, first in zip(asked(arrays), before, strict=True)]
    assert read[:-1] == [0] * (LEVELS - 1)
    assert 0 < read[-1] <= 2 * np.prod(arrays[-1].shape)
    assert seconds < 2 * max(1, psutil.getloadavg()[0] / psutil.cpu_count())


def test_point_19_a_coarsest_level_that_is_too_large_is_reduced_further(viewer, qtbot) -> None:
    from napari_segkit.layers import add_layers, create_layers, layers_of

    array = Counting((512, 512, 512))
    volume = Volume(array, voxel_size=(8.0, 8.0, 8.0), unit="nm", chunks=(64, 64, 64), source="bare")
    [layer] = add_layers(viewer, create_layers(layers_of(volume)))
    assert [data.shape for data in layer.data] == [(512,) * 3, (256,) * 3]
    viewer.dims.ndisplay = 3
    settled(viewer, qtbot)
    assert layer.data_level == 1
    assert array.largest <= 256**3, "piece by piece"


def test_what_has_no_coarser_copies_is_not_added_bare(components) -> None:
    from napari_segkit.layers import layers_of

    with pytest.raises(DataError, match="no coarser copies"):
        layers_of(Volume(Counting(SHAPE), source="bare.zarr", chunks=(64, 64, 64)))


def test_a_view_reads_what_numpy_asks_for_and_no_more() -> None:
    from napari_segkit.layers._lazy import LazyView

    voxels = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    view = LazyView(Volume(voxels))
    assert (view.ndim, view.size, len(view)) == (3, 192, 4)
    for key in (
        2,
        (slice(1, 3), 2),
        (Ellipsis, 5),
        (slice(None), slice(0, 6, 2), slice(7, None, -1)),
        (0, 0, 0),
        (-1,),
    ):
        np.testing.assert_array_equal(np.asarray(view[key]), voxels[key])
    np.testing.assert_array_equal(np.asarray(view[:, 1:5][2, :, 3]), voxels[2, 1:5, 3])
    assert np.asarray(view, dtype=np.float32).dtype == np.float32
    counting = Counting(SHAPE)
    large = LazyView(Volume(counting, source="big"))
    assert large[0].shape == SHAPE[1:]
    assert large[:, 100, 5:9].shape == (16384, 4)
    assert counting.asked == 0
    with pytest.raises(DataError, match="asked for at once"):
        np.asarray(large)
    with pytest.raises(DataError, match="not painted in"):
        large[0] = 1
