"""Segmenters for the tasks that tell touching objects apart: what a perfect prediction comes back as, and refusals."""

from pathlib import Path

import cc3d
import h5py
import numpy as np
import pytest

import segkit
from segkit import Volume, segment
from segkit.contracts import Patch, Segmenter
from segkit.errors import DataError
from segkit.metrics import Contingency, variation_of_information
from segkit.registry import registries
from segkit.testing import check_segmenter
from segkit_segmenters._agglomerated import linked

TASKS, SEGMENTERS = registries["tasks"], registries["segmenters"]
FIB25 = Path(__file__).parents[2] / "examples" / "data" / "fib25" / "fib25_crop.h5"
OFFSETS = (-1, 0, 0, 0, -1, 0, 0, 0, -1, 0, 0, -4, 0, -4, 0, -4, 0, 0)


def parts(labels):
    return cc3d.connected_components(np.ascontiguousarray(labels), connectivity=6).astype(np.uint64)


@pytest.fixture(scope="module")
def neurites():
    """Bodies that touch everywhere, uint64, each in one piece: ``(40, 48, 48)`` at 10 nm."""
    with h5py.File(FIB25) as file:
        labels = file["labels"][40:80, 60:108, 60:108]
    return parts(cc3d.dust(parts(labels), threshold=60))


def balls(size):
    """Touching balls of 12 nm radius and background, ``(Z, 48, 48)``."""
    shape = (int(48 / size[0]), 48, 48)
    place = np.stack(np.meshgrid(*[np.arange(n) * v for n, v in zip(shape, size)], indexing="ij"), -1)
    centres = [(14, 13, 14), (14, 13, 33), (15, 33, 24), (34, 20, 20), (34, 35, 38)]
    depth = np.stack([11 - np.linalg.norm(place - np.array(c), axis=-1) for c in centres])
    return np.where(depth.max(0) > 0, depth.argmax(0) + 1, 0).astype(np.uint64)


