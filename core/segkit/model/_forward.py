"""The network's part of a prediction: a batch of tiles in, activated outputs of their inner voxels out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from segkit.contracts import call_network
from segkit.errors import UsageError
from segkit.model._arithmetic import Augmentation, Layout, Precision

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Forward", "TooLargeError", "in_channels_last", "is_out_of_memory", "using_threads"]

Crop = tuple[slice, ...]

_SHORT_OF_MEMORY = (  # how runtimes say it that raise no error of their own
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "could not allocate",
    "cannot allocate memory",
    "alloc_failed",
    "insufficient resources",
)


class TooLargeError(UsageError, MemoryError):
    """A single tile that does not fit into memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is short: on GPUs it has a class of its own, on CPUs it often has none."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SHORT_OF_MEMORY)


def in_channels_last(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose weights lie voxel by voxel; the one that is given may be in training."""
    planar = getattr(network, "planar", False)
    return deepcopy(network).to(memory_format=torch.channels_last if planar else torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Let torch compute with so many threads inside the block, when asked from this thread; None for as many as it has."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Forward:
    """How a network is called.

    Parameters
    ----------
    network
        The network, in evaluation mode, on its device.
    activate
        The task's activation of logits.
    precision
        Number format of its arithmetic.
    layout
        Order of numbers in memory: channel by channel, or voxel by voxel.
    augmentation
        ``none``; ``flips`` averages the predictions of the tile mirrored along each of its axes (8 calls of the network, 4 for
        a planar one); ``turns`` also turns it by a quarter in the plane (16 or 8 calls).
    threads
        Threads of torch on a CPU, on which the last bits depend; None for as many as it has.
    """

    network: nn.Module
    activate: Callable[[Tensor], Tensor]
    precision: Precision = "float32"
    layout: Layout = "contiguous"
    augmentation: Augmentation = "none"
    threads: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def calls(self) -> int:
        """How often the network is called on each tile."""
        return len(list(self._ways()))

    def __call__(self, tiles: Tensor, crops: Sequence[Crop]) -> list[Tensor]:
        """Predict tiles.

        Parameters
        ----------
        tiles
            ``(N, C, Z, Y, X)`` float32, normalised, on the device of the network.
        crops
            For each tile the part (z, y, x) that is wanted.

        Returns
        -------
        list of torch.Tensor
            For each tile ``(K, z, y, x)`` float32, activated.
        """
        half = getattr(torch, self.precision)
        if self.layout == "channels_last":
            tiles = tiles.contiguous(memory_format=torch.channels_last_3d)
        sums: list[Tensor] = []
        with using_threads(self.threads), torch.inference_mode():
            for flips, quarters in self._ways():
                seen = torch.rot90(tiles, quarters, (3, 4)) if quarters else tiles
                seen = seen.flip(flips) if flips else seen
                with torch.autocast(self.device.type, half, enabled=self.precision != "float32"):
                    logits = call_network(self.network, seen)
                logits = logits.flip(flips) if flips else logits
                logits = torch.rot90(logits, -quarters, (3, 4)) if quarters else logits
                # Activation comes after the crop, which only leaves voxels out, and before the mean.
                outputs = [self.activate(logits[n : n + 1, :, *crop].float())[0] for n, crop in enumerate(crops)]
                sums = [a + b for a, b in zip(sums, outputs, strict=True)] if sums else outputs
            calls = self.calls
            return [total / calls for total in sums] if calls > 1 else sums

    def _ways(self) -> Iterator[tuple[list[int], int]]:
        """Yield the axes to mirror and the quarters to turn; what is given is seen first."""
        if self.augmentation == "none":
            yield [], 0
            return
        spatial = (3, 4) if getattr(self.network, "planar", False) else (2, 3, 4)
        for quarters in (0, 1) if self.augmentation == "turns" else (0,):
            for chosen in range(2 ** len(spatial)):
                yield [axis for bit, axis in enumerate(spatial) if chosen >> bit & 1], quarters
