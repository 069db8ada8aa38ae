from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

import segkit_augmentations as augmentations
from segkit.contracts import Patch
from segkit.errors import UsageError
from segkit_augmentations._deform import deformed, rotation
from segkit_augmentations._warp import spline

NOTHING = {"rotation": 0.0, "scaling": 0.0, "shear": 0.0, "displacement": 0.0, "probability": 1.0}


def make(shape=(8, 24, 24), channels=1, voxel_size=(8.0, 8.0, 8.0), dtype=np.uint64, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(channels, *shape)).astype(np.float32)
    labels = rng.integers(0, 100, shape).astype(dtype)
    return Patch(raw, labels, np.ones(shape, bool), voxel_size, "here")


def mapped(patch, map_, bend=None, spacing=(9.0, 9.0, 9.0), phase=(0.0, 0.0, 0.0), flat=False):
    points = [int((n - 1) / step + shift) + 4 for n, step, shift in zip(patch.mask.shape, spacing, phase)]
    bend = np.zeros((3, *points)) if bend is None else bend(rng=np.random.default_rng(3), points=points)
    return deformed(patch, map_, bend, np.array(spacing), np.array(phase), flat)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("shape", [(1, 9, 9), (5, 8, 8), (1, 1, 1), (2, 1, 1), (3, 17, 33)])
def test_no_change_is_exact(shape, flat):
    patch = make(shape, channels=2)
    result = mapped(patch, np.eye(3), flat=flat)
    for what in ("raw", "labels", "mask"):
        assert np.array_equal(getattr(result, what), getattr(patch, what))
    still = augmentations.deform(**NOTHING)(patch, np.random.default_rng(0))
    assert np.array_equal(still.raw, patch.raw)
    assert np.array_equal(still.labels, patch.labels)
    assert still.mask.all()


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 10, 10), (4, 9, 9)])
def test_quarter_turns_are_those_of_numpy(shape, quarters, flat):
    patch = make(shape, channels=2)
    result = mapped(patch, rotation(-quarters * np.pi / 2), flat=flat)
    assert np.array_equal(result.labels, np.rot90(patch.labels, quarters, (-2, -1)))
    assert np.allclose(result.raw, np.rot90(patch.raw, quarters, (-2, -1)), atol=1e-4)
    assert result.mask.all()


def places(shape, map_, voxel_size, bend, spacing, phase):
    """Where each voxel is sampled, by the textbook."""
    size = np.array(voxel_size)[:, None, None, None]
    centre = ((np.array(shape) - 1) / 2)[:, None, None, None]
    moved = (np.indices(shape) - centre) * size
    for axis in range(3):
        field = bend[axis]
        for k, (n, step, shift) in enumerate(zip(shape, spacing, phase)):
            cell, weights = spline(n, step, shift)
            field = sum(
                np.take(field, cell + i, k) * weights[i].reshape([-1 if a == k else 1 for a in range(3)])
                for i in range(4)
            )
        moved[axis] += field
    return np.tensordot(map_, moved, 1) / size + centre


@pytest.mark.parametrize("voxel_size", [(8.0, 8.0, 8.0), (20.0, 8.0, 10.0)])
def test_it_samples_as_scipy_does(voxel_size):
    patch = make((9, 21, 18), voxel_size=voxel_size)
    map_ = rotation(0.3) @ np.array([[0.9, 0.1, 0], [0.05, 1.1, 0.2], [0, -0.1, 1]])
    spacing, phase = (4.0, 6.0, 7.5), (0.2, 0.7, 0.5)
    drawn = {}

    def bend(rng, points):
        drawn["bend"] = rng.uniform(-20, 20, (3, *points))
        return drawn["bend"]

    patch = replace(patch, mask=np.random.default_rng(1).random(patch.mask.shape) > 0.1)
    result = mapped(patch, map_, bend, spacing, phase)
    where = places(patch.mask.shape, map_, voxel_size, drawn["bend"], spacing, phase)
    expected = map_coordinates(patch.raw[0], where, order=1, mode="mirror")
    assert np.allclose(result.raw[0], expected, atol=2e-3)
    ends = np.array(patch.mask.shape).reshape(3, 1, 1, 1)
    inside = ((where >= -0.5) & (where < ends - 0.5)).all(0)
    nearest = tuple(np.floor(where[:, inside] + 0.5).astype(int))
    agree = np.zeros_like(inside)
    agree[inside] = (patch.labels[nearest] == result.labels[inside]) & (patch.mask[nearest] == result.mask[inside])
    near_edge = np.abs(where - np.floor(where) - 0.5).min(0) < 1e-4
    assert (agree | ~inside | near_edge).all()
    assert not result.mask[~inside & ~near_edge].any()
    assert inside.mean() > 0.3


