"""`evaluate` and its outcome: both volumes are read block by block, and what is compared decides who counts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit.alignment import align
from segkit.errors import DataError
from segkit.evaluation._ids import Pairs, Points
from segkit.evaluation._numbers import Errors, Overlap
from segkit.geometry import Box, Lattice, Triple
from segkit.metrics.confusion import Confusion
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.store import choose_blocks
from segkit.volume import Volume

__all__ = ["Compare", "Evaluation", "evaluate"]

Array = np.ndarray[Any, Any]
Source = str | Path | Volume | Array
Compare = Literal["objects", "points", "classes", "foreground", "regression"]


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a comparison.

    Parameters
    ----------
    compare
        What was compared.
    scores
        Value of each score; NaN for one that is not defined, and infinity for the `psnr` of what has no error.
        `segkit.metrics.EXPLANATIONS` says what they mean.
    voxels
        Number of voxels that counted.
    region
        Where they lie, in voxels of the result.
    settings
        What else was chosen, and what was compared.
    confusion
        Of classes, which is taken for which; None for anything else.
    """

    compare: Compare
    scores: Mapping[str, float]
    voxels: int
    region: Box
    settings: Mapping[str, Any] = field(default_factory=dict)
    confusion: Confusion | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return scores and settings as plain values that JSON can say; a score that is not a finite number is None."""
        scores = {name: value if math.isfinite(value) else None for name, value in self.scores.items()}
        return {
            "compare": self.compare,
            "scores": scores,
            "voxels": self.voxels,
            "region": str(self.region),
            "settings": dict(self.settings),
        }


def evaluate(
    result: Source,
    labels: Source,
    *,
    compare: Compare | Literal["auto"] = "auto",
    mask: Source | None = None,
    unlabelled: int | None = None,
    threshold: float = 0.5,
    channel: int | None = None,
    class_ids: tuple[int, ...] = (),
    ignore_background: bool = False,
    radius: float = 3.0,
    in_plane_only: bool = False,
    data_range: float | None = None,
    region: str = "",
    block_shape: Triple | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Compare a result with ground truth.

    Parameters
    ----------
    result
        A segmentation, class map or prediction, or anything that `segkit.open_volume` takes.
    labels
        The ground truth: ids of objects or classes, or numbers.
    compare
        ``"objects"``: how well the partition into objects agrees, whatever the ids are called. ``"points"``: how many
        objects were found where they are: the centres of mass of the ids of both volumes, matched one to one within
        `radius`. ``"classes"``: overlap of
        each class id, where a prediction stands for its largest channel. ``"foreground"``: overlap of all that is not 0
        in the labels with the prediction above `threshold` (or with all that is not 0, if the result is not floating);
        also which threshold would be best. ``"regression"``: how far the numbers are off, channel by channel: mean squared
        error, mean absolute error, peak signal-to-noise ratio and Pearson's correlation.
        ``"auto"``: foreground for a floating or bool result, otherwise objects.
    mask
        Where the labels are known: not 0. None means everywhere. Labels that are not finite are never known.
    unlabelled
        The id in the labels that means *not annotated*; None where every voxel is.
    threshold
        Value above which a prediction counts as foreground.
    channel
        Which channel of the result is the foreground, or the numbers of a regression, counted from 0; None for its only
        one, or for each with the channel of the labels of the same number.
    class_ids
        The id of each channel of a prediction of classes; empty for 0, 1, 2 and so on.
    ignore_background
        Whether voxels whose label is 0 do not count, as in CREMI and SNEMI3D, where 0 lies between neurons. Not for
        objects in a true background: what is found there by mistake would go unseen. Objects only.
    radius
        How far apart two centres may be and still match, in voxels of the finest axis. Points only.
    in_plane_only
        Whether only centres in the same z slice match, for stacks whose slices are images of their own. Points only.
    data_range
        Largest minus smallest value that the numbers may take, above 0: the peak of the signal-to-noise ratio. None for
        that of the labels where they are known. Regression only.
    region
        Part of the result, such as ``"z0:100"``; empty for all that both volumes cover.
    block_shape
        Voxels (z, y, x) read at once; None chooses them from the chunks. It changes no score.
    progress
        Called with the blocks done and the blocks in all.

    Returns
    -------
    Evaluation
        The scores, and what they were computed of.

    Raises
    ------
    DataError
        If the volumes do not fit each other, hold what cannot be compared so, or share no known voxel.
    UsageError
        If `region`, `channel` or `class_ids` do not fit the volumes, or `data_range` is not above 0.
    """
    volumes = {"result": open_volume(result), "labels": open_volume(labels)}
    if mask is not None:
        volumes["mask"] = open_volume(mask)
    found, truth = volumes["result"], volumes["labels"]
    within = Box.parse(region, found.box) if region.strip() else None
    box, shifts = align(found, {name: volume for name, volume in volumes.items() if name != "result"}, within)
    kind: Compare = compare if compare != "auto" else "foreground" if found.dtype.kind in "fb" else "objects"
    counter: Pairs | Points | Overlap | Errors
    if kind == "foreground":
        counter = Overlap(found, truth, threshold, channel)
    elif kind == "regression":
        counter = Errors(found, truth, data_range, channel)
    elif kind == "points":
        counter = Points(found, truth, radius, in_plane_only)
    else:
        counter = Pairs(found, truth, kind, class_ids, ignore_background)
    costly = max(found, truth, key=lambda volume: volume.channels * volume.dtype.itemsize)
    lattice = Lattice(box, choose_blocks(costly, block_shape, None)[0])
    voxels = 0
    read = partial(_read, volumes, {"result": (0, 0, 0), **shifts}, unlabelled)
    for done, (block, found_block, truth_block, known) in enumerate(_read_ahead(lattice, read)):
        progress(done, len(lattice))
        counted = int(np.count_nonzero(known))
        voxels += counted
        if counted:
            counter.update(block, found_block, truth_block, known)
    progress(len(lattice), len(lattice))
    if not voxels:
        raise DataError(
            f"No voxel of {truth.source} is known in the region {box} of {found.source}. Check the mask, and that "
            f"`unlabelled` ({unlabelled}) is not the id of what is labelled."
        )
    scores = counter.scores()
    settings = {
        "result": found.source,
        "labels": truth.source,
        "mask": volumes["mask"].source if mask is not None else None,
        "unlabelled": unlabelled,
        **counter.settings,
    }
    confusion = counter.confusion() if isinstance(counter, Pairs) and kind == "classes" else None
    return Evaluation(kind, scores, voxels, box, settings, confusion)


_Block = tuple[Box, Array, Array, Array]


def _read(volumes: Mapping[str, Volume], shifts: Mapping[str, Triple], unlabelled: int | None, block: Box) -> _Block:
    """Read a block, in voxels of the result, as ``(C, Z, Y, X)`` of both volumes, and where the labels are known."""
    voxels = {
        name: volume.read(block.shift(shifts[name])).reshape(volume.channels, *block.shape)
        for name, volume in volumes.items()
    }
    known = np.ones(block.shape, bool)
    if "mask" in voxels:
        known &= voxels["mask"][0] != 0
    if voxels["labels"].dtype.kind == "f":
        known &= np.isfinite(voxels["labels"]).all(0)
    if unlabelled is not None:
        known &= voxels["labels"][0] != unlabelled
    return block, voxels["result"], voxels["labels"], known


def _read_ahead(lattice: Lattice, read: Any) -> Iterator[_Block]:
    """Yield the blocks in order, reading the next while one is worked on; no more than these are in memory."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[_Block]] = deque()
        for block in lattice:
            waiting.append(pool.submit(read, block))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
