"""What is counted of ids, of objects or of classes, in blocks of both volumes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from segkit.errors import DataError, UsageError
from segkit.evaluation._numbers import check_finite
from segkit.geometry import Box
from segkit.metrics.confusion import Confusion
from segkit.metrics.contingency import Contingency, Overlaps
from segkit.metrics.partition import without_background
from segkit.metrics.points import Centres, match_points
from segkit.metrics.summary import class_scores, object_scores
from segkit.volume import Volume

__all__ = ["Pairs", "Points"]

Array = np.ndarray[Any, Any]

_MOST_CLASSES = 4096


class Pairs:
    """Counts pairs of ids, for objects and for classes."""

    def __init__(
        self,
        found: Volume,
        truth: Volume,
        kind: Literal["objects", "classes"],
        class_ids: tuple[int, ...],
        ignore_background: bool,
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
            check_finite(block, found, known)
            ids = self._ids[found.argmax(0)]
        else:
            ids = found[0]
        self._table.update(ids, truth[0], None if known.all() else known)

    def scores(self) -> dict[str, float]:
        overlaps = self._table.overlaps()
        if self._kind == "objects":
            return object_scores(without_background(overlaps) if self._ignore_background else overlaps)
        return class_scores(overlaps, self._classes(overlaps))

    def confusion(self) -> Confusion:
        """Return which class is taken for which."""
        overlaps = self._table.overlaps()
        return Confusion.of(overlaps, self._classes(overlaps))

    def _classes(self, overlaps: Overlaps) -> dict[int, str]:
        """Return the name of every class there is or may be, in the order of their ids."""
        ids = {*self._names, *overlaps.segments.tolist(), *overlaps.labels.tolist()}
        if len(ids) > _MOST_CLASSES:
            raise DataError(f"The volumes hold {len(ids)} ids, too many to be classes. Compare them as objects.")
        return {i: self._names.get(i, str(i)) for i in sorted(ids)}


class Points:
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
