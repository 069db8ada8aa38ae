"""Prediction: tiles, their halo and their blending, reading ahead, shortage of memory, and writing that is continued."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import replace
from itertools import product
from math import prod
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import segkit
from segkit import Box, Model, Volume
from segkit.contracts import Normalization
from segkit.errors import DataError, StorageError, UsageError
from segkit.model import preflight, seam_report
from segkit.model._tiling import Tiling, choose_batch, choose_tiling
from segkit.recipe import Selection

lengths = st.tuples(*[st.integers(1, 40)] * 3)
QUICK = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Pooling(nn.Module):
    """Looks 3 voxels far, or less, through a pooling by two that treats even and odd voxels differently."""

    stride = (2, 2, 2)
    halo = (4, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv3d(1, 2, 3, padding=1)
        self.coarse = nn.Conv3d(2, 2, 1)
        self.head = nn.Conv3d(4, 1, 1)

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        fine = self.fine(raw).relu()
        coarse = nn.functional.interpolate(self.coarse(nn.functional.max_pool3d(fine, 2)), scale_factor=2)
        return self.head(torch.cat((fine, coarse), 1))


def model_of(network: nn.Module, patch_shape=(16, 16, 16), **task) -> Model:
    known = {"out_channels": 1, "channel_names": ("object",), "activate": lambda logits: logits.sigmoid()}
    return Model(
        network.eval(),
        Selection("some:task"),
        Selection("some:network"),
        SimpleNamespace(**{**known, **task}),
        1,
        Normalization((100.0,), (50.0,)),
        patch_shape,
    )


@pytest.fixture(scope="module")
def pooling() -> Model:
    torch.manual_seed(1)
    return model_of(Pooling())


@pytest.fixture
def image(rng) -> Volume:
    return Volume.from_array(rng.integers(0, 255, (24, 30, 26), np.uint8), voxel_size=(10.0, 10.0, 10.0))


@pytest.fixture
def eight_at_once(monkeypatch) -> None:
    """Let the network see eight tiles of 16^3 voxels at once: what it would see of larger ones."""
    monkeypatch.setattr("segkit.model._tiling._BUSY", 8 * 16**3)


def whole_forward(model: Model, raw: np.ndarray) -> np.ndarray:
    """Call the network once on everything, reflected at the far borders to a multiple of its stride."""
    missing = [(0, -n % s) for n, s in zip(raw.shape, model.network.stride, strict=True)]
    inputs = torch.from_numpy(model.normalization(np.pad(raw, missing, mode="reflect")[None]))[None]
    with torch.inference_mode():
        outputs = model.network(inputs).sigmoid()[0].numpy()
    return outputs[(slice(None), *(slice(0, n) for n in raw.shape))]


@QUICK
@given(shape=st.tuples(*[st.integers(3, 26)] * 3), block=st.tuples(*[st.integers(2, 13)] * 3), seed=st.integers(0, 99))
def test_tiles_with_enough_context_give_what_the_whole_volume_gives(pooling, shape, block, seed):
    raw = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    tiled = pooling(raw, block_shape=block, halo=(3, 3, 3)).read()
    np.testing.assert_allclose(tiled, whole_forward(pooling, raw), atol=2e-6)


@QUICK
@given(
    shape=lengths,
    block=lengths,
    halo=st.tuples(*[st.integers(0, 9)] * 3),
    stride=st.tuples(*[st.sampled_from([1, 2, 3, 8])] * 3),
    shifted=st.booleans(),
)
def test_tiles_have_one_shape_lie_inside_and_hold_their_context(shape, block, halo, stride, shifted):
    tiling = Tiling(shape, block, halo, stride)
    tiling = tiling.shifted() if shifted else tiling
    seen = np.zeros(shape, int)
    for index in range(len(tiling.lattice)):
        own, tile = tiling.block(index), tiling.tile(index)
        seen[own.slices] += 1
        assert tile.shape == tiling.tile_shape
        for a, b, first, last, h, n, s, t in zip(
            own.start, own.stop, tile.start, tile.stop, halo, shape, stride, tile.shape, strict=True
        ):
            assert first % s == 0 == t % s
            assert 0 <= first <= max(0, a - h)
            assert last >= min(n, b + h)
            assert last < max(n, 1) + s or t <= 2 * s  # no more than is missing to a multiple of the stride is made up
    assert (seen == 1).all()


@QUICK
@given(shape=st.tuples(*[st.integers(1, 1500)] * 3), patch=st.sampled_from([(1, 256, 256), (32, 96, 96), (64, 64, 64)]))
def test_chosen_tiles_fit_the_budget_and_do_not_depend_on_the_machine(shape, patch):
    image = Volume.from_array(np.broadcast_to(np.uint8(0), shape))
    tiling = choose_tiling(SimpleNamespace(stride=(8, 8, 8)), patch, image)
    assert prod(tiling.tile_shape) <= 3 << 20
    assert tiling == choose_tiling(SimpleNamespace(stride=(8, 8, 8)), patch, image)


def test_the_network_sees_fewer_voxels_than_with_tiles_of_64_that_overlap_by_a_quarter():
    for edge in (256, 512, 1024):
        image = Volume.from_array(np.broadcast_to(np.uint8(0), (edge,) * 3))
        tiling = choose_tiling(SimpleNamespace(stride=(8, 8, 8), halo=(8, 8, 8)), (64, 64, 64), image)
        others = -(-(edge - 16) // 48)  # tiles of 64 along an axis at every 48 voxels, the last one moved inwards
        assert tiling.network_voxels < 0.8 * (64 * others) ** 3


@pytest.mark.parametrize("blend", ["linear", "gaussian"])
def test_weights_of_blended_tiles_add_up_to_one(blend, image):
    constant = nn.Conv3d(1, 1, 1)
    nn.init.zeros_(constant.weight)
    nn.init.constant_(constant.bias, 0.7)
    model = model_of(constant, activate=lambda logits: logits)
    prediction = model(image, block_shape=(7, 9, 8), halo=(3, 2, 4), blend=blend)
    np.testing.assert_allclose(prediction.read(), 0.7, atol=1e-6)


@pytest.mark.parametrize("blend", ["linear", "gaussian"])
def test_blended_voxels_do_not_depend_on_who_asks(pooling, image, blend):
    options = {"block_shape": (8, 10, 8), "halo": (2, 4, 2), "blend": blend}
    prediction = pooling(image, **options)
    lattice = prediction.array.lattice
    expected = np.zeros(prediction.shape, np.float32)
    for box, voxels in zip(lattice, prediction.read_blocks(lattice), strict=True):
        expected[(slice(None), *box.slices)] = voxels
    assert not prediction.array._strips  # each was used
    other = pooling(image, **options)
    for index in reversed(range(len(lattice))):
        box = lattice[index]
        np.testing.assert_array_equal(other.read(box), expected[(slice(None), *box.slices)])
    np.testing.assert_array_equal(pooling(image, **options).read(), expected)
    assert np.abs(expected - pooling(image, block_shape=(8, 10, 8), halo=(2, 4, 2)).read()).max() > 0


def test_strips_that_found_no_room_are_computed_again(pooling, image, monkeypatch):
    options = {"block_shape": (8, 10, 8), "halo": (2, 4, 2), "blend": "linear"}
    expected = pooling(image, **options).read()
    monkeypatch.setattr("segkit.model._predicted._STRIP_BYTES", 5000)
    lazy = pooling(image, **options)
    blocks = list(lazy.read_blocks(lazy.array.lattice))
    for box, voxels in zip(lazy.array.lattice, blocks, strict=True):
        np.testing.assert_array_equal(voxels, expected[(slice(None), *box.slices)])


def test_blending_further_than_a_block_is_refused(pooling, image):
    with pytest.raises(UsageError, match="three tiles would meet"):
        pooling(image, block_shape=(8, 8, 8), halo=(5, 4, 4), blend="linear")


def test_so_many_tiles_are_seen_at_once_that_the_network_is_busy():
    def batch(image, tile, device="cpu"):
        return choose_batch(Tiling(image, tile, (0, 0, 0)), device)

    assert batch((1, 1024, 1024), (1, 16, 16)) == 1024
    assert batch((1, 256, 256), (1, 16, 16)) == 256  # as many as there are
    assert batch((256, 256, 256), (64, 64, 64)) == 1
    assert batch((1, 1024, 1024), (1, 16, 16), "cuda") == 1024
    assert batch((256, 256, 256), (64, 64, 64), "cuda") == 8
    assert batch((512, 512, 512), (128, 128, 128), "cuda") == 2
    assert batch((512, 512, 512), (160, 160, 200), "cuda") == 1


@pytest.mark.parametrize("blend", ["none", "linear"])
def test_hundreds_of_tiles_at_once(pooling, rng, blend):
    image = Volume.from_array(rng.integers(0, 255, (2, 128, 128), np.uint8))
    lazy = pooling(image, block_shape=(2, 8, 8), halo=(0, 2, 2), blend=blend)
    assert lazy.array.batch == len(lazy.array.lattice) == 256
    expected = lazy.read()
    for box, voxels in zip(lazy.array.lattice, lazy.read_blocks(lazy.array.lattice), strict=True):
        np.testing.assert_array_equal(voxels, expected[(slice(None), *box.slices)])
    found = preflight(lazy)
    assert found.tiles == 256
    assert found.memory is None or found.memory < 2**30


def test_many_blocks_are_the_same_as_one_at_a_time(pooling, image, eight_at_once):
    prediction = pooling(image, block_shape=(8, 8, 8))
    lattice = prediction.array.lattice
    assert prediction.array.batch == 8 < len(lattice)
    odd = [Box((1, 2, 3), (20, 9, 11)), Box((0, 0, 0), (8, 8, 8)), Box((23, 29, 25), (24, 30, 26))]
    boxes = [*lattice, *odd]
    for box, voxels in zip(boxes, prediction.read_blocks(iter(boxes)), strict=True):
        assert voxels.flags.writeable
        np.testing.assert_array_equal(voxels, pooling(image, block_shape=(8, 8, 8)).read(box))


@pytest.mark.parametrize("at_once", [8, 70])
def test_the_next_tiles_are_read_while_the_network_works(pooling, rng, monkeypatch, at_once):
    image = Volume.from_array(rng.integers(0, 255, (24, 70, 66), np.uint8))
    monkeypatch.setattr("segkit.model._tiling._BUSY", at_once * 12**3)
    readers: list[str] = []

    class Watched:
        shape, dtype = image.array.shape, image.array.dtype

        def __getitem__(self, key):
            readers.append(threading.current_thread().name)
            return image.array[key]

    lazy = pooling(Volume.from_array(Watched()), block_shape=(8, 8, 8), halo=(2, 2, 2))
    list(lazy.read_blocks(lazy.array.lattice))
    assert sum(name.startswith("segkit-read") for name in readers) >= len(readers) // 2
    assert not any(thread.name.startswith("segkit-read") for thread in threading.enumerate())


def test_a_block_that_cannot_be_read_spoils_no_other(pooling, image):
    class Damaged:
        shape, dtype = image.array.shape, image.array.dtype
        broken = True

        def __getitem__(self, key):
            if self.broken and key[0].start <= 20 < key[0].stop and key[2].start <= 1:
                raise OSError("bad sector")
            return image.array[key]

    damaged = Damaged()
    expected = pooling(image, block_shape=(8, 8, 8), halo=(2, 2, 2))
    lazy = pooling(Volume.from_array(damaged), block_shape=(8, 8, 8), halo=(2, 2, 2))
    todo, failed = list(lazy.array.lattice), []
    while todo:
        blocks = lazy.read_blocks(todo)
        try:
            while todo:
                np.testing.assert_array_equal(next(blocks), expected.read(todo[0]))
                todo.pop(0)
        except DataError:
            failed.append(todo.pop(0))
    assert failed
    assert all(box.stop[0] + 2 > 20 and box.start[2] <= 3 for box in failed)
    damaged.broken = False
    np.testing.assert_array_equal(lazy.read(failed[0]), expected.read(failed[0]))


class Short(nn.Module):
    """A network that finds no memory for more than so many tiles."""

    def __init__(self, inner: nn.Module, most: int, error: Exception) -> None:
        super().__init__()
        self.inner, self.most, self.error = inner, most, error
        self.stride, self.halo = inner.stride, inner.halo
        self.sizes: list[int] = []

    def forward(self, raw):
        self.sizes.append(len(raw))
        if len(raw) > self.most:
            raise self.error
        return self.inner(raw)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried to allocate"
        ),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_short_memory_makes_batches_smaller_and_changes_no_voxel(pooling, image, error, eight_at_once):
    expected = pooling(image, block_shape=(8, 8, 8)).read()
    short = model_of(Short(pooling.network, 2, error))
    np.testing.assert_array_equal(short(image, block_shape=(8, 8, 8)).read(), expected)
    assert short.network.sizes[:3] == [8, 4, 2]
    assert set(short.network.sizes[3:]) <= {1, 2}  # it does not try again what did not fit


def test_a_tile_that_does_not_fit_at_all_says_what_to_do(pooling, image):
    short = model_of(Short(pooling.network, 0, MemoryError()))
    with pytest.raises(UsageError, match="Choose smaller blocks") as caught:
        short(image, block_shape=(8, 8, 8)).read()
    assert isinstance(caught.value, MemoryError)


def test_other_errors_of_a_network_are_not_taken_for_short_memory(pooling, image, eight_at_once):
    wrong = model_of(Short(pooling.network, 0, RuntimeError("size mismatch")))
    with pytest.raises(DataError, match="size mismatch"):
        wrong(image, block_shape=(8, 8, 8)).read()
    assert wrong.network.sizes == [8]


@pytest.mark.parametrize(("augmentation", "calls"), [("flips", 8), ("turns", 16)])
def test_averaging_over_mirror_images_makes_the_prediction_turn_with_the_image(rng, augmentation, calls):
    torch.manual_seed(2)
    network = nn.Conv3d(1, 1, 3, padding=1)
    seen = []
    network.register_forward_hook(lambda *_: seen.append(1))
    model = model_of(network)
    raw = rng.integers(0, 255, (12, 16, 16), np.uint8)
    averaged = model(raw, augmentation=augmentation).read()
    assert len(seen) == calls
    for axis in range(3):
        mirrored = model(np.flip(raw, axis), augmentation=augmentation).read()
        np.testing.assert_allclose(np.flip(mirrored, axis + 1), averaged, atol=1e-6)
    turned = np.rot90(model(np.rot90(raw, 1, (1, 2)), augmentation=augmentation).read(), -1, (2, 3))
    assert np.allclose(turned, averaged, atol=1e-6) == (augmentation == "turns")


def test_outputs_with_a_direction_are_not_averaged(image):
    model = model_of(nn.Conv3d(1, 1, 3, padding=1), directional=True)
    with pytest.raises(UsageError, match="belong to directions"):
        model(image, augmentation="flips")


def test_a_lazy_prediction_travels_to_another_process(pooling, image):
    lazy = pooling(image, block_shape=(8, 8, 8))
    lazy = lazy.with_array(lazy.array, "czyx")
    expected = lazy.read()
    lazy.array.forward = type(lazy.array.forward)(pooling.network, torch.sigmoid)  # a lambda cannot travel
    again = pickle.loads(pickle.dumps(lazy))
    np.testing.assert_array_equal(again.read(), expected)


def test_planar_networks_see_slices_and_no_context_along_z(image):
    plane = nn.Conv2d(1, 1, 3, padding=1)
    plane.planar = True
    model = model_of(plane, patch_shape=(1, 16, 16))
    prediction = model(image, block_shape=(5, 30, 26))
    assert prediction.array.halo[0] == 0
    inputs = torch.from_numpy(model.normalization(np.asarray(image.array)[None]))[0][:, None]
    with torch.inference_mode():
        expected = plane(inputs).sigmoid().numpy()[:, 0]
    np.testing.assert_allclose(prediction.read()[0], expected, atol=1e-6)


def test_half_of_the_space_holds_the_prediction_to_three_digits(pooling, image, tmp_path):
    full = pooling(image).read()
    written = segkit.predict(pooling, image, tmp_path / "half.zarr", dtype="float16")
    assert written.dtype == np.float16
    np.testing.assert_allclose(written.read().astype(np.float32), full, atol=5e-4)


def test_a_prediction_that_was_stopped_goes_on_with_the_same_bits(pooling, image, tmp_path):
    options = {"block_shape": (8, 8, 8), "halo": (2, 2, 2)}
    expected = segkit.predict(pooling, image, tmp_path / "whole.zarr", **options).read()

    def stop_after(done: int, _total: int) -> None:
        if done == 5:  # in the middle of a batch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segkit.predict(pooling, image, tmp_path / "part.zarr", **options, progress=stop_after)
    np.testing.assert_array_equal(segkit.predict(pooling, image, tmp_path / "part.zarr", **options).read(), expected)


def test_the_fastest_arithmetic_is_remembered_and_kept_when_a_prediction_goes_on(pooling, image, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = segkit.predict(pooling, image, precision="auto").array.forward
    remembered = tmp_path / "cache" / "segkit" / "arithmetic.json"
    [(key, value)] = json.loads(remembered.read_text()).items()
    assert value == [first.precision, first.layout]
    for precision, layout in product(("float32", "bfloat16"), ("contiguous", "channels_last")):
        remembered.write_text(json.dumps({key: [precision, layout]}))
        forward = segkit.predict(pooling, image, precision="auto").array.forward
        assert (forward.precision, forward.layout) == (precision, layout)
    segkit.predict(pooling, image, tmp_path / "out.zarr", precision="auto")
    assert json.loads((tmp_path / "out.zarr" / ".segkit" / "plan.json").read_text())["plan"]["made_from"][
        "arithmetic"
    ] == ["bfloat16", "channels_last"]
    remembered.write_text("{ torn")
    segkit.predict(pooling, image, tmp_path / "out.zarr", precision="auto")  # would be refused with another arithmetic


def test_arithmetic_changes_no_more_than_it_says(pooling, image):
    full = pooling(image).read()
    np.testing.assert_allclose(pooling(image, layout="channels_last").read(), full, atol=2e-6)
    half = pooling(image, precision="bfloat16").read()
    assert 0 < np.abs(half - full).max() < 0.02


def test_two_tilings_agree_where_the_halo_holds_what_the_network_sees(pooling, image):
    enough = seam_report(pooling(image, block_shape=(8, 10, 8), halo=(4, 4, 4)), image.box)
    assert enough.faces.max < 1e-5
    assert enough.elsewhere.max < 1e-5
    cut = seam_report(pooling(image, block_shape=(8, 10, 8), halo=(0, 0, 0)), image.box)
    assert cut.faces.mean > 10 * cut.elsewhere.mean
    assert cut.faces.voxels + cut.elsewhere.voxels == image.box.size
    assert cut.as_dict()["region"] == "z0:24, y0:30, x0:26"
    assert seam_report(pooling(image, block_shape=(8, 10, 8))).region == Box((4, 5, 5), (20, 25, 21))


def test_seams_need_a_lazy_prediction_of_several_blocks(pooling, image):
    with pytest.raises(UsageError, match="no lazy prediction"):
        seam_report(image)
    with pytest.raises(UsageError, match="there are no seams"):
        seam_report(pooling(image))


def test_what_a_prediction_will_take_is_known_before(pooling, image, tmp_path):
    estimate = preflight(pooling(image, block_shape=(8, 10, 8)), tmp_path / "not" / "there.zarr")
    assert estimate.tiles == 36
    assert estimate.seconds > 0
    assert 0 < estimate.disk < 2 * image.box.size * 4
    assert "36 tiles of" in str(estimate)
    estimate.check()
    with pytest.raises(StorageError, match=r"--region.*--dtype float16"):
        replace(estimate, disk=10**15).check()
    with pytest.raises(UsageError, match="--block"):
        replace(estimate, memory=10**15, memory_free=10**9).check()