def test_ids_beyond_floating_point_stay_exact():
    patch = make()
    labels = (np.arange(patch.mask.size, dtype=np.uint64) + np.uint64(2**63 + 1)).reshape(patch.mask.shape)
    result = augmentations.deform(probability=1.0)(replace(patch, labels=labels), np.random.default_rng(0))
    assert set(np.unique(result.labels)) <= set(np.unique(labels))
    assert len(np.unique(result.labels)) > 100


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u4", "i4", "i8", "u8", "?", "f4", "f8", "f2"])
def test_types_stay(dtype):
    patch = make(dtype=dtype)
    result = augmentations.deform(probability=1.0)(patch, np.random.default_rng(1))
    assert result.labels.dtype == patch.labels.dtype
    assert result.raw.dtype == np.float32
    assert result.mask.dtype == bool
    if dtype[0] != "f":
        assert np.isin(result.labels, patch.labels).all()


def blob(shape, voxel_size, radius):
    place = [(np.arange(n) - (n - 1) / 2) * size for n, size in zip(shape, voxel_size)]
    z, y, x = np.meshgrid(*place, indexing="ij")
    return (radius - np.sqrt((z + 10) ** 2 + (y - 20) ** 2 + x**2)).astype(np.float32)


@pytest.mark.parametrize("voxel_size", [(8.0, 8.0, 8.0), (40.0, 8.0, 8.0), (16.0, 8.0, 12.0)])
def test_image_labels_and_mask_stay_aligned(voxel_size):
    shape = (24, 40, 40)
    distance = blob(shape, voxel_size, 90)
    patch = Patch(distance[None], (distance > 0).astype(np.int32), distance > -100, voxel_size, "a ball")
    augment = augmentations.deform(rotation=180.0, shear=0.2, probability=1.0)
    for seed in range(5):
        result = augment(patch, np.random.default_rng(seed))
        # In the middle of a voxel the interpolated distance says the same as the nearest label, but at the very surface.
        clear = np.abs(result.raw[0]) > 0.9 * np.linalg.norm(voxel_size)
        assert np.array_equal(result.labels[clear] > 0, result.raw[0][clear] > 0)
        known = np.abs(result.raw[0] + 100) > 0.9 * np.linalg.norm(voxel_size)
        assert not result.mask[known & (result.raw[0] < -100)].any()


@pytest.mark.parametrize("voxel_size", [(8.0, 8.0, 8.0), (24.0, 8.0, 8.0), (8.0, 16.0, 8.0)])
def test_a_ball_stays_a_ball_in_space(voxel_size):
    shape = tuple(int(320 / size) for size in voxel_size)
    distance = blob(shape, voxel_size, 0)
    patch = Patch(distance[None], distance > -80, np.ones(shape, bool), voxel_size, "a ball")
    turn = augmentations.deform(**NOTHING | {"rotation": 180.0, "tilt": 180.0})
    for seed in range(8):
        result = turn(patch, np.random.default_rng(seed))
        ball = (result.raw[0] > -80) & result.mask  # beyond the borders there may be a reflection of it
        assert ball.sum() == pytest.approx(patch.labels.sum(), rel=0.05)
        spread = np.linalg.eigvalsh(np.cov((np.argwhere(ball) * voxel_size).T))
        assert spread.max() / spread.min() < 1.12
        assert (ball == result.labels)[result.mask].mean() > 0.98


def test_sections_are_kept_apart_where_they_are_thick():
    shape = (6, 32, 32)
    heights = np.broadcast_to(np.arange(6)[:, None, None], shape)
    for voxel_size, tilt, apart in [((40.0, 8, 8), None, True), ((8.0, 8, 8), None, False), ((8.0, 8, 8), 0.0, True)]:
        patch = Patch(heights[None].astype(np.float32), heights.astype(np.uint8), np.ones(shape, bool), voxel_size)
        augment = augmentations.deform(tilt=tilt, rotation=30.0, probability=1.0)
        result = augment(patch, np.random.default_rng(0))
        assert np.array_equal(result.labels, heights) == apart
        assert np.array_equal(result.raw[0], heights) == apart


