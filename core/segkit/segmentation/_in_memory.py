"""Segmenting in arrays."""

from __future__ import annotations

import numpy as np

from segkit.execution import run
from segkit.progress import Progress
from segkit.segmentation._cutting import Provisional
from segkit.segmentation._merging import Found, Names, Relabelled
from segkit.segmentation._seams import Held, Look
from segkit.segmentation._stitching import stitch
from segkit.volume import Volume

__all__ = ["segment_in_memory"]


def segment_in_memory(provisional: Provisional, min_size: int, progress: Progress) -> Volume:
    """Cut, stitch and rename in arrays; see `segkit.segment`."""
    layout, volume, workers = provisional.layout, provisional.prediction, provisional.threads
    count = len(layout.lattice)
    held = Held(layout, [])
    for index, cut in enumerate(provisional.cuts(range(count))):
        progress(index, 3 * count)
        held.cuts.append(cut)
    found = Found()
    look = Look.of(layout, held, provisional.segmenter)
    stitch(look, found, lambda: progress(count + found.blocks, 3 * count), workers=workers)
    relabelled = Relabelled(layout, held, Names.of(found, min_size))
    ids = np.empty(volume.spatial_shape, np.uint64)
    named = run(lambda index: relabelled.write(index, volume.box, ids), range(count), workers=workers)
    for done, _ in enumerate(named):
        progress(2 * count + done, 3 * count)
    progress(3 * count, 3 * count)
    return volume.with_array(ids, "zyx")
