"""From volumes and traces to layers: position, units, limits, and how little is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit import Trace, Volume
from segkit.errors import DataError


class Counting:
    """An array of any size that counts the voxels it is asked for."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "uint16") -> None:
        self.shape, self.dtype, self.asked = shape, np.dtype(dtype), 0

    def __getitem__(self, key):
        shape = tuple(len(range(*part.indices(n))) for part, n in zip(key, self.shape, strict=True))
        self.asked += int(np.prod(shape))
        return np.broadcast_to(np.array(7, self.dtype), shape)


def pyramid(levels: int = 7, side: int = 16384) -> tuple[Volume, list[Counting]]:
    arrays = [Counting((4096 >> level, side >> level, side >> level)) for level in range(levels)]
    volumes = [
        Volume(
            array, voxel_size=(8.0 * 2**n, 8.0 * 2**n, 8.0 * 2**n), unit="nm", chunks=(64, 64, 64), source="big.zarr"
        )
        for n, array in enumerate(arrays)
    ]
    from dataclasses import replace

    return replace(volumes[0], levels=tuple(volumes[1:])), arrays


def test_layers_share_position_units_and_axes(viewer, add_volumes) -> None:
    for layer in viewer.layers:
        assert tuple(layer.scale) == (40.0, 16.0, 16.0)
        assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
        assert layer.axis_labels == ("z", "y", "x")
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels"]


def test_a_terabyte_is_opened_by_its_coarsest_level(viewer) -> None:
    from napari.layers import Layer

    from napari_segkit.layers._layers import layers_of

    volume, arrays = pyramid()
    [(data, arguments, kind)] = layers_of(volume)
    assert kind == "image"
    assert len(data) == 7
    assert [array.asked for array in arrays[:-1]] == [0] * 6
    assert arrays[-1].asked <= 2**21
    viewer.add_layer(Layer.create(data, arguments, kind))
    assert arrays[0].asked == 0


def test_a_step_through_a_large_volume_reads_one_slice(viewer) -> None:
    from napari.layers import Layer

    from napari_segkit.layers._layers import layers_of

    volume, arrays = pyramid(3, side=2048)
    [(data, arguments, kind)] = layers_of(volume)
    layer = viewer.add_layer(Layer.create(data, arguments, kind))
    before = [array.asked for array in arrays]
    viewer.dims.set_current_step(0, 1000)
    asked = [array.asked - was for array, was in zip(arrays, before, strict=True)]
    plane = np.prod(arrays[layer.data_level].shape[1:])
    assert sum(asked) <= 3 * 64 * plane, "one layer of chunks, for the image and its thumbnail"


@pytest.mark.parametrize(
    ("dtype", "name", "kind"),
    [
        ("uint8", "raw.zarr", "image"), ("uint16", "cells.tif", "image"), ("float32", "labels.zarr", "image"),
        ("uint64", "x.zarr", "labels"), ("int32", "x.tif", "labels"), ("uint8", "my_labels.tif", "labels"), ("bool", "x.npy", "labels"),
    ],
)  # fmt: skip
def test_labels_are_told_from_images(dtype: str, name: str, kind: str) -> None:
    from napari_segkit.layers._layers import layers_of

    [layer] = layers_of(Volume(np.zeros((2, 4, 4), dtype), source=f"/data/{name}"))
    assert layer[2] == kind
    assert ("contrast_limits" in layer[1]) == (kind == "image")


def test_what_the_file_says_of_its_kind_comes_first() -> None:
    from napari_segkit.layers._layers import layers_of

    volume = Volume(np.zeros((2, 4, 4), "u4"), source="x", metadata={"kind": "prediction"})
    assert layers_of(volume)[0][2] == "image"


def test_channels_become_layers() -> None:
    from napari_segkit.layers._layers import layers_of

    voxels = np.random.default_rng(0).random((3, 2, 4, 4), np.float32)
    found = layers_of(Volume(voxels, "czyx", source="p", channel_names=("z", "y", "x")), name="affinities")
    assert [arguments["name"] for _, arguments, _ in found] == ["affinities: z", "affinities: y", "affinities: x"]
    assert [arguments["visible"] for _, arguments, _ in found] == [True, False, False]
    np.testing.assert_array_equal(found[1][0], voxels[1])
    assert found[0][1]["contrast_limits"] == (0.0, 1.0)


def test_limits_of_odd_images_are_usable() -> None:
    from napari_segkit.layers._layers import contrast_limits

    assert contrast_limits(Volume(np.full((2, 4, 4), 9, "u2"))) == (9.0, 10.0)
    assert contrast_limits(Volume(np.full((2, 4, 4), np.nan, "f4"))) == (0.0, 1.0)
    assert contrast_limits(Volume(np.zeros((2, 4, 4), "u1"))) == (0.0, 255.0)
    low, high = contrast_limits(Volume(np.random.default_rng(0).normal(1000, 50, (4, 64, 64))))
    assert 800 < low < 900
    assert 1100 < high < 1200


