"""Sample data, generated on the spot: nothing is downloaded."""

from __future__ import annotations

from dataclasses import replace

from napari_segkit.layers._layers import LayerData, layers_of
from segkit.volume import Volume

__all__ = ["sample_volumes", "tiny_neurites"]

SHAPE = (40, 112, 112)


def sample_volumes() -> tuple[Volume, Volume]:
    """Return a small synthetic image of neurites and its labels, in memory."""
    from segkit.registry import registries

    sample = registries["datasets"]["synthetic_neurons"](
        shape=SHAPE, count=1, neurites=30, voxel_size=(20.0, 10.0, 10.0)
    )[0]
    image, labels = (
        replace(volume.with_array(volume.read(), volume.axes), source=name)
        for volume, name in ((sample.raw, "neurites"), (sample.labels, "neurite labels"))
    )
    return image, labels


def tiny_neurites() -> list[LayerData]:
    """Return a small synthetic volume of neurites as image, and their labels."""
    image, labels = sample_volumes()
    return layers_of(image, name="neurites", kind="image") + layers_of(labels, name="neurite labels", kind="labels")
