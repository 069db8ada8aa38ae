from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import segkit
import segkit_augmentations as augmentations
from segkit.contracts import Patch
from segkit.errors import UsageError
from segkit_augmentations._bands import resampling
from segkit_augmentations._sharpness import blurred
from segkit_augmentations._turns import _turned as turned_by
from segkit_augmentations._turns import turns_of

ALL = {
    "flips": augmentations.flips(),
    "quarter_turns": augmentations.quarter_turns(),
    "quarter_turns all": augmentations.quarter_turns(axes="all"),
    "intensity": augmentations.intensity(),
    "intensity per channel": augmentations.intensity(per_channel=True),
    "intensity with shot noise": augmentations.intensity(shot=0.3),
    "blur": augmentations.blur(probability=1.0),
    "low_resolution": augmentations.low_resolution(probability=1.0, factor=3.0),
    "cutout": augmentations.cutout(probability=1.0, channels=0.3),
    "deform": augmentations.deform(probability=1.0),
    "slices": augmentations.slices(missing=0.2, contrast=0.2, defocus=0.2, jitter=0.2, slip=0.2),
}
everyone = pytest.mark.parametrize("augment", ALL.values(), ids=ALL.keys())


def make(shape=(4, 6, 6), channels=2, voxel_size=(40.0, 16.0, 16.0), images=0):
    """Return a patch whose image holds the number of each voxel, and so do its labels."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    raw = np.stack([numbers + 1000 * channel for channel in range(channels)]).astype(np.float32)
    labels = raw[:1].repeat(images, 0) if images else numbers.astype(np.uint64) + 2**60
    return Patch(raw, labels, numbers % 3 > 0, voxel_size, "here")


@everyone
@pytest.mark.parametrize("images", [0, 3])
@pytest.mark.parametrize("shape", [(4, 6, 6), (1, 5, 7), (6, 6, 6), (1, 1, 1)])
def test_what_every_one_keeps(augment, shape, images):
    patch = make(shape, images=images, voxel_size=(8.0, 8.0, 8.0))
    before = [array.copy() for array in (patch.raw, patch.labels, patch.mask)]
    rng = np.random.default_rng(1)
    for _ in range(5):
        changed = augment(patch, rng)
        for name, untouched in zip(("raw", "labels", "mask"), before):
            array = getattr(changed, name)
            assert array.shape == untouched.shape
            assert array.dtype == untouched.dtype
            assert array.flags.c_contiguous
            assert np.array_equal(getattr(patch, name), untouched)
        assert np.isfinite(changed.raw).all()
        assert (changed.voxel_size, changed.origin) == (patch.voxel_size, patch.origin)


@everyone
def test_the_generator_decides_everything(augment):
    first, second, other = (augment(make(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first.raw, second.raw)
    several = {augment(make(), np.random.default_rng(seed)).raw.tobytes() for seed in range(20)}
    assert len(several) > 1
    assert other.raw.shape == first.raw.shape


@pytest.mark.parametrize("name", ["flips", "quarter_turns", "quarter_turns all"])
@pytest.mark.parametrize("voxel_size", [(8.0, 8.0, 8.0), (40.0, 8.0, 8.0)])
def test_image_labels_and_mask_move_together(name, voxel_size):
    patch, rng = make((6, 6, 6), voxel_size=voxel_size), np.random.default_rng(0)
    for _ in range(30):
        moved = ALL[name](patch, rng)
        number = moved.raw[0].astype(np.uint64)
        assert np.array_equal(moved.labels, number + 2**60)
        assert np.array_equal(moved.mask, number % 3 > 0)
        assert np.array_equal(moved.raw[1], moved.raw[0] + 1000)
        assert set(number.ravel().tolist()) == set(range(216))


def distinct(augment, patch, times=400):
    rng = np.random.default_rng(0)
    return {augment(patch, rng).raw.tobytes() for _ in range(times)}


def test_flips_mirror_the_axes_asked_for():
    patch = make()
    assert len(distinct(augmentations.flips(), patch)) == 8
    assert distinct(augmentations.flips(z=False, y=False), patch) == {
        patch.raw.tobytes(),
        np.ascontiguousarray(patch.raw[..., ::-1]).tobytes(),
    }
    assert distinct(augmentations.flips(z=False, y=False, x=False), patch) == {patch.raw.tobytes()}


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 6), (3, 1, 5), (4, 3, 1), (1, 1, 1)])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_flips_are_what_slices_are(shape, channels, rng):
    raw, mask = rng.normal(size=(2, *shape)).astype(np.float32), rng.random(shape) < 0.5
    labels = rng.integers(0, 2**63, (*channels, *shape), dtype=np.uint64)
    for signs in product((1, -1), repeat=3):
        turned = turned_by(Patch(raw, labels, mask), ((0, 1, 2), signs))
        at = (..., *(slice(None, None, sign) for sign in signs))
        np.testing.assert_array_equal(turned.raw, raw[at])
        np.testing.assert_array_equal(turned.labels, labels[at])
        np.testing.assert_array_equal(turned.mask, mask[at])
        assert turned.mask.dtype == bool


@pytest.mark.parametrize(
    ("shape", "voxel_size", "around_z", "around_all"),
    [
        ((4, 6, 6), (8.0, 8.0, 8.0), 4, 8),
        ((6, 6, 6), (8.0, 8.0, 8.0), 4, 24),
        ((6, 6, 6), (40.0, 8.0, 8.0), 4, 8),
        ((6, 6, 6), (40.0, 8.0, 9.0), 2, 4),
        ((4, 5, 6), (8.0, 8.0, 8.0), 2, 4),
    ],
)
def test_turns_keep_extent_and_voxel_size(shape, voxel_size, around_z, around_all):
    patch = make(shape, voxel_size=voxel_size)
    quarters = distinct(augmentations.quarter_turns(), patch)
    assert len(quarters) == around_z
    expected = {
        np.ascontiguousarray(np.rot90(patch.raw, k, (-2, -1))).tobytes()
        for k in (range(4) if around_z == 4 else (0, 2))
    }
    assert quarters == expected
    assert len(distinct(augmentations.quarter_turns(axes="all"), patch)) == around_all


def test_turns_form_a_group_without_mirror_images():
    turns = turns_of((0, 0, 0), False)
    assert turns[0] == ((0, 1, 2), (1, 1, 1))
    matrices = [np.eye(3)[list(order)] * np.array(signs)[:, None] for order, signs in turns]
    assert all(round(np.linalg.det(matrix)) == 1 for matrix in matrices)
    known = {matrix.tobytes() for matrix in (m + 0.0 for m in matrices)}
    assert {(a @ b + 0.0).tobytes() for a in matrices for b in matrices} == known


@given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0, 1))
def test_brightness_only_shifts(seed, strength):
    patch = make()
    augment = augmentations.intensity(brightness=strength, contrast=0.0, gamma=0.0, noise=0.0)
    difference = augment(patch, np.random.default_rng(seed)).raw - patch.raw
    assert np.ptp(difference) < 1e-3
    assert abs(difference.mean()) <= strength + 1e-3


@given(seed=st.integers(0, 2**32 - 1))
def test_contrast_keeps_the_mean_and_gamma_the_range(seed):
    raw = np.random.default_rng(seed).normal(0, 1, (1, 4, 6, 6)).astype(np.float32)
    patch = replace(make(channels=1), raw=raw)
    stretched = augmentations.intensity(brightness=0.0, contrast=0.5, gamma=0.0, noise=0.0)
    result = stretched(patch, np.random.default_rng(seed)).raw
    assert result.mean() == pytest.approx(raw.mean(), abs=1e-5)
    assert 0.49 <= result.std() / raw.std() <= 1.51
    bent = augmentations.intensity(brightness=0.0, contrast=0.0, gamma=1.0, noise=0.0)
    result = bent(patch, np.random.default_rng(seed)).raw
    assert (result.min(), result.max()) == pytest.approx((raw.min(), raw.max()), abs=1e-5)
    assert (np.diff(result.ravel()[np.argsort(raw, None)]) >= -1e-6).all()


def test_noise_is_as_strong_as_asked_and_differs_between_voxels():
    patch = replace(make(channels=1), raw=np.zeros((1, 16, 32, 32), np.float32))
    noisy = augmentations.intensity(brightness=0.0, contrast=0.0, gamma=0.0, noise=0.5)
    deviations = [noisy(patch, np.random.default_rng(seed)).raw.std() for seed in range(40)]
    assert max(deviations) <= 0.52
    assert 0.15 < np.mean(deviations) < 0.35


def test_shot_noise_grows_with_the_root_of_the_brightness():
    raw = np.repeat(np.linspace(0, 1, 5, dtype=np.float32), 40_000).reshape(1, 5, 200, 200)
    patch = replace(make(channels=1), raw=raw)
    noisy = augmentations.intensity(brightness=0.0, contrast=0.0, gamma=0.0, noise=0.0, shot=0.5)
    deviations = (noisy(patch, np.random.default_rng(3)).raw - raw).std((0, 2, 3))
    assert deviations[0] == 0
    assert deviations[1:] == pytest.approx(deviations[-1] * np.sqrt([0.25, 0.5, 0.75, 1]), rel=0.03)


def test_noise_is_normal_and_without_memory():
    patch = replace(make(channels=1), raw=np.zeros((1, 32, 128, 128), np.float32))
    noisy = augmentations.intensity(brightness=0.0, contrast=0.0, gamma=0.0, noise=1.0)
    grain = noisy(patch, np.random.default_rng(0)).raw.ravel().astype(np.float64)
    grain /= grain.std()
    assert abs(grain.mean()) < 0.01
    shares = [np.mean(grain < limit) for limit in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    assert shares == pytest.approx([0.02275, 0.15866, 0.5, 0.84134, 0.97725], abs=0.003)
    for step in (1, 2, 1024, 2048):
        assert abs(np.mean(grain[step:] * grain[:-step])) < 0.01
        assert abs(np.corrcoef(np.abs(grain[step:]), np.abs(grain[:-step]))[0, 1]) < 0.01
    again = noisy(patch, np.random.default_rng(1)).raw.ravel()
    assert abs(np.corrcoef(grain, again)[0, 1]) < 0.01


@pytest.mark.parametrize("power", [0.5, 0.9, 1.1, 2.0])
def test_gamma_is_a_power(power):
    class Fixed:
        """A generator whose draws are known."""

        def uniform(self, *_):
            return np.array([0.0, 0.0, np.log(power)])

        def random(self, n):
            return np.zeros(n)

        def integers(self, *_):
            return np.zeros(2, np.uint32)

    raw = np.linspace(-2, 3, 4096, dtype=np.float32).reshape(1, 16, 16, 16)
    bent = augmentations.intensity(brightness=0.0, contrast=0.0, gamma=1.0, noise=0.0)
    result = bent(replace(make(channels=1), raw=raw), Fixed()).raw
    assert np.allclose(result, 5 * ((raw + 2) / 5.0) ** power - 2, atol=2e-5)


@pytest.mark.parametrize("name", ["intensity", "slices", "cutout", "blur", "low_resolution"])
def test_no_strength_means_no_change(name):
    off = {
        "intensity": {"brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "noise": 0.0},
        "slices": {"missing": 0.0, "contrast": 0.0, "defocus": 0.0, "jitter": 0.0, "slip": 0.0},
    }.get(name, {"probability": 0.0})
    patch = make()
    result = getattr(augmentations, name)(**off)(patch, np.random.default_rng(0))
    for what in ("raw", "labels", "mask"):
        assert np.array_equal(getattr(result, what), getattr(patch, what))


def test_channels_change_together_unless_asked_otherwise():
    patch = replace(make(), raw=np.zeros((2, 4, 6, 6), np.float32))
    for per_channel in (False, True):
        shift = augmentations.intensity(contrast=0.0, gamma=0.0, noise=0.0, per_channel=per_channel)
        first, second = shift(patch, np.random.default_rng(0)).raw[:, 0, 0, 0]
        assert (first != second) == per_channel


def test_a_constant_image_stays_finite():
    patch = replace(make(), raw=np.full((2, 4, 6, 6), 3, np.float32))
    result = augmentations.intensity(noise=0.0)(patch, np.random.default_rng(0)).raw
    assert np.ptp(result) == 0


def test_blur_is_as_wide_in_space_along_every_axis():
    raw = np.zeros((1, 17, 33, 33), np.float32)
    raw[0, 8, 16, 16] = 1
    patch = Patch(raw, raw[0], raw[0] > 0, (20.0, 10.0, 10.0))
    result = augmentations.blur(sigma=4.0, probability=1.0)(patch, np.random.default_rng(4)).raw[0]
    assert result.sum() == pytest.approx(1, abs=1e-4)
    z, _, x = np.indices(result.shape)
    wide, tall = (result * (x - 16.0) ** 2).sum(), (result * (z - 8.0) ** 2).sum()
    assert wide > 1
    assert result[8, 16, 16] < 1
    assert tall * 4 == pytest.approx(wide, rel=0.1)
    never = augmentations.blur(probability=0.0)(patch, np.random.default_rng(3))
    assert np.array_equal(never.raw, raw)


@pytest.mark.parametrize("shape", [(9, 33, 40), (1, 17, 20), (2, 3, 50)])
@pytest.mark.parametrize("sigma", [(0.5, 1.3, 2.0), (3.0, 6.0, 9.0)])
def test_blur_is_that_of_scipy(shape, sigma):
    raw = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    expected = np.stack([gaussian_filter(image, sigma, mode="mirror", truncate=3) for image in raw])
    assert np.allclose(blurred(raw, list(sigma)), expected, atol=1e-5)


@given(length=st.integers(1, 80), factor=st.floats(1.01, 20))
def test_resampling_keeps_what_is_flat_and_averages_what_is_not(length, factor):
    first, weights = resampling(length, factor)
    columns = first[:, None] + np.arange(weights.shape[1])
    assert columns.min() >= 0
    assert columns.max() < length
    matrix = np.zeros((length, length))
    matrix[np.arange(length)[:, None], columns] = weights
    few = max(round(length / factor), 1)
    edges, at = np.linspace(0, length, few + 1), np.arange(length)
    shares = np.clip(np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at), 0, None)
    place = np.clip((at + 0.5) * few / length - 0.5, 0, few - 1)
    up = np.clip(1 - np.abs(place[:, None] - np.arange(few)), 0, None)
    assert np.allclose(matrix, up @ (shares / shares.sum(1, keepdims=True)), atol=1e-6)
    assert np.allclose(matrix.sum(1), 1, atol=1e-5)


def test_low_resolution_leaves_axes_that_are_coarse_already():
    raw = np.random.default_rng(0).normal(size=(1, 8, 32, 32)).astype(np.float32)
    patch = Patch(raw, raw[0], raw[0] > 0, (40.0, 8.0, 8.0))
    result = augmentations.low_resolution(factor=4.0, probability=1.0)(patch, np.random.default_rng(0))
    assert result.raw.std() < 0.8 * raw.std()
    spots = np.zeros_like(raw)
    spots[:, 4] = 1
    flat = augmentations.low_resolution(factor=4.0, probability=1.0)(
        replace(patch, raw=spots), np.random.default_rng(0)
    )
    assert np.allclose(flat.raw, spots, atol=1e-6)


def test_the_registry_validates_options(isolated_plugins):
    segkit.register(augmentations, "augmentations")
    assert set(segkit.augmentations) == {
        "blur",
        "cutout",
        "deform",
        "flips",
        "intensity",
        "low_resolution",
        "quarter_turns",
        "slices",
    }
    for component in segkit.augmentations.values():
        assert all(parameter.help for parameter in component.parameters)
    with pytest.raises(UsageError, match="contrast"):
        segkit.augmentations["intensity"](contrast=1.0)
