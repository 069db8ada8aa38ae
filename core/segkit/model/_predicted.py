"""A prediction as an array that computes what is asked for, block by block on a fixed tiling.

The tiling does not depend on the request, so a voxel has the same value whoever asks for it, in whatever order, in a
viewer or when the whole volume is written.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.contracts import Normalization
from segkit.geometry import Box, Lattice, Triple
from segkit.model._blending import blend_pieces, contributors, heirs, piece_of
from segkit.model._forward import Forward
from segkit.model._kept import Kept
from segkit.model._pipeline import Pipeline
from segkit.model._tiling import Tiling
from segkit.volume import Volume

__all__ = ["PredictedArray"]

Array = np.ndarray[Any, Any]

_CACHE_BYTES = 1 << 26  # blocks that a viewer may ask for again
_STRIP_BYTES = 1 << 29  # what tiles say about blocks to come, where they are blended; beyond it they are computed again
_LOOK_AHEAD = 64


@dataclass(frozen=True)
class _Request:
    """One block that a box needs."""

    box: Box
    block: int
    last: bool


class PredictedArray:
    """Activated outputs of a network over an image, ``(K, Z, Y, X)``, computed when sliced.

    Parameters
    ----------
    image
        The image.
    tiling
        Blocks and tiles.
    normalization
        Scaling of the image.
    forward
        The network and how it is called.
    out_channels
        Number of channels K.
    batch
        Tiles that the network sees at once.
    dtype
        Type of a voxel, float32 or float16.
    """

    def __init__(
        self,
        image: Volume,
        tiling: Tiling,
        normalization: Normalization,
        forward: Forward,
        out_channels: int,
        batch: int,
        dtype: str = "float32",
    ) -> None:
        self.image, self.tiling, self.normalization, self.forward = image, tiling, normalization, forward
        self.batch = batch
        self.shape = (out_channels, *image.spatial_shape)
        self.dtype = np.dtype(dtype)
        self._start()

    def _start(self) -> None:
        self._pipeline = Pipeline(self.image, self.tiling, self.normalization, self.forward, self.batch, self.dtype)
        self._blocks = Kept[int, Array | Exception]()
        self._strips = Kept[tuple[int, int], Array]()
        self._lock = threading.RLock()  # one network, one request at a time; viewers ask from several threads

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what only this process can use, and what can be computed again."""
        private = ("_pipeline", "_blocks", "_strips", "_lock")
        return {name: value for name, value in self.__dict__.items() if name not in private}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def lattice(self) -> Lattice:
        """The blocks that are computed at once."""
        return self.tiling.lattice

    @property
    def halo(self) -> Triple:
        """Voxels (z, y, x) of context around a block."""
        return self.tiling.halo

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        channels, *space = key
        start, stop = zip(
            *[(s.indices(n)[0], s.indices(n)[1]) for s, n in zip(space, self.shape[1:], strict=True)], strict=True
        )
        wanted = Box(start, stop)
        if wanted.size == 0:
            return np.empty((self.shape[0], *wanted.shape), self.dtype)[channels]
        return next(self._boxes([wanted], keep=True))[channels]

    def read_blocks(self, boxes: Iterable[Box]) -> Iterator[Array]:
        """Yield the prediction in many boxes, in order; reading goes on while the network and the caller work.

        Parameters
        ----------
        boxes
            Regions inside the image, best the blocks of `lattice`, in its order.

        Raises
        ------
        DataError
            At the box whose image cannot be read.
        """
        yield from self._boxes(boxes, keep=False)

    def _boxes(self, boxes: Iterable[Box], *, keep: bool) -> Iterator[Array]:
        out: Array | None = None
        for request, voxels in self._compute(self._requests(boxes), keep=keep):
            box, block = request.box, self.tiling.block(request.block)
            if box == block:
                yield voxels.copy() if keep else voxels
                continue
            if out is None:
                out = np.empty((self.shape[0], *box.shape), self.dtype)
            shared = block & box
            assert shared is not None
            out[(slice(None), *shared.relative_to(box.start).slices)] = voxels[
                (slice(None), *shared.relative_to(block.start).slices)
            ]
            if request.last:
                yield out
                out = None

    def _requests(self, boxes: Iterable[Box]) -> Iterator[_Request]:
        for box in boxes:
            blocks = list(self.lattice.touching(box))
            yield from (_Request(box, block, place == len(blocks)) for place, block in enumerate(blocks, 1))

    def _compute(self, requests: Iterator[_Request], *, keep: bool) -> Iterator[tuple[_Request, Array]]:
        """Yield each request with its block; `keep` says that the same may soon be asked for again."""
        ahead: deque[_Request] = deque()
        look_ahead = max(_LOOK_AHEAD, self.batch + 1)  # to the group after this one
        try:
            while True:
                while len(ahead) < look_ahead and (request := next(requests, None)) is not None:
                    ahead.append(request)
                if not ahead:
                    return
                request = ahead.popleft()
                with self._lock:
                    voxels = self._block(request.block, ahead)
                    whole = request.box == self.tiling.block(request.block)
                    if not keep and whole:
                        self._blocks.drop(request.block)
                yield request, voxels
        finally:
            with self._lock:
                self._pipeline.forget()

    def _block(self, block: int, ahead: Iterable[_Request]) -> Array:
        if block not in self._blocks:
            if self.tiling.blend == "none":
                self._run(block, ahead)
            else:
                self._keep_block(block, self._blend(block, ahead))
                self._strips.shrink(_STRIP_BYTES if ahead else _CACHE_BYTES)
        voxels = self._blocks[block]
        if isinstance(voxels, Exception):
            self._blocks.drop(block)  # the next who asks may be luckier
            raise voxels
        return voxels

    def _blend(self, block: int, ahead: Iterable[_Request]) -> Array:
        """Add up what all tiles say about a block, always in the order of the tiles, whenever they were computed."""
        pieces = {}
        for tile in contributors(self.tiling, block):
            if (block, tile) not in self._strips:
                failure = self._run(tile, ahead)
                if failure is not None:
                    raise failure
            pieces[tile] = self._strips.pop((block, tile))
        return blend_pieces(self.tiling, block, pieces).astype(self.dtype, copy=False)

    def _run(self, tile: int, ahead: Iterable[_Request]) -> Exception | None:
        """Compute the group of a tile, and keep what it gives."""
        group = self._pipeline.group_of(tile)
        failure = None
        for other, outputs in self._pipeline.run(group, self._following(group, ahead)).items():
            if self.tiling.blend == "none":
                self._keep_block(other, outputs)
            elif not isinstance(outputs, Exception):
                self._keep_strips(other, outputs)
            elif other == tile:
                failure = outputs
        return failure

    def _following(self, group: int, ahead: Iterable[_Request]) -> list[int]:
        """Return the group that will be needed after this one, as far as can be seen."""
        for request in ahead:
            if request.block not in self._blocks:
                later = self._pipeline.group_of(request.block)
                if later != group:
                    return [later]
        return []

    def _keep_block(self, block: int, voxels: Array | Exception) -> None:
        self._blocks[block] = voxels
        own = voxels.nbytes if isinstance(voxels, np.ndarray) else 0
        self._blocks.shrink(max(_CACHE_BYTES, 2 * self.batch * own))

    def _keep_strips(self, tile: int, outputs: Array) -> None:
        for block in heirs(self.tiling, tile):
            inner = piece_of(self.tiling, block, tile)
            if inner is not None:
                # A copy, for a view of a strip would keep the whole tile alive.
                self._strips[block, tile] = outputs[(slice(None), *inner.slices)].copy()
