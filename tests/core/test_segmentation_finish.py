"""A segmenter that finishes what was stitched does so in any blocks, on any number of workers, and goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
from scipy import ndimage

from segkit import segment
from segkit.errors import PluginError
from segkit.segmentation import _finishing, object_count

SHAPE = (30, 36, 40)
BLOCKS = [(30, 36, 40), (8, 8, 8), (7, 13, 40), (30, 5, 11), (16, 16, 16)]


@dataclass(frozen=True)
class Thickened:
    """Components above a threshold; each voxel within two of them then takes the largest id near it, where that is allowed."""

    finish_halo: tuple[int, int, int] | None = (2, 2, 2)
    halo: tuple[int, int, int] = (0, 0, 0)
    stitching: Literal["touching", "overlap"] = "touching"
    type: type = np.uint64

    def __call__(self, prediction, voxel_size):
        return ndimage.label(prediction[0] > 0.65)[0]

    def finish(self, ids, prediction, voxel_size):
        grown = ndimage.maximum_filter(ids, 5, mode="constant")
        return np.where((ids == 0) & (prediction[0] > 0.5), grown, ids).astype(self.type)


@pytest.fixture(scope="module")
def prediction() -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random(SHAPE), 1.2)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(prediction) -> np.ndarray:
    cutter = Thickened()
    return cutter.finish(cutter(prediction[None], (1, 1, 1)).astype(np.uint64), prediction[None], (1, 1, 1))


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_and_workers_change_nothing(block, workers, prediction, expected, monkeypatch) -> None:
    monkeypatch.setattr(_finishing, "_SIDE", 13)
    in_memory = segment(prediction, Thickened(), block_shape=block, workers=workers)
    np.testing.assert_array_equal(in_memory.read(), expected)


@pytest.mark.parametrize(
    ("block", "workers"), [((30, 36, 40), 1), ((30, 5, 40), 2), ((16, 16, 16), 1), ((16, 16, 16), 4)]
)
def test_a_store_changes_nothing(block, workers, prediction, expected, tmp_path) -> None:
    on_disk = segment(prediction, Thickened(), tmp_path / "out.zarr", block_shape=block, workers=workers)
    np.testing.assert_array_equal(on_disk.read(), expected)


@pytest.mark.slow
def test_processes_change_nothing(prediction, expected, tmp_path) -> None:
    found = segment(prediction, Thickened(), tmp_path / "out.zarr", block_shape=(16, 16, 16), cluster="local:2")
    np.testing.assert_array_equal(found.read(), expected)


@pytest.mark.parametrize("after", [1, 14, 26, 34])
def test_goes_on_where_it_was(after, prediction, expected, tmp_path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert total == 36
        if done >= after:
            raise Stopped

    path = tmp_path / "out.zarr"
    with pytest.raises(Stopped):
        segment(prediction, Thickened(), path, block_shape=(20, 18, 14), workers=2, progress=stop)
    seen: list[int] = []
    found = segment(
        prediction, Thickened(), path, block_shape=(20, 18, 14), workers=2, progress=lambda done, _: seen.append(done)
    )
    np.testing.assert_array_equal(found.read(), expected)
    assert object_count(path) == expected.max()


def test_none_finishes_nothing(prediction, expected) -> None:
    plain = segment(prediction, replace(Thickened(), finish_halo=None)).read()
    assert np.count_nonzero(plain) < np.count_nonzero(expected)
    np.testing.assert_array_equal(expected[plain > 0], plain[plain > 0])


def test_ids_of_another_type_are_refused(prediction) -> None:
    with pytest.raises(PluginError, match="finished uint64 ids"):
        segment(prediction, replace(Thickened(), type=np.int32))
