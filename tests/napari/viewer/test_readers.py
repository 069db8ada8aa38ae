"""Opening files, stores and run folders through napari, with the real formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit import Trace, Volume, write_swc, write_volume
from segkit.errors import DataError


@pytest.fixture
def run(tmp_path: Path, raw_volume: Volume, labels_volume: Volume) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    write_volume(raw_volume, tmp_path / "image.zarr")
    write_volume(labels_volume, tmp_path / "cells.zarr")
    (folder / "run.json").write_text(json.dumps({"schema": 1}))
    lines = [
        "[dataset]",
        'name = "files"',
        f'raw = "{tmp_path / "image.zarr"}"',
        f'labels = "{tmp_path / "cells.zarr"}"',
    ]
    (folder / "recipe.toml").write_text("\n".join(lines))
    probability = raw_volume.with_array(np.zeros((2, *raw_volume.shape), np.float32), "czyx")
    write_volume(probability, folder / "prediction-image.zarr")
    write_volume(labels_volume, folder / "segmentation-image.zarr")
    (folder / "traces-image").mkdir()
    nodes = np.array([[0, 0, 0], [40, 16, 16], [80, 32, 32]], float)
    write_swc([Trace(nodes, np.array([[0, 1], [1, 2]]), np.ones(3), 5)], folder / "traces-image" / "5.swc")
    return folder


def test_a_run_folder_opens_with_all_it_holds(viewer, run: Path) -> None:
    layers = viewer.open(str(run), plugin="segkit-sdk")
    found = [(layer.name, type(layer).__name__) for layer in layers]
    assert found[0] == ("raw", "Image")
    assert found[1] == ("labels", "Labels")
    assert [kind for _, kind in found[2:]] == ["Image", "Image", "Labels", "Tracks"]
    assert len({tuple(layer.scale) for layer in layers}) == 1
    assert len({layer.units for layer in layers}) == 1
    assert not layers[1].visible
    assert layers[0].metadata["segkit"]["source"].endswith("image.zarr")
    assert {type(layer.data).__name__ for layer in layers} <= {"LazyView", "ndarray", "MultiScaleData"}


def test_what_is_broken_in_a_run_is_left_out(run: Path) -> None:
    from napari_segkit.layers._readers import layers_of_run

    (run / "segmentation-image.zarr" / "zarr.json").write_text("torn")
    (run / "traces-image" / "5.swc").write_text("1 0 nonsense")
    names = [arguments["name"] for _, arguments, _ in layers_of_run(run)]
    assert names[:2] == ["raw", "labels"]
    assert not any(name.startswith(("segmentation", "traces")) for name in names)


def test_an_empty_run_says_what_to_do(tmp_path: Path) -> None:
    from napari_segkit.layers._readers import layers_of_run

    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="nothing to show yet"):
        layers_of_run(tmp_path)


def test_stores_open_lazily_with_their_position(viewer, run: Path, raw_volume: Volume) -> None:
    [layer] = viewer.open(str(run.parent / "image.zarr"), plugin="segkit-sdk")
    assert tuple(layer.scale) == raw_volume.voxel_size
    assert layer.contrast_limits == [0, 255]
    np.testing.assert_array_equal(np.asarray(layer.data), raw_volume.read())


def test_napari_offers_segkit_for_its_files(run: Path) -> None:
    from npe2 import PluginManager

    def offered(path: Path) -> bool:
        readers = PluginManager.instance().iter_compatible_readers(str(path))
        return any(reader.command.startswith("segkit-sdk") for reader in readers)

    assert offered(run)
    assert offered(run.parent / "image.zarr")
    assert offered(run / "traces-image" / "5.swc")
    assert offered(Path("cells.h5"))
    assert not offered(Path("photo.png")), "napari's own reader is enough for single pictures"


def test_the_sample_opens_with_matching_labels(viewer) -> None:
    raw, labels = viewer.open_sample("segkit-sdk", "tiny_neurites")
    assert raw.data.shape == labels.data.shape
    assert tuple(raw.scale) == tuple(labels.scale)
    assert len(np.unique(labels.data)) > 10
