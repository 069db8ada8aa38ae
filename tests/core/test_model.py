"""Models: packages that hold data only, and predictions that do not depend on how they are asked for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from segkit import Model, Volume
from segkit.errors import DataError, SegkitWarning
from segkit.geometry import Box
from segkit.recipe import Recipe
from segkit.training import fit


@pytest.fixture
def model(recipe_tables, tmp_path) -> Model:
    recipe_tables["training"] = {"steps": 2, "validate_every": 2}
    fit(Recipe.from_mapping(recipe_tables), tmp_path / "run")
    return Model.load(tmp_path / "run")


@pytest.fixture
def image(rng) -> Volume:
    return Volume.from_array(rng.integers(0, 255, (21, 30, 26), np.uint8), voxel_size=(10.0, 10.0, 10.0))


def test_blocks_and_halo_give_what_the_whole_volume_gives(model, image):
    """The receptive field of the tiny network is 5 voxels; a halo of 2 holds all of it."""
    whole = model(image, block_shape=(21, 30, 26), halo=(0, 0, 0)).read()
    inner = (slice(None), slice(2, -2), slice(2, -2), slice(2, -2))  # at the borders zeros meet reflections
    for block in [(8, 8, 8), (5, 30, 7), (21, 11, 26)]:
        blocks = model(image, block_shape=block, halo=(2, 2, 2)).read()
        np.testing.assert_allclose(blocks[inner], whole[inner], atol=1e-6)


def test_a_voxel_is_the_same_whoever_asks(model, image):
    prediction = model(image, block_shape=(8, 8, 8))
    everything = prediction.read()
    box = Box((3, 9, 2), (15, 10, 24))
    np.testing.assert_array_equal(model(image, block_shape=(8, 8, 8)).read(box), everything[(slice(None), *box.slices)])
    np.testing.assert_array_equal(prediction[0, 20, ::3, -1], everything[0, 20, ::3, -1])
    assert everything.shape == (1, 21, 30, 26)
    assert prediction.channel_names == ("foreground",)
    assert prediction.voxel_size == image.voxel_size


def test_nothing_is_computed_until_it_is_asked_for(model, image):
    seen = []
    model.network.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    prediction = model(image, block_shape=(8, 8, 8), halo=(2, 2, 2))
    assert not seen
    prediction.read(Box((0, 0, 0), (8, 8, 9)))
    assert seen == [48]  # tiles as small as these are all computed at once
    prediction.read(Box((1, 1, 1), (7, 7, 7)))
    assert seen == [48]


def test_what_an_image_says_of_its_place_is_said_of_its_prediction(model, image):
    place = {"crs": "EPSG:32633", "nodata": 0.0}
    placed = replace(image, metadata={"georeference": place, "complete": False, "band": "B8"})
    assert model(placed).metadata == {"georeference": {"crs": "EPSG:32633", "nodata": None}, "band": "B8"}


def test_voxels_that_are_not_finite_do_not_spread(model, rng):
    raw = rng.normal(100, 20, (16, 16, 16)).astype(np.float32)
    raw[5, 5, 5] = np.nan
    assert np.isfinite(model(Volume.from_array(raw)).read()).all()


def test_a_package_predicts_the_same_after_a_round_trip(model, image, tmp_path):
    model.save(tmp_path / "copy")
    np.testing.assert_array_equal(Model.load(tmp_path / "copy")(image).read(), model(image).read())
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["model.json", "weights.safetensors"]


def test_other_channels_are_refused_and_another_scale_is_warned_about(model, image):
    with pytest.raises(DataError, match="takes images with 1 channels, but array has 3"):
        model(np.zeros((3, 8, 8, 8), np.uint8))
    with pytest.warns(SegkitWarning, match="trained at a voxel size"):
        model(Volume.from_array(np.zeros((8, 8, 8)), voxel_size=(40.0, 10.0, 10.0)))


def test_a_broken_package_is_refused_in_words(model, tmp_path):
    with pytest.raises(DataError, match="no trained model at"):
        Model.load(tmp_path)
    package = tmp_path / "run" / "model"
    weights = (package / "weights.safetensors").read_bytes()
    for damaged in (weights[: len(weights) // 2], bytes([*weights[:-1], weights[-1] ^ 1]), b""):
        (package / "weights.safetensors").write_bytes(damaged)
        with pytest.raises(DataError, match="incomplete or damaged"):
            Model.load(package)
    (package / "weights.safetensors").unlink()
    with pytest.raises(DataError, match="is missing"):
        Model.load(package)
    (package / "weights.safetensors").write_bytes(weights)
    description = json.loads((package / "model.json").read_text())
    for change in ({"schema": 99}, {"normalization": 3}, {"voxel_size": []}, {"task": {}}):
        (package / "model.json").write_text(json.dumps(description | change))
        with pytest.raises(DataError, match=r"schema 99|lacks or garbles"):
            Model.load(package)
    (package / "model.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        Model.load(package)


def test_weights_of_another_architecture_are_refused(model, tmp_path):
    package = tmp_path / "run" / "model"
    description = json.loads((package / "model.json").read_text())
    description["architecture"]["options"]["width"] = 9
    (package / "model.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="do not fit the architecture 'tiny:net'"):
        Model.load(package)