def test_scaling_changes_size_as_much_as_it_says():
    shape = (40, 40, 40)
    distance = blob(shape, (8.0, 8.0, 8.0), 0)
    patch = Patch(distance[None], (distance > -80).astype(np.uint8), np.ones(shape, bool), (8.0, 8.0, 8.0))
    scale = augmentations.deform(**NOTHING | {"scaling": 0.25})
    sizes = [scale(patch, np.random.default_rng(seed)).labels.sum() / patch.labels.sum() for seed in range(30)]
    assert 1.5 < max(sizes) < 1.25**3 * 1.05
    assert 0.95 / 1.25**3 < min(sizes) < 0.7


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_strongest_bending_never_folds(seed):
    rng = np.random.default_rng(seed)
    shape, spacing, phase = (12, 24, 24), (8.0, 8.0, 8.0), tuple(rng.random(3))
    points = [int((n - 1) / step + shift) + 4 for n, step, shift in zip(shape, spacing, phase)]
    bend = 0.4 * 8 * rng.choice([-1, 1], (3, *points))
    where = places(shape, np.eye(3), (1.0, 1.0, 1.0), bend, spacing, phase)
    slopes = np.stack(np.gradient(where, axis=(1, 2, 3)), -1)
    assert np.linalg.det(np.moveaxis(slopes, 0, -2)).min() > 0


def test_what_could_fold_is_refused():
    with pytest.raises(UsageError, match=r"at most 4 here, or a spacing of at least 15"):
        augmentations.deform(displacement=6.0, spacing=10.0)


def test_borders_are_unknown_and_reflected():
    patch = make((1, 16, 16), voxel_size=(1.0, 1.0, 1.0))
    result = mapped(patch, np.eye(3) * 2, flat=True)  # shows twice as much as there is
    known = np.zeros((16, 16), bool)
    known[4:12, 4:12] = True
    assert np.array_equal(result.mask[0], known)
    assert np.isfinite(result.raw).all()
    assert np.ptp(result.raw[0, 0, :4]) > 0


def test_few_labels_are_lost_with_the_defaults():
    lost = {}
    for shape, voxel_size in {(32, 32, 32): (8.0, 8.0, 8.0), (1, 96, 96): (8.0, 8.0, 8.0)}.items():
        patch, augment = make(shape, voxel_size=voxel_size), augmentations.deform()
        lost[shape] = np.mean([1 - augment(patch, np.random.default_rng(seed)).mask.mean() for seed in range(60)])
    assert max(lost.values()) < 0.12


def test_the_generator_decides_and_threads_do_not():
    patch, augment = make((6, 32, 32), channels=3), augmentations.deform(probability=1.0)

    def run(seed):
        result = augment(patch, np.random.default_rng(seed))
        return result.raw.tobytes(), result.labels.tobytes(), result.mask.tobytes()

    alone = [run(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, [*range(8)] * 4)) == alone * 4
    assert len(set(alone)) == 8


def test_channels_are_moved_alike():
    patch = make(channels=1)
    patch = replace(patch, raw=np.concatenate([patch.raw, patch.raw * 2 + 1, -patch.raw]))
    first, second, third = augmentations.deform(probability=1.0)(patch, np.random.default_rng(0)).raw
    assert np.allclose(second, first * 2 + 1, atol=1e-5)
    assert np.allclose(third, -first, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_that_are_an_image_are_interpolated(dtype):
    patch = make(channels=2)
    patch = replace(patch, labels=patch.raw.astype(dtype))
    result = augmentations.deform(probability=1.0)(patch, np.random.default_rng(0))
    assert result.labels.dtype == dtype
    assert np.array_equal(result.labels, result.raw)
    assert 0.3 < result.mask.mean() < 1


def test_unknown_values_of_an_image_do_not_leak():
    patch = make()
    image, mask = patch.raw[0].copy(), np.ones(patch.mask.shape, bool)
    image[2:4, 8:12, 8:12], mask[2:4, 8:12, 8:12] = np.nan, False
    patch = replace(patch, labels=image, mask=mask)
    augment = augmentations.deform(probability=1.0)
    for seed in range(5):
        result = augment(patch, np.random.default_rng(seed))
        assert result.mask.any()
        assert np.isfinite(result.labels[result.mask]).all()


def test_several_label_images_of_ids_stay_ids():
    patch = make(dtype=np.uint16)
    patch = replace(patch, labels=np.stack([patch.labels, patch.labels + np.uint16(1000)]))
    result = augmentations.deform(probability=1.0)(patch, np.random.default_rng(0))
    assert np.array_equal(result.labels[1], result.labels[0] + 1000)


def test_read_only_and_reversed_arrays_are_taken():
    patch = make((4, 12, 12))
    plain = augmentations.deform(probability=1.0)(patch, np.random.default_rng(0))
    backwards = replace(
        patch, **{what: getattr(patch, what)[..., ::-1].copy()[..., ::-1] for what in ("raw", "labels", "mask")}
    )
    for what in ("raw", "labels", "mask"):
        getattr(backwards, what).flags.writeable = False
    result = augmentations.deform(probability=1.0)(backwards, np.random.default_rng(0))
    assert np.array_equal(result.raw, plain.raw)
    assert np.array_equal(result.labels, plain.labels)
