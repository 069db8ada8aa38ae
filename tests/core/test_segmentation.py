"""Segmentation: the same objects whatever the blocks, dropped by size, written and continued."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segkit import Volume, segment, write_volume
from segkit.errors import DataError, IncompleteError, OutputExistsError, PluginError, UsageError
from segkit.segmentation import _on_disk, object_count
from segkit.segmentation._merging import Found
from segkit.store import open_zarr

BLOCKS = [(7, 20, 24), (5, 6, 7), (16, 16, 16), (18, 20, 5), (1, 20, 24)]


@dataclass(frozen=True)
class Touching:
    """Connected components of what is above one half."""

    connectivity: Literal[6, 18, 26] = 6
    halo: tuple[int, int, int] = (0, 0, 0)
    stitching: Literal["touching", "overlap"] = "touching"

    def __call__(self, prediction, voxel_size):
        rank = {6: 1, 18: 2, 26: 3}[self.connectivity]
        return ndimage.label(prediction[0] > 0.5, ndimage.generate_binary_structure(3, rank))[0]


@dataclass(frozen=True)
class Overlapping(Touching):
    """The same, but recognised by what both sides of a seam see."""

    halo: tuple[int, int, int] = (3, 3, 3)
    stitching: Literal["touching", "overlap"] = "overlap"
    cell_voxels: int = 720


def blobs(shape=(18, 20, 24), density=0.3, seed=0, sigma=0.7) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)
    return (noise > np.quantile(noise, 1 - density)).astype(np.float32)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("block", BLOCKS)
def test_components_are_those_of_the_whole_volume(block, connectivity) -> None:
    foreground = blobs()
    expected, count = ndimage.label(
        foreground, ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    )
    assert count > 10
    found = segment(foreground, Touching(connectivity), block_shape=block).read()
    assert found.dtype == np.uint64
    # scipy, too, numbers objects by their first voxel: not even the names depend on the blocks
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.sampled_from([6, 18, 26]),
    st.floats(0.1, 0.7),
    st.integers(0, 99),
)
def test_any_blocks_of_any_volume(shape, block, connectivity, density, seed) -> None:
    foreground = (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    found = segment(foreground, Touching(connectivity), block_shape=block).read()
    np.testing.assert_array_equal(found, ndimage.label(foreground, structure)[0])


@pytest.mark.parametrize("cell_voxels", [300, 720, 1500, 4000])
def test_overlap_joins_what_both_sides_see(cell_voxels) -> None:
    foreground = np.zeros((18, 20, 24), np.float32)
    for z, y, x in [(4, 5, 6), (4, 14, 16), (13, 6, 17), (13, 14, 6)]:  # balls, apart, most of them cut by cells
        d = np.indices(foreground.shape) - np.array([z, y, x])[:, None, None, None]
        foreground[(d**2).sum(0) < 16] = 1
    whole = segment(foreground, Overlapping(cell_voxels=foreground.size)).read()
    found = segment(foreground, Overlapping(cell_voxels=cell_voxels)).read()
    assert whole.max() == 4
    np.testing.assert_array_equal(whole, found)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.integers(20, 300),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.floats(0.1, 0.7),
    st.integers(0, 99),
)
def test_overlap_is_exact_for_components(shape, cell_voxels, halo, density, seed) -> None:
    """What is one object in a cell and two in the next, which does not see how they are connected, is one in the end."""
    foreground = (np.random.default_rng(seed).random(shape) < density).astype(np.uint8)
    found = segment(foreground, Overlapping(halo=halo, cell_voxels=cell_voxels)).read()
    np.testing.assert_array_equal(found, ndimage.label(foreground)[0])


def test_overlap_does_not_join_what_one_side_holds_apart() -> None:
    """Two objects that a cell takes for one stay two where the other cell knows better: the larger goes on, not both."""

    class Blind(Overlapping):
        def __call__(self, prediction, voxel_size):
            ids = np.where(prediction[0] > 0, 1 + (np.arange(prediction.shape[2]) > 4)[:, None], 0)
            merged = prediction[0].max() > 1  # the mark of the cell that sees them as one
            return np.minimum(ids, 1) if merged else ids

    foreground = np.zeros((1, 12, 40), np.float32)
    foreground[0, 2:10, 2:38] = 1
    foreground[0, 2, 2] = 2
    found = segment(foreground, Blind(halo=(0, 0, 8), cell_voxels=240)).read()
    assert found.max() == 2
    assert found[0, 3, 3] == found[0, 8, 3] == found[0, 8, 37] != found[0, 3, 37]


def test_small_objects_go_after_stitching() -> None:
    foreground = np.zeros((8, 8, 20), np.float32)
    foreground[2, 2, 1:19] = 1  # 18 voxels, no more than 5 in any block
    foreground[6, 6, 3:6] = 1
    found = segment(foreground, Touching(), block_shape=(4, 4, 5), min_size=10).read()
    assert found.max() == 1
    assert (found > 0).sum() == 18


def test_written_is_what_memory_gives(tmp_path: Path) -> None:
    foreground = Volume.from_array(blobs(), voxel_size=(30.0, 8.0, 8.0), offset=(60.0, 0.0, 8.0))
    steps: list[tuple[int, int]] = []
    written = segment(
        foreground, Touching(), tmp_path / "out.zarr", block_shape=(7, 9, 8), progress=lambda *step: steps.append(step)
    )
    expected = segment(foreground, Touching())
    np.testing.assert_array_equal(written.read(), expected.read())
    assert (written.voxel_size, written.offset, written.unit) == (foreground.voxel_size, foreground.offset, "nm")
    assert object_count(tmp_path / "out.zarr") == expected.read().max()
    assert not list((tmp_path / "out.zarr" / ".segkit").glob("objects-*"))
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert len({total for _, total in steps}) == 1


def test_written_with_halo_is_what_memory_gives(tmp_path: Path) -> None:
    foreground = blobs(sigma=1.5)
    written = segment(foreground, Overlapping(), tmp_path / "out.zarr", block_shape=(7, 20, 9))
    np.testing.assert_array_equal(written.read(), segment(foreground, Overlapping()).read())


class Stop(Exception):
    """The user closes the window."""


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_interrupted_work_goes_on(tmp_path: Path, at: float) -> None:
    class Counting(Touching):
        calls = 0

        def __call__(self, prediction, voxel_size):
            Counting.calls += 1
            return super().__call__(prediction, voxel_size)

    def stop(done: int, total: int) -> None:
        if done >= at * total:
            raise Stop

    foreground, cutter = blobs(), Counting()
    blocks = 2 * 2 * 2
    with pytest.raises(Stop):
        segment(foreground, cutter, tmp_path / "out.zarr", block_shape=(9, 10, 12), progress=stop)
    assert not open_zarr(tmp_path / "out.zarr", live=True).metadata["complete"]
    found = segment(foreground, cutter, tmp_path / "out.zarr", block_shape=(9, 10, 12))
    np.testing.assert_array_equal(found.read(), ndimage.label(foreground)[0])
    # what was cut, and on the disk, is not cut again; some blocks may have been on their way
    calls = Counting.calls
    assert calls <= 2 * blocks
    assert at < 0.5 or calls == blocks
    segment(foreground, cutter, tmp_path / "out.zarr", block_shape=(9, 10, 12))
    assert Counting.calls == calls


def test_interrupted_looks_go_on(tmp_path: Path, monkeypatch) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 8 + 5:  # of 8 blocks cut and 8 looked at
            raise Stop

    monkeypatch.setattr(_on_disk, "_KEPT_EVERY", 0)
    with pytest.raises(Stop):
        segment(blobs(), Touching(), tmp_path / "out.zarr", block_shape=(9, 10, 12), progress=stop)
    (kept,) = (tmp_path / "out.zarr" / ".segkit").glob("objects-*/found.npz")
    assert 0 < Found.load(kept).blocks < 8
    found = segment(blobs(), Touching(), tmp_path / "out.zarr", block_shape=(9, 10, 12))
    np.testing.assert_array_equal(found.read(), ndimage.label(blobs())[0])


def test_other_results_are_not_mixed(tmp_path: Path) -> None:
    foreground = blobs()
    segment(foreground, Touching(6), tmp_path / "out.zarr")
    with pytest.raises(OutputExistsError, match="connectivity=6"):
        segment(foreground, Touching(26), tmp_path / "out.zarr")
    found = segment(foreground, Touching(26), tmp_path / "out.zarr", overwrite=True)
    np.testing.assert_array_equal(found.read(), ndimage.label(foreground, np.ones((3, 3, 3)))[0])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputExistsError):
        segment(foreground, Touching(), tmp_path / "mine", overwrite=True)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_prediction_that_was_written_again_is_segmented_again(tmp_path: Path) -> None:
    write_volume(Volume.from_array(blobs(seed=1)), tmp_path / "p.zarr")
    segment(open_zarr(tmp_path / "p.zarr"), Touching(), tmp_path / "out.zarr")
    write_volume(Volume.from_array(blobs(seed=2)), tmp_path / "p.zarr", overwrite=True)
    with pytest.raises(OutputExistsError, match="written"):
        segment(open_zarr(tmp_path / "p.zarr"), Touching(), tmp_path / "out.zarr")


def test_nothing_found(tmp_path: Path) -> None:
    nothing = np.zeros((4, 5, 6), np.float32)
    assert segment(nothing, Touching(), block_shape=(2, 2, 2)).read().max() == 0
    assert segment(nothing, Touching(), tmp_path / "out.zarr", block_shape=(2, 2, 2)).read().max() == 0
    assert object_count(tmp_path / "out.zarr") == 0


def test_ids_of_a_segmenter_may_have_gaps() -> None:
    @dataclass(frozen=True)
    class Sparse(Touching):
        shift: int = 40

        def __call__(self, prediction, voxel_size):
            ids = super().__call__(prediction, voxel_size).astype(np.uint64)
            return np.where(ids, (ids << np.uint64(self.shift)) + np.uint64(2**self.shift - 1), 0).astype(np.uint64)

    foreground = blobs()
    for shift in (20, 40, 57):
        found = segment(foreground, Sparse(shift=shift), block_shape=(9, 10, 12)).read()
        np.testing.assert_array_equal(found, ndimage.label(foreground)[0])


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Wrong(Touching):
        def __call__(self, prediction, voxel_size):
            return prediction[0]

    with pytest.raises(PluginError, match="integer ids"):
        segment(blobs(), Wrong())
    with pytest.raises(IncompleteError, match="integer ids"):
        segment(blobs(), Wrong(), tmp_path / "out.zarr")
    with pytest.raises(UsageError, match="min_size"):
        segment(blobs(), Touching(), min_size=-1)
    with pytest.raises(UsageError, match="built already"):
        segment(blobs(), Touching(), options={"connectivity": 6})
    large = Volume.from_array(np.broadcast_to(np.float32(0), (2000, 2000, 2000)))
    with pytest.raises(UsageError, match="Give a path"):
        segment(large, Touching())
    with pytest.raises(DataError, match="was not written"):
        object_count(tmp_path)
