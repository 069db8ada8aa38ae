"""The blocks of one level of an output: how each comes about, and how it gets to the disk, in whatever process."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import DataError, StorageError
from segkit.geometry import Box, Triple
from segkit.store import Blocks, reduce_block
from segkit.volume import Volume
from segkit.writing._plan import PLAN

__all__ = ["Check", "Finest", "Level", "Reduced"]

Array = np.ndarray[Any, Any]

_PAUSES = (0.0, 0.5, 2.0, 5.0)  # seconds in which a network filesystem shows a new file everywhere


def _digest(voxels: Array) -> str:
    """Return a hash of voxels; processors of today compute SHA-256 faster than what is faster without their help."""
    return sha256(np.ascontiguousarray(voxels).data).hexdigest()[:32]


@dataclass(frozen=True)
class Finest:
    """Blocks of the volume itself."""

    volume: Volume

    def __call__(self, box: Box) -> Array:
        return self.volume.read(box)


@dataclass(frozen=True)
class Reduced:
    """Blocks made of the next finer level, by `step` voxels along ``(z, y, x)``."""

    finer: Blocks
    step: Triple
    labels: bool

    def __call__(self, box: Box) -> Array:
        return reduce_block(self.finer.read, self.finer.lattice.extent, self.step, box, labels=self.labels)


@dataclass(frozen=True)
class Level:
    """Computes and writes blocks durably; called with the index of one, it returns the hash of its voxels.

    Parameters
    ----------
    root
        The output, as an absolute path.
    plan
        Hash of its plan.
    blocks
        The blocks of this level.
    compute
        Returns the voxels of a box.
    dtype, source
        Of the volume that is written.
    """

    root: Path
    plan: str
    blocks: Blocks
    compute: Callable[[Box], Array]
    dtype: np.dtype[Any]
    source: str

    def __call__(self, index: int) -> str:
        box = self.blocks.lattice[index]
        return self.store(index, self.fitting(self.compute(box), box))

    def fitting(self, voxels: Array, box: Box) -> Array:
        """Return the voxels of a box if they are what is to be written there.

        Raises
        ------
        DataError
            If they are of another shape or type.
        """
        shape = (*self.blocks.shape[:-3], *box.shape)
        if voxels.shape != shape or voxels.dtype != self.dtype:
            raise DataError(
                f"{self.source} gave {voxels.shape} {voxels.dtype} for {box}, where {shape} {self.dtype} was due."
            )
        return voxels

    def store(self, index: int, voxels: Array) -> str:
        """Write one block durably, and return the hash of its voxels."""
        self._check_output()
        self.blocks.write(self.blocks.lattice[index], voxels)
        return _digest(voxels)

    def _check_output(self) -> None:
        """Refuse to write where this process sees no output, or that of another plan.

        A worker may be at a block still when its coordinator was stopped and the output was begun anew.
        """
        for pause in _PAUSES:
            time.sleep(pause)
            with suppress(OSError):
                found = (self.root / PLAN).read_bytes()
                break
        else:
            found = b"{}"
        if json.loads(found).get("hash") == self.plan:
            return
        raise StorageError(
            f"{self.root} is not the output that this block belongs to, as {socket.gethostname()} sees it. Write to a folder "
            "that all workers share under the same path, and with one command at a time."
        )


@dataclass(frozen=True)
class Check:
    """Called with the index of a block: whether its voxels on the disk have the hash that was recorded."""

    blocks: Blocks
    hashes: Mapping[int, str]

    def __call__(self, index: int) -> bool:
        try:
            return _digest(self.blocks.read(self.blocks.lattice[index])) == self.hashes[index]
        except DataError:
            return False