def perfect(task, labels, size):
    """What a network without fault would predict, as if it had seen beyond the borders."""
    task = TASKS[task[0]](**task[1])
    around = np.pad(labels, ((1, 1),) * 3) if labels.shape[0] > 1 else np.pad(labels, ((0, 0), (1, 1), (1, 1)))
    if not task.channel_names[-1].startswith("to_centre"):
        around = labels
    target, _ = task.target(
        Patch(np.zeros((1, *around.shape), np.float32), around, np.ones(around.shape, bool), size, "perfect")
    )
    inner = tuple(slice((a - n) // 2, (a + n) // 2) for a, n in zip(around.shape, labels.shape))
    target = target[:, *inner].copy()
    if task.channel_names[-1].startswith("to_centre"):
        target[1:] *= 10
    apart = [i for i, name in enumerate(task.channel_names) if name.startswith("affinity_")]
    target[apart] = 1 - target[apart]
    return Volume.from_array(target, axes="czyx", voxel_size=size, channel_names=task.channel_names)


def voi(found, labels):
    table = Contingency()
    table.update(found, labels)
    return sum(variation_of_information(table.overlaps()))


CENTRES, AFFINITIES = ("centre_offsets", {}), ("affinities", {"custom_offsets": OFFSETS})
PLANAR = ("affinities", {"offsets": "planar"})
ANISOTROPIC = ("affinities", {"offsets": "anisotropic"})
IN_PLANE = {"in_plane_only": True}


@pytest.mark.parametrize(
    ("task", "segmenter", "options", "limit"),
    [
        (AFFINITIES, "mutex_watershed", {}, 0.001),
        (("affinities", {}), "mutex_watershed", {}, 0.001),
        (AFFINITIES, "mutex_watershed", {"strides": (1, 1, 1)}, 0.001),
        (AFFINITIES, "mutex_watershed", {"strides": (2, 2, 2)}, 0.01),
        (AFFINITIES, "agglomeration", {}, 0.001),
        (CENTRES, "centres", {}, 0.001),
        (("boundaries", {}), "watershed", {"neck": 0.0}, 0.3),
        (("distances", {}), "distance_watershed", {}, 0.4),
    ],
)
def test_neurites_come_back(neurites, task, segmenter, options, limit):
    found = segment(perfect(task, neurites, (10.0, 10.0, 10.0)), segmenter, options=options).read()
    assert found.dtype == np.uint64
    assert voi(found, neurites) < limit


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
@pytest.mark.parametrize(
    ("task", "segmenter", "options"),
    [
        (("boundaries", {}), "watershed", {"neck": 0.7}),
        (("distances", {}), "distance_watershed", {"neck": 0.7, "smoothing": 1.0}),
        (("distances", {"signed": True}), "distance_watershed", {"neck": 0.7, "smoothing": 1.0}),
        (ANISOTROPIC, "mutex_watershed", {}),
        (ANISOTROPIC, "agglomeration", {}),
        (CENTRES, "centres", {}),
    ],
)
def test_balls_come_back(task, segmenter, options, size):
    labels = balls(size)
    found = segment(perfect(task, labels, size), segmenter, options=options).read()
    assert found.max() == labels.max()
    assert voi(found, labels) < 0.1
    assert np.mean((found > 0) == (labels > 0)) > 0.999


@pytest.mark.parametrize(
    ("task", "segmenter", "options", "limit"),
    [
        (("boundaries", IN_PLANE), "watershed", {"neck": 0.0}, 0.15),
        (("distances", IN_PLANE), "distance_watershed", {}, 0.25),
        (PLANAR, "mutex_watershed", {}, 0.02),
        (PLANAR, "agglomeration", {}, 0.02),
        (("centre_offsets", IN_PLANE), "centres", {}, 0.05),
    ],
)
def test_single_slices_come_back(neurites, task, segmenter, options, limit):
    labels = parts(cc3d.dust(parts(neurites[20:21]), threshold=20))
    found = segment(perfect(task, labels, (10.0, 10.0, 10.0)), segmenter, options=options).read()
    assert voi(found, labels) < limit


def test_noise_leaves_objects_whole(neurites):
    rng = np.random.default_rng(0)
    prediction = perfect(AFFINITIES, neurites, (10.0, 10.0, 10.0))
    noisy = (0.15 + 0.7 * prediction.read() + rng.normal(0, 0.1, prediction.shape)).clip(0, 1).astype(np.float32)
    noisy[0] = 1
    noisy_prediction = prediction.with_array(noisy, "czyx", channel_names=prediction.channel_names)
    for name in ("mutex_watershed", "agglomeration"):
        assert voi(segment(noisy_prediction, name).read(), neurites) < 0.05


@pytest.mark.parametrize("name", ["mutex_watershed", "agglomeration", "distance_watershed", "centres"])
def test_contracts(name):
    segmenter = SEGMENTERS[name](halo=(1, 2, 3))
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.halo, segmenter.stitching) == ((1, 2, 3), "overlap")
    check_segmenter(SEGMENTERS[name])
    channels = {"distance_watershed": 1, "centres": 4}.get(name, 10)
    assert SEGMENTERS[name]()(np.zeros((channels, 3, 4, 5), np.float32), (1, 1, 1)).max() == 0


def test_offsets_are_read_from_the_names_of_channels(neurites, tmp_path):
    """In whatever order they come, also from a store, and told by hand where there are no names."""
    prediction = perfect(AFFINITIES, neurites[:16], (10.0, 10.0, 10.0))
    expected = segment(prediction, "mutex_watershed").read()
    segkit.write_volume(prediction, tmp_path / "prediction.zarr")
    np.testing.assert_array_equal(segment(tmp_path / "prediction.zarr", "mutex_watershed").read(), expected)
    order = [5, 0, 3, 2, 6, 1, 4]
    names = tuple(prediction.channel_names[i] for i in order)
    shuffled = prediction.with_array(prediction.read()[order], "czyx", channel_names=names)
    assert voi(segment(shuffled, "mutex_watershed").read(), expected) == 0
    nameless = prediction.read()
    told = segment(nameless, "mutex_watershed", options={"custom_offsets": OFFSETS}).read()
    np.testing.assert_array_equal(told, expected)


REFUSALS = [
    ("watershed", ("affinities", {}), "reads channels 'object' and 'boundary'.*segmenter 'mutex_watershed'"),
    ("watershed", ("distances", {}), "Choose the segmenter 'distance_watershed'"),
    ("distance_watershed", ("boundaries", {}), "task 'distances'.*Choose the segmenter 'watershed'"),
    ("centres", ("boundaries", {}), "task 'centre_offsets'"),
    ("mutex_watershed", ("centre_offsets", {}), "task 'affinities'.*Choose the segmenter 'centres'"),
    ("agglomeration", ("semantic", {}), "Choose the segmenter 'components'"),
]


@pytest.mark.parametrize(("name", "task", "words"), REFUSALS)
def test_what_another_task_made_is_refused(name, task, words):
    names = TASKS[task[0]](**task[1]).channel_names
    prediction = Volume.from_array(np.zeros((len(names), 4, 8, 8), np.float32), axes="czyx", channel_names=names)
    with pytest.raises(DataError, match=words):
        segment(prediction, name)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("watershed", 3), ("distance_watershed", 2), ("centres", 5), ("mutex_watershed", 9), ("agglomeration", 3)],
)
def test_other_numbers_of_channels_are_refused(name, channels):
    with pytest.raises(DataError, match=f"has {channels} channels, and the segmenter '{name}' reads"):
        segment(np.zeros((channels, 4, 8, 8), np.float32), name)


