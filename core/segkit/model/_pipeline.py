"""Reading, network and cropping side by side: while the network sees some tiles, a thread reads the next ones.

Tiles are computed in groups of consecutive ones, the same whoever asks: a network may give other last bits in a batch of
another size, and a prediction that is continued must not depend on where it was interrupted.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch

from segkit.contracts import Normalization
from segkit.geometry import Box
from segkit.model._forward import Forward, TooLargeError, is_out_of_memory
from segkit.model._tiling import Tiling
from segkit.volume import Volume

__all__ = ["Group", "Pipeline"]

Array = np.ndarray[Any, Any]

_CACHED_VOXELS = 1 << 16


@dataclass(eq=False)
class Group:
    """Consecutive tiles on their way.

    Parameters
    ----------
    tiles
        Their indices.
    inputs
        ``(N, C, Z, Y, X)`` float32, normalised.
    errors
        Why some of them could not be read, by index; the network sees zeros in their place.
    """

    tiles: range
    inputs: torch.Tensor
    errors: dict[int, Exception] = field(default_factory=dict)


class Pipeline:
    """Computes groups of tiles, and reads ahead.

    Parameters
    ----------
    image
        The image.
    tiling
        Where tiles lie.
    normalization
        Scaling of the image.
    forward
        The network and how it is called.
    batch
        Tiles in a group.
    dtype
        Type of the results.
    """

    def __init__(
        self,
        image: Volume,
        tiling: Tiling,
        normalization: Normalization,
        forward: Forward,
        batch: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.image, self.tiling, self.normalization, self.forward = image, tiling, normalization, forward
        self.batch, self.dtype = batch, dtype
        self._centre, self._scale = (
            np.array(values, np.float32).reshape(-1, 1, 1, 1) for values in (normalization.centre, normalization.scale)
        )
        self._at_once = batch  # tiles in one call of the network; shrinks when memory is short
        self._ahead = True
        self._buffers: list[torch.Tensor] = []
        self._reader: ThreadPoolExecutor | None = None
        self._reading: dict[int, Future[Group]] = {}

    def group_of(self, tile: int) -> int:
        """Return the group that a tile belongs to."""
        return tile // self.batch

    def run(self, group: int, following: Sequence[int] = ()) -> dict[int, Array | Exception]:
        """Compute a group.

        Parameters
        ----------
        group
            Which one.
        following
            Groups that will be asked for next; the first is read meanwhile.

        Returns
        -------
        dict
            For each tile its activated outputs ``(K, z, y, x)`` in the voxels it contributes to, or the error that reading
            it raised.

        Raises
        ------
        TooLargeError
            If memory does not even suffice for one tile.
        """
        ready = self._inputs_of(group)
        if self._ahead:
            for later in following[:1]:
                if later not in self._reading:
                    self._reader = self._reader or ThreadPoolExecutor(1, "segkit-read")
                    self._reading[later] = self._reader.submit(self._read, later)
        try:
            outputs = self._predict(ready)
        finally:
            self._give_back(ready.inputs)
        return {tile: ready.errors.get(tile, voxels) for tile, voxels in zip(ready.tiles, outputs, strict=True)}

    def forget(self) -> None:
        """Wait for the reader and drop what was read ahead; the next group starts it anew."""
        for reading in self._reading.values():
            if not reading.cancel() and reading.exception() is None:
                self._give_back(reading.result().inputs)
        self._reading.clear()
        if self._reader is not None:
            self._reader.shutdown()
            self._reader = None

    def _inputs_of(self, group: int) -> Group:
        reading = self._reading.pop(group, None)
        try:
            return self._read(group) if reading is None else reading.result()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._save_memory()
        return self._read(group)

    def _read(self, group: int) -> Group:
        tiles = range(group * self.batch, min((group + 1) * self.batch, len(self.tiling.lattice)))
        buffer = self._buffers.pop() if self._buffers else self._new_buffer()
        ready = Group(tiles, buffer[: len(tiles)])
        voxels = ready.inputs.numpy()
        for place, tile in enumerate(tiles):
            try:
                self._normalize(self.image.read(self.tiling.tile(tile)), voxels[place])
            except Exception as error:  # whatever backs an image may fail in ways of its own; told to whom it concerns
                if is_out_of_memory(error):
                    self._give_back(buffer)
                    raise
                ready.errors[tile] = error
                voxels[place] = 0
        return ready

    def _normalize(self, raw: Array, out: Array) -> None:
        """Do what `Normalization` does, into memory that is there already, a few slices at a time for the cache's sake."""
        raw = raw.reshape(out.shape)
        channels = len(out) if out.size <= _CACHED_VOXELS else 1
        slices = max(1, _CACHED_VOXELS // max(1, out.shape[2] * out.shape[3]))
        for c, z in product(range(0, len(out), channels), range(0, out.shape[1], slices)):
            here = (slice(c, c + channels), slice(z, z + slices))
            part, centre, scale = out[here], self._centre[c : c + channels], self._scale[c : c + channels]
            with np.errstate(over="ignore", invalid="ignore"):
                part[...] = raw[here]
            if raw.dtype.kind == "f":
                np.copyto(part, centre, where=~np.isfinite(part))
            part -= centre
            part /= scale
            if self.normalization.compressed:
                np.arcsinh(part, out=part)

    def _new_buffer(self) -> torch.Tensor:
        shape = (self.batch, self.image.channels, *self.tiling.tile_shape)
        return torch.empty(shape, pin_memory=self.forward.device.type == "cuda")

    def _give_back(self, inputs: torch.Tensor) -> None:
        whole = inputs if inputs._base is None else inputs._base
        if len(self._buffers) < 2:
            self._buffers.append(whole)

    def _predict(self, ready: Group) -> list[Array]:
        """Call the network on a group, in smaller and smaller parts while memory is short."""
        done: list[Array] = []
        while len(done) < len(ready.tiles):
            part = slice(len(done), len(done) + self._at_once)
            try:
                done += self._call(ready.inputs[part], ready.tiles[part])
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self._at_once == 1 and not self._ahead:
                    raise TooLargeError(
                        f"A single tile of {self.tiling.tile_shape} voxels (z, y, x) does not fit into the memory of "
                        f"'{self.forward.device}'. Choose smaller blocks (block_shape= or --block, now "
                        f"{self.tiling.block_shape}) with another output, or another device."
                    ) from error
                self._save_memory()
        return done

    def _save_memory(self) -> None:
        """Halve what is worked on at once, then read nothing ahead; which tiles there are does not change."""
        self._ahead = self._at_once > 1 and self._ahead
        self._at_once = max(1, self._at_once // 2)
        if not self._ahead:
            self.forget()
            self._buffers.clear()
        gc.collect()
        if self.forward.device.type == "cuda":
            torch.cuda.empty_cache()

    def _call(self, inputs: torch.Tensor, tiles: range) -> list[Array]:
        crops = [self._crop(tile) for tile in tiles]
        outputs = self.forward(inputs.to(self.forward.device, non_blocking=True), crops)
        kind = torch.float16 if self.dtype == np.float16 else torch.float32
        arrays = []
        for output in outputs:
            here = output.to(kind).contiguous().cpu()
            arrays.append(here.numpy())
        return arrays

    def _crop(self, tile: int) -> tuple[slice, ...]:
        inner: Box = self.tiling.support(tile).relative_to(self.tiling.tile(tile).start)
        return inner.slices