def test_a_layer_becomes_the_volume_it_came_from(viewer, add_volumes, raw_volume) -> None:
    from napari_segkit.layers._layers import volume_of_layer

    volume = volume_of_layer(viewer.layers["raw"])
    assert (volume.voxel_size, volume.offset, volume.unit) == (raw_volume.voxel_size, raw_volume.offset, "nm")
    np.testing.assert_array_equal(volume.read(), raw_volume.read())
    layer = viewer.add_image(np.zeros((4, 8, 8)), scale=(0.04, 0.016, 0.016), units=("um",) * 3, translate=(1, 0, 0))
    assert volume_of_layer(layer).voxel_size == pytest.approx((40, 16, 16))
    assert volume_of_layer(layer).offset == pytest.approx((1000, 0, 0))
    assert volume_of_layer(viewer.add_image(np.zeros((8, 8)))).spatial_shape == (1, 8, 8)
    assert volume_of_layer(viewer.add_image(np.zeros((4, 8, 8)))).unit == "voxel"


def test_layers_that_are_no_volumes_say_why(viewer) -> None:
    from napari_segkit.layers._layers import volume_of_layer

    with pytest.raises(DataError, match="RGB"):
        volume_of_layer(viewer.add_image(np.zeros((8, 8, 3), "u1"), rgb=True))
    with pytest.raises(DataError, match="rotated"):
        volume_of_layer(viewer.add_image(np.zeros((4, 8, 8)), rotate=20))


def trace(number: int, nodes: list[list[float]]) -> Trace:
    edges = [[n, n + 1] for n in range(len(nodes) - 1)]
    return Trace(np.array(nodes, float), np.array(edges).reshape(-1, 2), np.ones(len(nodes)), number)


def test_each_edge_becomes_a_track_in_voxels(viewer) -> None:
    from napari.layers import Layer

    from napari_segkit.layers._tracks import tracks_of

    traces = [trace(90003, [[400, 0, 0], [80, 160, 0], [-120, 160, 320]]), trace(7, [[0, 0, 0], [40, 0, 0]])]
    data, arguments, kind = tracks_of(traces, voxel_size=(40, 16, 16))
    assert kind == "tracks"
    layer = viewer.add_layer(Layer.create(data, arguments, kind))
    assert len(np.unique(layer.data[:, 0])) == 3
    assert layer.data[:, 1].min() >= 0
    world = layer.data[:, 1:] * layer.scale + layer.translate
    np.testing.assert_allclose(world[:2], [[80, 160, 0], [400, 0, 0]])
    assert set(layer.features["neuron"]) == {90003, 7}
    assert layer.features["cable"].iloc[0] == pytest.approx((np.hypot(320, 160) + np.hypot(200, 320)) / 1000)
    assert layer.ndim == 3


def test_too_many_edges_are_simplified_and_then_leave_out_the_shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_segkit.layers import _tracks

    straight = [trace(n, [[0, 0, 10.0 * n * k] for k in range(4)]) for n in (1, 2, 3)]
    monkeypatch.setattr(_tracks, "MOST_EDGES", 5)
    data, arguments, _ = _tracks.tracks_of(straight)
    assert arguments["name"] == "traces"
    assert len(data) == 6
    monkeypatch.setattr(_tracks, "MOST_EDGES", 2)
    data, arguments, _ = _tracks.tracks_of(straight)
    assert arguments["name"] == "traces (2 longest of 3)"
    assert set(arguments["features"]["neuron"]) == {2, 3}


def test_traces_without_edges_are_nothing_to_draw() -> None:
    from napari_segkit.layers._tracks import tracks_of

    assert tracks_of([trace(1, [[0, 0, 0]])]) is None
    assert tracks_of([]) is None


def test_swc_files_open_as_tracks(viewer, tmp_path: Path, add_volumes) -> None:
    from napari_segkit.layers._readers import get_file_reader, get_folder_reader
    from segkit import write_swc

    write_swc([trace(3, [[0, 0, 0], [40, 16, 16], [80, 16, 16]])], tmp_path / "3.swc")
    for reader, path in ((get_file_reader, tmp_path / "3.swc"), (get_folder_reader, tmp_path)):
        read = reader(str(path))
        [(data, arguments, kind)] = read(str(path))
        assert kind == "tracks"
        assert arguments["units"] == ("nm",) * 3
        assert len(data) == 4


def test_folders_that_are_nothing_of_ours_are_left_to_others(tmp_path: Path, components) -> None:
    from napari_segkit.layers._readers import get_folder_reader

    assert get_folder_reader(str(tmp_path)) is None
    assert get_folder_reader([str(tmp_path)]) is None
