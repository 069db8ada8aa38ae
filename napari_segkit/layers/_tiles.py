"""An image that is computed tile by tile, where somebody looks: napari reads it like any array, and never waits.

Reading returns what is there at once, old tiles where the new ones are not there yet and zeros where there are none, and
queues what is missing. What was asked for last is computed first; what nobody asked for again is dropped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from segkit.geometry import Box, Lattice, Triple

__all__ = ["MOST_AT_ONCE", "Tiles", "TiledLevel"]

Array = np.ndarray[Any, Any]

MOST_AT_ONCE = 64
"""Tiles that one look may ask for: beyond it somebody is too far away, and only what is there is shown."""
_CACHE_BYTES = 1 << 28
_COARSEST = 512


class Tiles:
    """Tiles of a volume that a function computes, in a thread of their own.

    Parameters
    ----------
    shape
        Extent of the volume, ``(z, y, x)``.
    tile_shape
        What is computed at once, ``(z, y, x)``.
    dtype
        Type of a voxel.
    channels
        Number of channels K.
    compute
        Returns the voxels ``(K, Z, Y, X)`` of a box; called in a thread.
    failed
        Called in that thread with what `compute` raised; no more is then computed until `renew`.
    """

    def __init__(
        self,
        shape: Triple,
        tile_shape: Triple,
        dtype: Any,
        channels: int,
        compute: Callable[[Box], Array],
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self.lattice = Lattice(Box.of_shape(shape), tile_shape)
        self.dtype, self.channels = np.dtype(dtype), channels
        self._compute, self._failed = compute, failed
        self._kept: OrderedDict[int, tuple[int, Array]] = OrderedDict()
        self._bytes = 0
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._version = 0
        self._arrived: list[int] = []
        self._wake = threading.Condition()
        self._closed = self._broken = False
        self.computed = 0
        """Tiles computed so far."""
        self._now: tuple[int, int] | None = None  # the tile that is computed, and for which version
        self._thread = threading.Thread(target=self._work, daemon=True, name="segkit-tiles")
        self._thread.start()

    # ---- what a viewer does

    def levels(self, channel: int) -> list[TiledLevel]:
        """Return one channel as the levels of a layer: coarser ones leave out voxels, and show what is there."""
        made: list[TiledLevel] = []
        factors: Triple = (1, 1, 1)
        while True:
            made.append(TiledLevel(self, channel, factors))
            shape = made[-1].shape
            if max(shape[1:]) <= _COARSEST:
                break
            y, x = (f * 2 if n > 1 else f for f, n in zip(factors[1:], shape[1:], strict=True))
            factors = (factors[0], y, x)
        made[0].only = len(made) == 1
        return made

    def read(self, channel: int, box: Box, factors: Triple, *, wanted: bool) -> Array:
        """Return what is there of a box, each `factors` voxels; queue what is missing if it is `wanted`."""
        first = [-(-a // f) for a, f in zip(box.start, factors, strict=True)]
        last = [-(-b // f) for b, f in zip(box.stop, factors, strict=True)]
        out = np.zeros([max(0, b - a) for a, b in zip(first, last, strict=True)], self.dtype)
        touched = list(self.lattice.touching(box)) if out.size else []
        with self._wake:
            there = {}
            missing = []
            for index in touched:
                held = self._kept.get(index)
                if held is not None:
                    self._kept.move_to_end(index)
                    there[index] = held[1]
                if (held is None or held[0] != self._version) and self._now != (index, self._version):
                    missing.append(index)
            if wanted and missing and len(touched) <= MOST_AT_ONCE and not self._broken:
                self._queue(missing)
        for index, voxels in there.items():
            self._paste(out, first, voxels[channel], index, box, factors)
        return out

    def _paste(self, out: Array, first: Sequence[int], voxels: Array, index: int, box: Box, factors: Triple) -> None:
        tile = self.lattice[index]
        to, of = [], []
        for axis, f in enumerate(factors):
            low = max(tile.start[axis], box.start[axis])
            high = min(tile.stop[axis], box.stop[axis])
            a, b = -(-low // f), -(-high // f)
            if a >= b:
                return
            to.append(slice(a - first[axis], b - first[axis]))
            of.append(slice(a * f - tile.start[axis], (b - 1) * f - tile.start[axis] + 1, f))
        out[tuple(to)] = voxels[tuple(of)]

    def _queue(self, missing: Sequence[int]) -> None:
        for index in reversed(missing):  # the first of this look is computed first, before those of any earlier look
            self._waiting[index] = None
            self._waiting.move_to_end(index)
        while len(self._waiting) > max(len(missing), MOST_AT_ONCE // 4):
            self._waiting.popitem(last=False)  # nobody has asked for it again
        self._wake.notify()

    def arrived(self) -> list[Box]:
        """Return the tiles that were finished since this was last asked."""
        with self._wake:
            found, self._arrived = self._arrived, []
        return [self.lattice[index] for index in found]

    @property
    def waiting(self) -> int:
        """Tiles that are asked for and not there."""
        with self._wake:
            return len(self._waiting) + (self._now is not None)

    def renew(self) -> None:
        """Compute everything again where somebody looks; what is there is shown until then."""
        with self._wake:
            self._version += 1
            self._waiting.clear()
            self._broken = False

    def close(self) -> None:
        """Compute no more."""
        with self._wake:
            self._closed = True
            self._waiting.clear()
            self._wake.notify()

    # ---- the thread

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                index, _ = self._waiting.popitem()
                version = self._version
                self._now = (index, version)
            try:
                voxels = np.asarray(self._compute(self.lattice[index]))
            except Exception as error:  # whatever it is, the viewer says it
                with self._wake:
                    self._now, closed = None, self._closed
                    self._broken = True
                    self._waiting.clear()
                if not closed:
                    self._failed(error)
                continue
            with self._wake:
                self._now = None
                self.computed += 1
                self._keep(index, version, voxels)
                self._arrived.append(index)

    def _keep(self, index: int, version: int, voxels: Array) -> None:
        old = self._kept.pop(index, None)
        self._bytes += voxels.nbytes - (old[1].nbytes if old else 0)
        self._kept[index] = (version, voxels)
        while self._bytes > _CACHE_BYTES and len(self._kept) > 1:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes


class TiledLevel:
    """One level of one channel, for napari: it has all that a layer's data must have.

    Parameters
    ----------
    tiles
        What is shown.
    channel
        Which channel.
    factors
        Voxels of the volume along each edge of one of this level.
    """

    def __init__(self, tiles: Tiles, channel: int, factors: Triple) -> None:
        self._tiles, self._channel, self._factors = tiles, channel, factors
        extent = tiles.lattice.extent.shape
        self.shape = tuple(-(-n // f) for n, f in zip(extent, factors, strict=True))
        self.dtype, self.ndim = tiles.dtype, 3
        self.only = False

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> Any:
        # napari cuts a level to what is on the canvas, and then to the slice; only a thumbnail asks for a slice at once.
        return _Part(self, ((0, 0, 0), self.shape), self.only).cut(key)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self[:, :, :], dtype)

    def _read(self, start: Sequence[int], stop: Sequence[int], wanted: bool) -> Array:
        limit = self._tiles.lattice.extent.stop
        first = [a * f for a, f in zip(start, self._factors, strict=True)]
        last = [min(max((b - 1) * f + 1, a), n) for a, b, f, n in zip(first, stop, self._factors, limit, strict=True)]
        box = Box((first[0], first[1], first[2]), (last[0], last[1], last[2]))
        return self._tiles.read(self._channel, box, self._factors, wanted=wanted)


class _Part:
    """A part of a level that is not read yet."""

    def __init__(self, level: TiledLevel, ends: tuple[Sequence[int], Sequence[int]], wanted: bool) -> None:
        self._level, self._start, self._stop, self._wanted = level, *ends, wanted
        self.shape = tuple(b - a for a, b in zip(*ends, strict=True))
        self.dtype, self.ndim = level.dtype, 3

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def cut(self, key: Any) -> Any:
        """Return a part of slices only unread, and anything else read."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (4 - len(parts))
        parts += [slice(None)] * (3 - len(parts))
        start: list[int] = []
        stop: list[int] = []
        after: list[slice | int] = []
        for part, first, length in zip(parts, self._start, self.shape, strict=True):
            if isinstance(part, slice):
                a, b, step = part.indices(length)
                after.append(slice(None, None, step))
            else:
                a = int(part) + (length if int(part) < 0 else 0)
                if not 0 <= a < length:
                    raise IndexError(f"index {int(part)} of an axis with {length} voxels")
                b = a + 1
                after.append(0)
            start.append(first + a)
            stop.append(first + max(a, b))
        if all(part == slice(None, None, 1) for part in after):
            return _Part(self._level, (start, stop), True)
        return self._level._read(start, stop, self._wanted)[tuple(after)]

    def __getitem__(self, key: Any) -> Any:
        return self.cut(key)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self._level._read(self._start, self._stop, self._wanted), dtype)
