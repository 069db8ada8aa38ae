"""Samples that fit into memory are decoded once and kept, so that no patch of theirs is decoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, cast

import numpy as np

from segkit.contracts import Sample
from segkit.volume import Volume, _Window

__all__ = ["keep_decoded"]


class _Decoded:
    """An array-like that reads all of a volume when a region of it is first asked for, and keeps it."""

    def __init__(self, volume: Volume) -> None:
        self._volume, self._lock = volume, Lock()
        self._voxels: np.ndarray[Any, Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._volume.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        with self._lock:
            if self._voxels is None:
                voxels = self._volume.read()
                # What was cut out of a larger decoded piece would keep all of that piece.
                self._voxels = voxels if voxels.base is None else voxels.copy()
                self._voxels.flags.writeable = False
        return self._voxels[key]


def keep_decoded(samples: Sequence[Sample], budget: int) -> tuple[list[Sample], int]:
    """Return samples whose voxels stay in memory once they were read, if all of them fit, and what they may take.

    Parameters
    ----------
    samples
        What is read again and again.
    budget
        Bytes that their voxels may take.

    Returns
    -------
    tuple
        The samples, and the bytes they may take: 0 where they do not fit and are as they were. What is an array in memory
        already (or costs nothing to read anywhere, having no chunks) is left as it is and takes nothing.
    """
    volumes = [v for s in samples for v in (s.raw, s.labels, s.mask) if v is not None and v.chunks]
    wholes = _wholes(volumes)
    size = sum(volume.nbytes for volume in volumes if id(_cut_from(volume)) not in wholes)
    size += sum(whole.nbytes for whole in wholes.values())
    if size == 0 or size > budget:
        return list(samples), 0
    decoded = {key: _Decoded(whole) for key, whole in wholes.items()}

    def array(volume: Volume) -> _Decoded | _Window:
        whole = decoded.get(id(_cut_from(volume)))
        return _Decoded(volume) if whole is None else replace(cast("_Window", volume.array), array=whole)

    kept: dict[int, Volume] = {
        id(v): v.with_array(array(v), v.axes, chunks=v.chunks, channel_names=v.channel_names) for v in volumes
    }

    def same(volume: Volume) -> Volume:
        return kept.get(id(volume), volume)

    return [
        replace(
            sample,
            raw=same(sample.raw),
            labels=None if sample.labels is None else same(sample.labels),
            mask=None if sample.mask is None else same(sample.mask),
        )
        for sample in samples
    ], size


def _cut_from(volume: Volume) -> Any:
    return volume.array.array if type(volume.array) is _Window else None


def _wholes(volumes: Sequence[Volume]) -> dict[int, Volume]:
    """Return what is decoded as a whole, because pieces of it are samples: one by one, each would decode its chunks again."""
    pieces: dict[int, list[Volume]] = {}
    for volume in volumes:
        if (whole := _cut_from(volume)) is not None:
            pieces.setdefault(id(whole), []).append(volume)
    found = {}
    for key, cut in pieces.items():
        whole = cut[0].with_array(_cut_from(cut[0]), cut[0].axes)
        if len(cut) > 1 and 2 * sum(volume.nbytes for volume in cut) >= whole.nbytes:
            found[key] = whole
    return found
