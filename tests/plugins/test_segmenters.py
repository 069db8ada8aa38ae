"""The built-in segmenters: components, and the watershed for objects that touch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segkit import Volume, segment
from segkit.contracts import Segmenter
from segkit.errors import DataError
from segkit_segmenters import components, watershed


def balls(shape, centres, radii, voxel_size=(1, 1, 1)) -> np.ndarray:
    """Ids ``(Z, Y, X)``; a voxel belongs to the ball whose surface it is deepest inside of."""
    place = np.indices(shape).transpose(1, 2, 3, 0) * np.array(voxel_size)
    depth = np.stack([r - np.linalg.norm(place - np.array(c), axis=-1) for c, r in zip(centres, radii)])
    return np.where(depth.max(0) > 0, depth.argmax(0) + 1, 0)


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    """Part of the voxels of true objects that lie in the one found object which covers most of each."""
    names = [np.bincount(found[truth == i])[1:] for i in range(1, truth.max() + 1)]
    best = [int(n.argmax()) for n in names]
    assert len(set(best)) == len(best)
    return sum(int(n.max()) for n in names) / int((truth > 0).sum())


CENTRES = [(10, 10, 10), (10, 10, 22), (10, 22, 14), (21, 16, 16)]
RADII = [7, 7, 6, 6]


@pytest.fixture
def truth() -> np.ndarray:
    return balls((30, 32, 32), CENTRES, RADII)


def prediction_of(truth: np.ndarray) -> np.ndarray:
    """Two channels: objects, and the boundaries between them."""
    lowest = ndimage.minimum_filter(np.where(truth > 0, truth, truth.max()), 3)
    borders = (truth > 0) & (ndimage.maximum_filter(truth, 3) > lowest)
    boundary = ndimage.gaussian_filter(borders.astype(np.float32), 0.7)
    return np.stack([(truth > 0).astype(np.float32), boundary])


def test_contracts() -> None:
    assert isinstance(components(), Segmenter)
    assert isinstance(watershed(), Segmenter)
    assert (components().stitching, components(connectivity=26).connectivity) == ("touching", 26)
    assert (watershed().stitching, watershed(halo=(1, 2, 3)).halo) == ("overlap", (1, 2, 3))


def test_components_of_a_channel() -> None:
    prediction = np.random.default_rng(0).random((2, 9, 10, 11)).astype(np.float32)
    for connectivity, rank in ((6, 1), (18, 2), (26, 3)):
        cutter = components(threshold=0.7, channel=1, connectivity=connectivity)
        expected = ndimage.label(prediction[1] > 0.7, ndimage.generate_binary_structure(3, rank))[0]
        np.testing.assert_array_equal(segment(prediction, cutter).read(), expected)
        np.testing.assert_array_equal(segment(prediction, cutter, block_shape=(4, 4, 4)).read(), expected)
    with pytest.raises(DataError, match="no channel 2"):
        components(channel=2)(prediction, (1, 1, 1))


def test_touching_balls_are_separated_by_shape_alone(truth) -> None:
    found = watershed()((truth > 0)[None].astype(np.float32), (1, 1, 1))
    assert found.max() == 4
    assert agreement(found, truth) > 0.95
    assert ((found > 0) == (truth > 0)).all()


def test_a_boundary_map_separates_exactly(truth) -> None:
    found = watershed()(prediction_of(truth), (1, 1, 1))
    assert found.max() == 4
    assert agreement(found, truth) > 0.97
    assert ((found > 0) == (truth > 0)).all()  # seeds grow over the boundary, up to each other


@pytest.mark.parametrize("block", [(30, 32, 16), (15, 16, 16), (10, 11, 11), (30, 20, 20), (12, 32, 9)])
def test_blocks_change_little(truth, block) -> None:
    prediction = prediction_of(truth)
    found = segment(prediction, watershed(halo=(8, 8, 8)), block_shape=block).read()
    whole = segment(prediction, watershed(halo=(8, 8, 8))).read()
    assert found.max() == whole.max() == 4
    assert agreement(found, truth) > 0.95
    assert agreement(found, whole.astype(np.int64)) > 0.97


def test_a_wavy_tube_stays_one_object() -> None:
    z, y, x = np.indices((20, 20, 60))
    radius = 5.5 + 0.7 * np.sin(x / 4)
    tube = ((z - 10) ** 2 + (y - 10) ** 2 < radius**2).astype(np.float32)[None]
    assert watershed()(tube, (1, 1, 1)).max() == 1
    assert watershed(neck=0)(tube, (1, 1, 1)).max() == 1
    assert watershed(neck=1)(tube, (1, 1, 1)).max() > 1


def test_anisotropic_voxels() -> None:
    voxel_size = (4.0, 1.0, 1.0)
    truth = balls((12, 40, 40), [(20, 15, 14), (20, 24, 27)], [9, 9], voxel_size)
    found = watershed(neck=0.7)((truth > 0)[None].astype(np.float32), voxel_size)
    assert found.max() == 2
    assert agreement(found, truth) > 0.95


def test_dense_tissue_and_flat_images() -> None:
    boundary = np.zeros((1, 40, 40), np.float32)
    boundary[0, 20] = boundary[0, :, 13] = 1
    dense = np.stack([np.ones_like(boundary), boundary])
    found = watershed(threshold=0)(dense, (1, 1, 1))
    assert found.max() == 4
    assert (found > 0).all()
    volume = Volume.from_array(dense)
    assert segment(volume, watershed(), block_shape=(1, 16, 16)).read().max() == 4


def test_thin_objects_and_nothing() -> None:
    thin = np.zeros((1, 9, 9, 20), np.float32)
    thin[0, 4, 4, 2:18] = 1
    thin[0, 1:8, 1:8, 12:] = 1
    assert watershed(min_radius=2)(thin, (1, 1, 1)).max() == 1
    assert watershed()(thin * 0, (1, 1, 1)).max() == 0
    assert watershed()(thin * 0 + 1, (1, 1, 1)).max() == 1


def test_faces_without_a_boundary_join_what_they_part() -> None:
    """A bar of four pieces with one real boundary in its middle becomes two objects."""
    objects = np.zeros((6, 8, 40), np.float32)
    objects[1:5, 1:7, 1:39] = 1
    boundary = np.full(objects.shape, 0.1, np.float32)
    boundary[:, :, 19:21] = 0.9
    for pinch in (10, 30):  # narrow places, of which the distance transform makes basins
        objects[:, :2, pinch] = objects[:, 6:, pinch] = 0
    prediction = np.stack([objects, boundary])
    many = watershed(neck=1.0)(prediction, (1.0, 1.0, 1.0))
    two = watershed(neck=1.0, merge_below=0.5)(prediction, (1.0, 1.0, 1.0))
    assert len(np.unique(many)) > 3
    assert len(np.unique(two)) == 3
    assert set(np.unique(two[:, :, :19])) & set(np.unique(two[:, :, 21:])) == {0}
    np.testing.assert_array_equal(two == 0, many == 0)
