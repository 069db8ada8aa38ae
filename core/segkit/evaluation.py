"""`evaluate`: compare a segmentation, a class map or a prediction with ground truth, block by block.

Both volumes are streamed once; what is kept are counts, so that memory does not depend on their size.
"""

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
from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Lattice, Triple
from segkit.metrics.contingency import Contingency
from segkit.metrics.overlap import OverlapMetrics
from segkit.metrics.partition import without_background
from segkit.metrics.points import Centres, match_points
from segkit.metrics.summary import class_scores, object_scores
from segkit.metrics.thresholds import ThresholdCurve
from segkit.opening import open_volume
from segkit.progress import Progress, silent
from segkit.store import choose_blocks
from segkit.volume import Volume

__all__ = ["Evaluation", "evaluate"]

Array = np.ndarray[Any, Any]
Source = str | Path | Volume | Array
Compare = Literal["objects", "points", "classes", "foreground"]

_MOST_CLASSES = 4096


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a comparison.

    Parameters
    ----------
    compare
        What was compared.
    scores
        Value of each score; NaN for one that is not defined. `segkit.metrics.EXPLANATIONS` says what they mean.
    voxels
        Number of voxels that counted.
    region
        Where they lie, in voxels of the result.
    settings
        What else was chosen, and what was compared.
    """

    compare: Compare
    scores: Mapping[str, float]
    voxels: int
    region: Box
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that JSON can say; a score that is not defined is None."""
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
        The ground truth: ids of objects or classes.
    compare
        ``"objects"``: how well the partition into objects agrees, whatever the ids are called. ``"points"``: how many
        objects were found where they are: the centres of mass of the ids of both volumes, matched one to one within
        `radius`. ``"classes"``: overlap of
        each class id, where a prediction stands for its largest channel. ``"foreground"``: overlap of all that is not 0
        in the labels with the prediction above `threshold` (or with all that is not 0, if the result is not floating);
        also which threshold would be best.
        ``"auto"``: foreground for a floating or bool result, otherwise objects.
    mask
        Where the labels are known: not 0. None means everywhere.
    unlabelled
        The id in the labels that means *not annotated*; None where every voxel is.
    threshold
        Value above which a prediction counts as foreground.
    channel
        Which channel of the result is the foreground, counted from 0; None for its only one, or for each with the
        channel of the labels of the same number.
    class_ids
        The id of each channel of a prediction of classes; empty for 0, 1, 2 and so on.
    ignore_background
        Whether voxels whose label is 0 do not count, as in CREMI and SNEMI3D, where 0 lies between neurons. Not for
        objects in a true background: what is found there by mistake would go unseen. Objects only.
    radius
        How far apart two centres may be and still match, in voxels of the finest axis. Points only.
    in_plane_only
        Whether only centres in the same z slice match, for stacks whose slices are images of their own. Points only.
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
        If `region`, `channel` or `class_ids` do not fit the volumes.
    """
    volumes = {"result": open_volume(result), "labels": open_volume(labels)}
    if mask is not None:
        volumes["mask"] = open_volume(mask)
    found, truth = volumes["result"], volumes["labels"]
    within = Box.parse(region, found.box) if region.strip() else None
    box, shifts = align(found, {name: volume for name, volume in volumes.items() if name != "result"}, within)
    kind: Compare = compare if compare != "auto" else "foreground" if found.dtype.kind in "fb" else "objects"
    counter: _Pairs | _Overlap | _Points
    if kind == "foreground":
        counter = _Overlap(found, truth, threshold, channel)
    elif kind == "points":
        counter = _Points(found, truth, radius, in_plane_only)
    else:
        counter = _Pairs(found, truth, kind, class_ids, ignore_background)
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
    settings = {
        "result": found.source,
        "labels": truth.source,
        "mask": volumes["mask"].source if mask is not None else None,
        "unlabelled": unlabelled,
        **counter.settings,
    }
    return Evaluation(kind, counter.scores(), voxels, box, settings)


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


class _Pairs:
    """Counts pairs of ids, for objects and for classes."""

    def __init__(
        self, found: Volume, truth: Volume, kind: Compare, class_ids: tuple[int, ...], ignore_background: bool
    ) -> None:
        self._kind, self._ignore_background = kind, ignore_background
        self._names: dict[int, str] = {}
        self._ids: Array | None = None
        self._table = Contingency()
        self.settings: dict[str, Any] = {"ignore_background": ignore_background} if kind == "objects" else {}
        if truth.channels != 1:
            raise DataError(
                f"{truth.source} has {truth.channels} channels, and ids are a single one. Choose one of them."
            )
        if kind == "classes" and found.dtype.kind == "f" and found.channels > 1:
            ids = class_ids or tuple(range(found.channels))
            if len(ids) != found.channels:
                raise UsageError(
                    f"`class_ids` is {class_ids}, and {found.source} has {found.channels} channels. Give one id for each."
                )
            self._ids = np.array(ids, np.uint64)
            self._names = dict(zip(ids, found.channel_names or map(str, ids)))
            self.settings["class_ids"] = list(ids)
        elif found.channels != 1 or found.dtype.kind == "f":
            raise DataError(
                f"{found.source} holds {found.channels} channels of {found.dtype}, which are not ids of {kind}. Cut it into "
                "objects first ('segkit segment'), or compare it as foreground or, with a channel for each class, as classes."
            )

    def update(self, block: Box, found: Array, truth: Array, known: Array) -> None:
        if self._ids is not None:
            _check_finite(block, found, known)
            ids = self._ids[found.argmax(0)]
        else:
            ids = found[0]
        self._table.update(ids, truth[0], None if known.all() else known)

    def scores(self) -> dict[str, float]:
        overlaps = self._table.overlaps()
        if self._kind == "objects":
            return object_scores(without_background(overlaps) if self._ignore_background else overlaps)
        distinct = len(np.union1d(overlaps.segments, overlaps.labels))
        if distinct > _MOST_CLASSES:
            raise DataError(f"The volumes hold {distinct} ids, too many to be classes. Compare them as objects.")
        return class_scores(overlaps, self._names)


class _Points:
    """Sums up the centres of objects."""

    def __init__(self, found: Volume, truth: Volume, radius: float, in_plane_only: bool) -> None:
        for volume in (found, truth):
            if volume.channels != 1 or volume.dtype.kind == "f":
                raise DataError(
                    f"{volume.source} holds {volume.channels} channels of {volume.dtype}, which are not ids of objects. Cut it "
                    "into objects first ('segkit segment'; with '-o connectivity=4' every z slice by itself)."
                )
        finest = min(found.voxel_size)
        self._spacing = np.array([size / finest for size in found.voxel_size])
        if in_plane_only:
            self._spacing[0] = 4 * radius  # no two slices are within reach
        self._radius, self._truth = radius, truth
        self._found, self._true = Centres(), Centres()
        self.settings: dict[str, Any] = {"radius": radius, "in_plane_only": in_plane_only}

    def update(self, block: Box, found: Array, truth: Array, known: Array) -> None:
        self._found.update(np.where(known, found[0], 0), block.start)
        self._true.update(np.where(known, truth[0], 0), block.start)

    def scores(self) -> dict[str, float]:
        found, true = self._found.positions, self._true.positions
        if len(true) == 1 and len(found) > 1:
            raise DataError(
                f"{self._truth.source} holds a single id, so it says where one object is, and {len(found)} were found. If its "
                "marks are an object each, number them first: 'segkit segment LABELS numbered.zarr' (with '-o "
                "connectivity=4' every z slice by itself)."
            )
        result = match_points(found * self._spacing, true * self._spacing, self._radius)
        return {
            "detection_f1": result.f1,
            "detection_precision": result.precision,
            "detection_recall": result.recall,
            "segments": len(found),
            "objects": len(true),
        }


class _Overlap:
    """Counts voxels of foreground."""

    def __init__(self, found: Volume, truth: Volume, threshold: float, channel: int | None) -> None:
        names = found.channel_names or tuple(str(number) for number in range(found.channels))
        if channel is None and found.channels != truth.channels:
            raise UsageError(
                f"{found.source} has {found.channels} channels ({', '.join(names)}), and the labels have {truth.channels}. Say "
                "which channel is the foreground with 'channel', or compare as 'classes' if the channels are classes."
            )
        if channel is not None and (not 0 <= channel < found.channels or truth.channels != 1):
            raise UsageError(
                f"`channel` is {channel}; {found.source} has the channels 0 to {found.channels - 1} ({', '.join(names)}), and "
                f"the labels have {truth.channels}. Choose one of them, for labels of one channel."
            )
        self._chosen = slice(None) if channel is None else slice(channel, channel + 1)
        self._metrics = OverlapMetrics(names[self._chosen], threshold=threshold if found.dtype.kind == "f" else 0.5)
        self._curve = ThresholdCurve() if found.dtype.kind == "f" and len(self._metrics.channel_names) == 1 else None
        self.settings = {"channels": list(self._metrics.channel_names), "threshold": threshold}

    def update(self, block: Box, found: Array, truth: Array, known: Array) -> None:
        found = found[self._chosen]
        if found.dtype.kind == "f":
            _check_finite(block, found, known)
        else:
            found = found != 0
        present = truth != 0
        self._metrics.update(found[None], present[None], known[None, None])
        if self._curve is not None:
            everywhere = known.all()
            self._curve.update(*(voxels[0] if everywhere else voxels[0][known] for voxels in (found, present)))

    def scores(self) -> dict[str, float]:
        scores = self._metrics.compute()
        if self._curve is not None:
            scores["best_threshold"], scores["best_jaccard"] = self._curve.best()
        return scores


def _check_finite(block: Box, found: Array, known: Array) -> None:
    finite = np.isfinite(found).all(0)
    if not (finite | ~known).all():
        raise DataError(
            f"The prediction holds values that are not finite at {block}. Predict it again, or leave that region out."
        )
