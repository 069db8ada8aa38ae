"""The task `semantic`: one channel for foreground, or one for each of several classes that exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segkit.contracts import Patch
from segkit.errors import DataError, UsageError
from segkit.metrics import OverlapMetrics
from segkit_tasks._dense import Dense, ids_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Classes", "Foreground", "make_classes"]

Array = np.ndarray[Any, Any]


def _is_foreground(labels: Array, foreground_ids: Sequence[int]) -> Array:
    labels = labels[0] if labels.ndim == 4 else labels
    found = np.isin(labels, _fitting(foreground_ids, labels.dtype)) if foreground_ids else labels != 0
    return np.asarray(found)


def _fitting(ids: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Return the ids that labels of a type can hold at all, in that type, so that comparing them rounds nothing."""
    if dtype.kind not in "iu":
        return np.array(ids, np.uint64)
    return np.array([i for i in ids if i <= np.iinfo(dtype).max], dtype)


class Foreground(Dense):
    """Foreground against background, as one channel of probability."""

    best: tuple[str, Literal["max", "min"]] = ("jaccard", "max")
    out_channels = 1

    def __init__(
        self, class_ids: Sequence[int], class_names: Sequence[str], foreground_ids: Sequence[int], threshold: float
    ) -> None:
        if class_ids:
            raise UsageError(
                f"`class_ids` is {tuple(class_ids)} for two classes, which are foreground and all else. Name the ids of the "
                "foreground as `foreground_ids`, or set `classes` to the number of ids."
            )
        if len(class_names) not in (0, 2):
            raise UsageError(
                f"`class_names` is {tuple(class_names)} for two classes. Give two names, background first."
            )
        self.channel_names: tuple[str, ...] = (class_names[1] if class_names else "foreground",)
        self._foreground_ids, self._threshold = tuple(foreground_ids), threshold

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return ``(1, Z, Y, X)``, true in the foreground."""
        return self.foreground(ids_of(patch))[None], patch.mask

    def foreground(self, labels: Array) -> Array:
        """Return where the labels are foreground."""
        return _is_foreground(labels, self._foreground_ids)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the probability of foreground."""
        return logits.sigmoid()

    def metrics(self) -> OverlapMetrics:
        """Return empty overlap scores."""
        return OverlapMetrics(self.channel_names, threshold=self._threshold)


def make_classes(
    classes: int, class_ids: Sequence[int], class_names: Sequence[str], foreground_ids: Sequence[int]
) -> Classes:
    """Check that ids and names fit the number of classes, and fill them in where they are left out."""
    for option, values in (("class_ids", class_ids), ("class_names", class_names)):
        if values and (len(values) != classes or len(set(values)) != classes):
            raise UsageError(
                f"`{option}` is {tuple(values)} for {classes} classes. Give {classes} different ones, one for each class, or "
                "set `classes` to their number."
            )
    ids = tuple(class_ids or range(classes))
    unknown = sorted(set(foreground_ids) - set(ids))
    if unknown:
        raise UsageError(
            f"`foreground_ids` names {unknown}, which are ids of no class. The classes have the ids {_listed(ids)}."
        )
    return Classes(ids, tuple(class_names or (f"class_{i}" for i in ids)), tuple(foreground_ids))


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(str(int(i)) for i in ids[:8])
    return shown if len(ids) <= 8 else f"{shown} and {len(ids) - 8} more"


class Classes(Dense):
    """Several classes that exclude each other, a channel of probability each."""

    best: tuple[str, Literal["max", "min"]] = ("jaccard", "max")

    def __init__(self, ids: tuple[int, ...], names: tuple[str, ...], foreground_ids: tuple[int, ...]) -> None:
        self.out_channels, self.channel_names = len(ids), names
        self._ids, self._foreground_ids = ids, foreground_ids
        self._consecutive = ids == tuple(range(len(ids)))
        self._order = np.argsort(np.array(ids, np.uint64))
        self._sorted = np.array(ids, np.uint64)[self._order]

    def target(self, patch: Patch) -> tuple[Array, Array]:
        """Return the index of the class of each voxel, int64 ``(Z, Y, X)``; 0 where it is not known.

        Raises
        ------
        DataError
            If a known voxel holds the id of no class.
        """
        labels = ids_of(patch)
        if self._consecutive:
            index = labels.astype(np.int64)
            valid = (labels >= 0) & (labels < len(self._ids))
        else:
            ids = labels.astype(np.uint64)
            rank = np.searchsorted(self._sorted, ids).clip(max=len(self._ids) - 1)
            index, valid = self._order[rank], self._sorted[rank] == ids
        strangers = patch.mask & ~valid
        if strangers.any():
            raise DataError(
                f"{patch.origin}: the labels hold {_listed(np.unique(labels[strangers]).tolist())}, which are ids of no "
                f"class; the {len(self._ids)} classes have the ids {_listed(self._ids)}. Set `classes` or `class_ids` to what "
                "the labels hold, or give the id of what is not annotated as `unlabelled`."
            )
        return np.where(patch.mask, index, 0), patch.mask

    def foreground(self, labels: Array) -> Array:
        """Return where the labels are one of the ids that patches are drawn around."""
        return _is_foreground(labels, self._foreground_ids)

    def activate(self, logits: Tensor) -> Tensor:
        """Return the probability of each class."""
        return logits.softmax(1)

    def metrics(self) -> OverlapMetrics:
        """Return empty overlap scores."""
        return OverlapMetrics(self.channel_names)
