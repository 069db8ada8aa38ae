"""Sample data, generated on the spot: nothing is downloaded."""

from __future__ import annotations

from napari_segkit.layers._layers import LayerData, layers_of

__all__ = ["tiny_neurites"]

SHAPE = (40, 112, 112)


def tiny_neurites() -> list[LayerData]:
    """Return a small synthetic volume of neurites as image, and their labels."""
    from segkit.registry import registries

    sample = registries["datasets"]["synthetic_neurons"](
        shape=SHAPE, count=1, neurites=30, voxel_size=(20.0, 10.0, 10.0)
    )[0]
    layers: list[LayerData] = []
    for volume, name, kind in ((sample.raw, "neurites", "image"), (sample.labels, "neurite labels", "labels")):
        held = volume.with_array(volume.read(), volume.axes)
        layers += layers_of(held, name=name, kind="labels" if kind == "labels" else "image")
    return layers
