"""An array whose tiles are computed where somebody looks."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from napari_segkit.layers._predictions import looks_of
from napari_segkit.layers._tiles import MOST_AT_ONCE, Tiles
from segkit.geometry import Box


def values(box: Box) -> np.ndarray:
    """What tiles are made of here: z * 10000 + y * 100 + x."""
    z, y, x = np.ogrid[box.slices]
    return (z * 10000 + y * 100 + x)[None].astype(np.float32)


def wait_for(tiles: Tiles, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while tiles.waiting and time.monotonic() < end:
        time.sleep(0.002)
    assert not tiles.waiting


@pytest.fixture
def made():
    created = []

    def make(shape, tile, compute=values, **options) -> Tiles:
        created.append(Tiles(shape, tile, np.float32, 1, compute, **options))
        return created[-1]

    yield make
    for tiles in created:
        tiles.close()


def test_missing_tiles_are_zeros_at_once_and_there_later(made) -> None:
    tiles = made((4, 30, 40), (2, 16, 16))
    (level,) = tiles.levels(0)
    assert (level.shape, level.ndim, level.size) == ((4, 30, 40), 3, 4800)
    assert not level[1].any()
    wait_for(tiles)
    assert np.array_equal(level[1], values(Box((1, 0, 0), (2, 30, 40)))[0, 0])
    assert np.array_equal(level[1, 3:20, 7:33], level[1][3:20, 7:33])
    assert level[0].shape == (30, 40)
    assert np.asarray(level[:, 2:4, 3]).shape == (4, 2)
    assert len(tiles.arrived()) == 6
    assert tiles.arrived() == []
    with pytest.raises(IndexError):
        level[4]


def test_coarser_levels_leave_voxels_out_and_thumbnails_compute_nothing(made) -> None:
    tiles = made((2, 1500, 700), (2, 128, 128))
    levels = tiles.levels(0)
    assert [level.shape for level in levels] == [(2, 1500, 700), (2, 750, 350), (2, 375, 175)]
    assert not levels[-1][1, :, :].any()
    assert tiles.computed == tiles.waiting == 0, "a thumbnail is no reason to compute"
    part = levels[1][:, 10:60, 20:90]  # napari cuts to the canvas first, without reading
    assert part.shape == (2, 50, 70)
    assert not part[1].any()
    wait_for(tiles)
    full = values(Box((1, 0, 0), (2, 1500, 700)))[0, 0]
    assert np.array_equal(part[1], full[20:120:2, 40:180:2])
    assert np.array_equal(levels[2][1][5:30, 10:45], full[20:120:4, 40:180:4])
    whole = levels[0][:, :, :]
    assert len(list(tiles.lattice.touching(Box((0, 0, 0), (1, 1500, 700))))) > MOST_AT_ONCE
    before = tiles.computed
    np.asarray(whole[0])
    assert tiles.waiting == 0
    assert tiles.computed == before, "too far away: nothing is computed"


def test_tile_overlay_twelve_quick_steps_compute_a_part_and_fill_what_is_seen(made) -> None:
    def slow(box: Box) -> np.ndarray:
        time.sleep(0.01)
        return values(box) + 1

    tiles = made((12, 64, 64), (1, 16, 16), slow)
    (level,) = tiles.levels(0)
    for z in range(12):
        level[z]
        time.sleep(0.03)
    end = time.monotonic() + 5
    while not level[11].all() and time.monotonic() < end:
        time.sleep(0.01)
    assert level[11].all()
    assert tiles.computed < 100, "192 tiles were passed by"
    print(f"12 steps over 16 tiles: {tiles.computed} of 192 computed")


def test_old_tiles_stay_until_new_ones_are_there(made) -> None:
    gate, offset = threading.Event(), [0]

    def compute(box: Box) -> np.ndarray:
        gate.wait(5)
        return values(box) + offset[0]

    tiles = made((1, 16, 16), (1, 16, 16), compute)
    (level,) = tiles.levels(0)
    gate.set()
    level[0]
    wait_for(tiles)
    gate.clear()
    offset[0] = 5
    tiles.renew()
    assert level[0][0, 1] == 1
    gate.set()
    wait_for(tiles)
    assert level[0][0, 1] == 6


def test_a_failure_is_told_once_and_stops_the_work(made) -> None:
    told: list[Exception] = []

    def broken(box: Box) -> np.ndarray:
        raise ValueError("no")

    tiles = made((1, 64, 64), (1, 16, 16), broken, failed=told.append)
    (level,) = tiles.levels(0)
    level[0]
    wait_for(tiles)
    level[0]
    time.sleep(0.05)
    assert [str(error) for error in told] == ["no"]
    assert tiles.waiting == 0


def test_many_threads_read_while_tiles_are_made(made) -> None:
    tiles = made((8, 64, 64), (2, 16, 16))
    (level,) = tiles.levels(0)
    errors: list[Exception] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(60):
                z = int(rng.integers(8))
                seen = level[z]
                true = values(Box((z, 0, 0), (z + 1, 64, 64)))[0, 0]
                assert ((seen == 0) | (seen == true)).all()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_predictions_are_single_colours_over_the_image() -> None:
    (one,) = looks_of(["foreground"], fractions=True)
    assert (one["blending"], one["colormap"], one["contrast_limits"]) == ("additive", "magenta", (0.0, 1.0))
    affinities = looks_of(
        ["object", "affinity_-1_0_0", "affinity_0_-1_0", "affinity_0_0_-1", "affinity_-3_0_0"], fractions=True
    )
    assert [look["colormap"] for look in affinities if look["visible"]] == ["red", "green", "blue"]
    assert [look["visible"] for look in looks_of(["object", "boundary"], fractions=True)] == [False, True]
    assert [look["visible"] for look in looks_of(["background", "axon", "glia"], fractions=True)] == [False, True, True]
    assert "contrast_limits" not in looks_of(["distance"], fractions=False)[0]
