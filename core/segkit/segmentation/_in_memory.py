"""Segmenting in arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.progress import Progress
from segkit.segmentation._cutting import Provisional
from segkit.segmentation._finishing import Finished, finished
from segkit.segmentation._merging import Found, Names, Relabelled
from segkit.segmentation._seams import Held, Look, contents
from segkit.segmentation._stitching import in_order
from segkit.volume import Volume

__all__ = ["segment_in_memory"]

Array = np.ndarray[Any, Any]


def segment_in_memory(provisional: Provisional, min_size: int, progress: Progress) -> Volume:
    """Cut and stitch in arrays, and rename what is read of them; see `segkit.segment`."""
    layout, volume, workers = provisional.layout, provisional.prediction, provisional.threads
    count = len(layout.lattice)
    held = Held(layout, {})

    def keep(index: int, cut: Array) -> tuple[Array, Array, Array]:
        if cut.dtype.itemsize > 2 and int(cut.max()) < 2**16:
            cut = cut.astype(np.uint16)  # half of what has to go through memory
        held.cuts[index] = cut
        return contents(layout, index, layout.inner(index, cut))

    columns = []
    for index, found_there in enumerate(provisional.cuts(range(count), keep)):
        progress(index, 2 * count)
        columns.append(found_there)
    look, found = Look.of(layout, held, provisional.segmenter), Found()
    for index, pairs in enumerate(in_order(look.pairs, range(count), layout, workers=workers)):
        progress(count + index, 2 * count)
        found.add(*columns[index], pairs)
    result = finished(Relabelled(layout, held, Names.of(found, min_size), workers), volume, provisional.segmenter)
    whole = result.computed(workers) if isinstance(result, Finished) else result
    progress(2 * count, 2 * count)
    return volume.with_array(whole, "zyx")