def test_neighbours_alone_are_not_enough_for_mutexes():
    prediction = np.ones((3, 4, 8, 8), np.float32)
    options = {"custom_offsets": OFFSETS[:9]}
    with pytest.raises(DataError, match="needs far.*'agglomeration'"):
        segment(prediction, "mutex_watershed", options=options)
    assert segment(prediction, "agglomeration", options=options).read().max() == 1


def test_small_pieces_go_to_a_neighbour_or_vanish():
    labels = np.ones((6, 16, 16), np.uint64)
    labels[2:4, 4:6, 4:6] = 2
    labels[:, :, 10:] = 0
    labels[4, 13, 13] = 3
    prediction = perfect(("affinities", {"custom_offsets": OFFSETS}), labels, (1.0, 1.0, 1.0))
    whole = segment(prediction, "mutex_watershed", options={"absorb_below": 0}).read()
    np.testing.assert_array_equal(whole == 0, labels == 0)
    assert whole.max() == 3
    found = segment(prediction, "mutex_watershed").read()
    np.testing.assert_array_equal(found, labels * 0 + ((labels == 1) | (labels == 2)))


def test_strong_edges_hold_parts_together():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (5, 6, 7)).astype(np.uint32)
    edges = np.zeros((3, *labels.shape), bool)
    for axis in range(3):
        along, edge = np.moveaxis(labels, axis, 0), np.moveaxis(edges[axis], axis, 0)
        edge[1:] = along[1:] == along[:-1]
    found, expected = linked(edges, labels != 0), parts(labels)
    pairs = {(int(a), int(b)) for a, b in zip(found.ravel(), expected.ravel())}
    assert len(pairs) == expected.max() + 1 == len({a for a, _ in pairs})


@pytest.mark.parametrize(
    ("task", "name"), [(AFFINITIES, "mutex_watershed"), (AFFINITIES, "agglomeration"), (CENTRES, "centres")]
)
def test_blocks_change_nothing(neurites, tmp_path, task, name):
    """What is cut at once is a matter of the volume; stored or not, in whatever blocks, the objects are the same."""
    neurites = parts(cc3d.dust(parts(neurites[:30, :, 8:]), threshold=60))
    prediction = perfect(task, neurites, (10.0, 10.0, 10.0))

    class Small:
        """The segmenter, for a volume that does not fit."""

        cell_voxels, halo, stitching = 26**3, (8, 8, 8), "overlap"

        def __init__(self):
            self.inner = SEGMENTERS[name]().for_channels(prediction.channel_names)

        def __call__(self, voxels, voxel_size):
            return self.inner(voxels, voxel_size)

    found = segment(prediction, Small()).read()
    assert len(np.unique(found)) > 1
    stored = segment(prediction, Small(), tmp_path / "found.zarr", block_shape=(16, 32, 48))
    np.testing.assert_array_equal(stored.read(), found)
    if task is AFFINITIES:  # an object's centre may lie beyond what a small cell sees
        assert voi(found, neurites) < 0.02
