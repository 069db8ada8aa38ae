"""A prediction as an array that computes what is asked for, block by block on a fixed lattice.

The lattice does not depend on the request, so a voxel has the same value whoever asks for it, in whatever order, in a
viewer or when the whole volume is written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.contracts import Normalization, call_network
from segkit.geometry import Box, Lattice, Triple
from segkit.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["PredictedArray", "prediction_lattice"]

Array = np.ndarray[Any, Any]

_INPUT_VOXELS = 1 << 21  # about 128 x 128 x 128: beyond that a CPU or GPU gets no faster, and memory only grows
_CACHE_BYTES = 1 << 26


def _round_up(values: Sequence[int], multiples: Sequence[int]) -> Triple:
    z, y, x = (-(-v // m) * m for v, m in zip(values, multiples, strict=True))
    return z, y, x


def prediction_lattice(
    network: nn.Module, patch_shape: Triple, image: Volume, block_shape: Triple | None, halo: Triple | None
) -> tuple[Lattice, Triple]:
    """Choose the blocks and the halo for predicting an image.

    A network that halves its input n times treats voxels differently by their place modulo 2^n, so blocks and halos are
    multiples of its ``stride`` where it says so.
    """
    planar = getattr(network, "planar", False)
    stride = tuple(getattr(network, "stride", None) or (1, 1, 1))[-3:]
    stride = (1,) * (3 - len(stride)) + stride
    if halo is None:
        wanted = tuple(getattr(network, "halo", None) or tuple(p // 4 for p in patch_shape))[-3:]
        wanted = (0,) * (3 - len(wanted)) + wanted
        halo = _round_up([min(h, -(-p // 4)) for h, p in zip(wanted, patch_shape, strict=True)], stride)
        # A single slice has no context along z, and a planar network looks for none.
        halo = (0 if planar or image.spatial_shape[0] == 1 else halo[0], halo[1], halo[2])
    if block_shape is None:
        extent = _round_up(image.spatial_shape, stride)
        block = list(_round_up([min(p, n) for p, n in zip(patch_shape, extent, strict=True)], stride))
        budget = _INPUT_VOXELS
        while True:
            grown = [min(2 * b, n) for b, n in zip(block, extent, strict=True)]
            # Grow the axis that is smallest against its halo first, while the input stays within the budget.
            order = sorted(range(3), key=lambda axis: block[axis] / (halo[axis] + 1))
            for axis in order:
                candidate = [grown[a] if a == axis else b for a, b in enumerate(block)]
                size = np.prod([b + 2 * h for b, h in zip(candidate, halo, strict=True)])
                if candidate != block and size <= budget:
                    block = candidate
                    break
            else:
                break
        # Multiples of 16 make blocks of a store that common chunk shapes divide.
        steps = [lcm(s, 16) if b > 16 and b < n else s for s, b, n in zip(stride, block, extent, strict=True)]
        block_shape = _round_up(block, steps)
    return Lattice(image.box, block_shape), halo


class PredictedArray:
    """Activated outputs of a network over an image, ``(K, Z, Y, X)`` float32, computed when sliced.

    Parameters
    ----------
    network
        The network, in evaluation mode, on its device.
    activate
        The task's activation of logits.
    normalization
        Scaling of the image.
    precision
        ``float32``, ``bfloat16`` or ``float16``.
    out_channels
        Number of channels K.
    image
        The image.
    lattice
        Blocks that are computed at once.
    halo
        Voxels (z, y, x) of context around a block; beyond the image it is reflected.
    """

    def __init__(
        self,
        network: nn.Module,
        activate: Callable[[Tensor], Tensor],
        normalization: Normalization,
        precision: str,
        out_channels: int,
        image: Volume,
        lattice: Lattice,
        halo: Triple,
    ) -> None:
        self.network, self.activate, self.normalization, self.precision = network, activate, normalization, precision
        self.image, self.lattice, self.halo = image, lattice, halo
        self.shape = (out_channels, *image.spatial_shape)
        self.dtype = np.dtype(np.float32)
        self._cache: OrderedDict[int, Array] = OrderedDict()
        self._lock = threading.RLock()  # one network, one request at a time; viewers ask from several threads

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        channels, *space = key
        start, stop = zip(
            *[(s.indices(n)[0], s.indices(n)[1]) for s, n in zip(space, self.shape[1:], strict=True)], strict=True
        )
        wanted = Box(start, stop)
        out = np.empty((self.shape[0], *wanted.shape), self.dtype)
        for index in self.lattice.touching(wanted):
            box = self.lattice[index]
            shared = box & wanted
            if shared is not None:
                block = self._block(index)
                out[(slice(None), *shared.relative_to(wanted.start).slices)] = block[
                    (slice(None), *shared.relative_to(box.start).slices)
                ]
        return out[channels]

    def _block(self, index: int) -> Array:
        with self._lock:
            if index not in self._cache:
                self._cache[index] = self._compute(self.lattice[index])
                while len(self._cache) > 1 and sum(block.nbytes for block in self._cache.values()) > _CACHE_BYTES:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(index)
            return self._cache[index]

    def _compute(self, box: Box) -> Array:
        """Predict one block. The network always sees the same shape, also at the far borders of the image."""
        import torch

        full = Box.of_shape(self.lattice.block_shape, box.start).grow(self.halo)
        raw = self.image.read(full).reshape(-1, *full.shape)
        if raw.dtype.kind == "f":
            raw = np.where(np.isfinite(raw), raw, np.asarray(self.normalization.centre, raw.dtype).reshape(-1, 1, 1, 1))
        device = next((p.device for p in self.network.parameters()), torch.device("cpu"))
        inputs = torch.from_numpy(self.normalization(raw))[None].to(device)
        half = getattr(torch, self.precision)
        with torch.inference_mode(), torch.autocast(device.type, half, enabled=self.precision != "float32"):
            logits = call_network(self.network, inputs)
        outputs = self.activate(logits.float())[0].cpu().numpy()
        inner = box.relative_to(full.start)
        return np.ascontiguousarray(outputs[(slice(None), *inner.slices)])
