"""What napari's save dialog writes through segkit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.errors import DataError
from segkit.tracing import Trace, read_swc


def test_tracks_are_saved_as_the_traces_they_are_of(viewer, tmp_path: Path) -> None:
    from napari.layers import Layer

    from napari_segkit.layers._tracks import tracks_of
    from napari_segkit.layers._writers import write_tracks

    fork = Trace(
        np.array([[0, 0, 0], [40, 0, 0], [80, 0, 16], [80, 32, 0]]), [[0, 1], [1, 2], [1, 3]], np.ones(4), 90003
    )
    line = Trace(np.array([[-400, 0, 0], [-400, 0, 160]]), [[0, 1]], np.ones(2), 7)
    layer = viewer.add_layer(Layer.create(*tracks_of([fork, line], voxel_size=(40, 16, 16), offset=(40, 0, 0))))
    data, attributes, _ = layer.as_layer_data_tuple()
    assert write_tracks(str(tmp_path / "a.swc"), data, attributes) == [str(tmp_path / "a.swc")]
    back = {trace.id: trace for trace in read_swc(tmp_path / "a.swc")}
    assert back.keys() == {90003, 7}
    assert back[90003].unit == "nm"
    assert back[90003].cable_length == pytest.approx(fork.cable_length)
    assert (back[90003].branches, back[90003].tips) == (1, 3)
    np.testing.assert_allclose(np.sort(back[7].nodes, axis=0), line.nodes)


def test_tracks_of_other_plugins_are_one_trace(viewer, tmp_path: Path) -> None:
    from napari_segkit.layers._writers import write_tracks

    layer = viewer.add_tracks(np.array([[0, 0, 1, 1, 1], [0, 1, 2, 2, 1]], float))
    with pytest.raises(DataError, match="4 axes"):
        write_tracks(str(tmp_path / "a.swc"), *layer.as_layer_data_tuple()[:2])
    layer = viewer.add_tracks(np.array([[0, 0, 1, 1], [0, 1, 2, 2], [1, 5, 5, 5], [1, 6, 5, 5]], float))
    write_tracks(str(tmp_path / "a.swc"), *layer.as_layer_data_tuple()[:2])
    (back,) = read_swc(tmp_path / "a.swc")
    assert back.unit == "voxel"
    assert back.components == 2


def test_labels_are_saved_with_their_position(viewer, tmp_path: Path, labels_volume) -> None:
    from napari.layers import Layer

    from napari_segkit.layers._layers import layers_of
    from napari_segkit.layers._writers import write_labels

    (made,) = layers_of(labels_volume, name="labels")
    layer = viewer.add_layer(Layer.create(*made))
    target = tmp_path / "labels.zarr"
    assert write_labels(str(target), *layer.as_layer_data_tuple()[:2]) == [str(target)]
    back = segkit.open_volume(target)
    np.testing.assert_array_equal(back.read(), labels_volume.read())
    assert (back.voxel_size, back.offset, back.unit) == (
        labels_volume.voxel_size,
        labels_volume.offset,
        labels_volume.unit,
    )
    assert back.metadata.get("kind") in (None, "labels", "segmentation")
    # Saved once more from what was opened there, it would eat itself.
    shown = viewer.add_layer(Layer.create(*layers_of(back, name="back")[0]))
    with pytest.raises(DataError, match="itself"):
        write_labels(str(target), *shown.as_layer_data_tuple()[:2])
