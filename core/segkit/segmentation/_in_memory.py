"""Segmenting in arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.progress import Progress
from segkit.segmentation._cutting import Provisional
from segkit.segmentation._merging import Found, Names
from segkit.segmentation._seams import Held, Look, Whole, contents
from segkit.segmentation._stitching import in_order
from segkit.volume import Volume

__all__ = ["segment_in_memory"]

Array = np.ndarray[Any, Any]


def segment_in_memory(provisional: Provisional, min_size: int, progress: Progress) -> Volume:
    """Cut, stitch and rename in one array, which holds provisional ids first; see `segkit.segment`."""
    from segkit.segmentation._passes import rename

    layout, volume, workers = provisional.layout, provisional.prediction, provisional.threads
    count = len(layout.lattice)
    ids = np.empty(volume.spatial_shape, np.uint64)
    opinions: Whole | Held = Held(layout, {}) if any(layout.halo) else Whole(ids)

    def keep(index: int, cut: Array) -> tuple[Array, Array, Array]:
        inner = layout.inner(index, cut)
        ids[layout.lattice[index].slices] = inner
        if isinstance(opinions, Held):
            opinions.cuts[index] = cut
        return contents(layout, index, inner)

    held = []
    for index, columns in enumerate(provisional.cuts(range(count), keep)):
        progress(index, 3 * count)
        held.append(columns)
    look, found = Look.of(layout, opinions, provisional.segmenter), Found()
    for index, pairs in enumerate(in_order(look.pairs, range(count), layout, workers=workers)):
        progress(count + index, 3 * count)
        found.add(*held[index], pairs)
    names = Names.of(found, min_size)

    def finish(index: int) -> None:
        part = ids[layout.lattice[index].slices]
        rename(part, names.of_block(index), part)

    for index, _ in enumerate(in_order(finish, range(count), layout, workers=workers)):
        progress(2 * count + index, 3 * count)
    progress(3 * count, 3 * count)
    return volume.with_array(ids, "zyx")
