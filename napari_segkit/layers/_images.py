"""Which layer of the viewer shows the image that the session works on."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_segkit.layers._lazy import LazyView
from napari_segkit.session import Session

__all__ = ["image_layer", "shows"]


def image_layer(viewer: Any, session: Session) -> Any:
    """Return the napari layer that shows ``session.data.image``.

    Of several, such as the channels of one image, the first that is visible is taken.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        The session.

    Returns
    -------
    napari.layers.Image or None
        None where there is no image, or its layer was removed.
    """
    image = session.data.image
    found = [] if image is None else [layer for layer in viewer.layers if shows(layer, image)]
    return next((layer for layer in found if layer.visible), found[0] if found else None)


def shows(layer: Any, image: Any) -> bool:
    """Return whether a napari layer shows a volume: it came from there, or both have the same voxels in memory."""
    own = layer.metadata.get("segkit", {})
    if layer.__class__.__name__ != "Image" or {"preview", "role"} & set(own):
        return False
    source = own.get("source", "")
    if source and source == image.source:
        return True
    data = layer.data[0] if layer.multiscale else layer.data
    voxels = data.volume.array if isinstance(data, LazyView) else data
    if voxels is image.array:
        return True
    both = isinstance(voxels, np.ndarray) and isinstance(image.array, np.ndarray)
    return both and voxels.shape[-2:] == image.array.shape[-2:] and np.may_share_memory(voxels, image.array)
