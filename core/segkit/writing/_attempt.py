"""One attempt at an output whose lock is held: what is missing is written, level by level."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, cast

from segkit import durable
from segkit.errors import IncompleteError, StorageError
from segkit.execution import Cluster, Failure, connected, run
from segkit.geometry import Triple
from segkit.progress import Progress
from segkit.store import Blocks, open_zarr, set_complete
from segkit.volume import Volume
from segkit.writing._level import Check, Finest, Level, Reduced
from segkit.writing._pipeline import Overlapped, pipeline
from segkit.writing._plan import hash_of

__all__ = ["Attempt"]

_TRIES = 3
_WRITERS = 2
_SMALLEST_RATIO = 100  # compressed to one hundredth, images and labels never are much smaller
_BARRIER = 5.0  # seconds of work that a power cut may cost: blocks are checked again anyway


@dataclass
class Attempt:
    """Whoever comes after a kill makes the next one.

    Parameters
    ----------
    root
        The output, as an absolute path.
    volume
        What is written.
    plan
        Its plan, as it is on the disk.
    progress, cluster, workers
        See `segkit.write_volume`.
    """

    root: Path
    volume: Volume
    plan: Mapping[str, Any]
    progress: Progress
    cluster: Cluster | str | None
    workers: int | None
    done: int = 0
    total: int = 0
    failed: list[str] = field(default_factory=list)
    synced: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def journal(self) -> Path:
        """One line a block."""
        return self.root / ".segkit" / "journal.jsonl"

    def run(self) -> None:
        """Write what is missing.

        Raises
        ------
        IncompleteError
            If blocks of a level failed for good; the coarser levels, which are made of it, are then not begun.
        StorageError
            If the disk refuses.
        """
        levels = [Blocks(self.root / str(level)) for level in range(len(self.plan["levels"]))]
        self.total = sum(len(blocks.lattice) for blocks in levels)
        self.progress(0, self.total)
        for blocks in levels:
            blocks.sweep()
        with ExitStack() as stack:
            self.cluster = stack.enter_context(connected(self.cluster, self.workers))
            left = [self._unwritten(level, blocks) for level, blocks in enumerate(levels)]
            if any(left):
                self._check_room(levels, left)
                if open_zarr(self.root).metadata["complete"]:
                    set_complete(self.root, False)
            for number, blocks in enumerate(levels):
                self._write_level(number, blocks, left[number], self._level(number, levels))
                if self.failed:
                    more = f"; {len(self.failed) - 5} more in {self.journal}" if len(self.failed) > 5 else ""
                    some = "; ".join(self.failed[:5]) + more
                    raise IncompleteError(
                        f"{len(self.failed)} of {len(blocks.lattice)} blocks of {self.root} failed {_TRIES} times each: {some}. The "
                        "others are written. Remove the cause and run the same again: only these are then computed."
                    )
        if not open_zarr(self.root).metadata["complete"]:
            for blocks in levels if self.cluster is not None else ():
                blocks.sweep()  # workers that died leave halves; whoever still writes one writes what is there already
            set_complete(self.root, True)

    def _unwritten(self, level: int, blocks: Blocks) -> list[int]:
        """Return the blocks that are not on the disk as their last record says."""
        hashes = {
            r["block"]: r["hash"] for r in durable.cut_torn_tail(self.journal) if r["level"] == level and "hash" in r
        }
        recorded = sorted(index for index in hashes if 0 <= index < len(blocks.lattice))
        good = set()
        for index, holds in run(Check(blocks, hashes), recorded, cluster=self.cluster, workers=self.workers):
            if holds is True:
                good.add(index)
                self._tell()
        return [index for index in range(len(blocks.lattice)) if index not in good]

    def _tell(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)

    def _check_room(self, levels: Sequence[Blocks], left: Sequence[Sequence[int]]) -> None:
        voxels = sum(blocks.lattice[index].size for blocks, todo in zip(levels, left, strict=True) for index in todo)
        need = voxels * self.volume.channels * self.volume.dtype.itemsize
        free = shutil.disk_usage(self.root).free
        if free < need // _SMALLEST_RATIO:
            raise StorageError(
                f"{need / 2**30:.1f} GiB of voxels are to be written to {self.root}, and only {free / 2**30:.2f} GiB are free "
                f"there; compression never makes them fit. Make room, then run the same again."
            )

    def _level(self, number: int, levels: Sequence[Blocks]) -> Level:
        blocks = levels[number]
        compute: Finest | Reduced = Finest(self.volume)
        if number:
            finer, coarser = levels[number - 1].lattice.extent, blocks.lattice.extent
            step = tuple(2 if n < m else 1 for n, m in zip(coarser.shape, finer.shape, strict=True))
            compute = Reduced(levels[number - 1], cast("Triple", step), self.plan["labels"])
        return Level(self.root, hash_of(self.plan), blocks, compute, self.volume.dtype, self.volume.source)

    def _write_level(self, number: int, blocks: Blocks, todo: Sequence[int], level: Level) -> None:
        for index, outcome in self._written(number, todo, level):
            if isinstance(outcome, Failure):
                self.failed.append(f"block {index} ({blocks.lattice[index]}): {outcome.reason}")
                durable.append_record(self.journal, {"level": number, "failed": index, "reason": outcome.reason})
            else:
                self._tell()
        if todo:
            durable.append_record(self.journal, {"level": number, "failures": len(self.failed)})

    def _written(self, number: int, todo: Sequence[int], level: Level) -> Iterator[tuple[int, Any]]:
        """Yield what is on the disk, recorded."""

        def record(index: int, digest: str) -> None:
            with self.lock:
                sync = monotonic() - self.synced > _BARRIER
                durable.append_record(self.journal, {"level": number, "block": index, "hash": digest}, sync=sync)
                self.synced = monotonic() if sync else self.synced

        # What computes its voxels is asked by one thread: it overlaps its own work, and need not bear several threads.
        computes = number == 0 and hasattr(self.volume.array, "read_blocks")
        if self.cluster is None and (computes or (number == 0 and self.workers is None)):
            yield from pipeline(level, self.volume, todo, record, writers=self.workers or _WRITERS, tries=_TRIES)
            return
        work = Overlapped(level, self.volume) if computes else level
        batch = getattr(self.volume.array, "batch", 1) if computes else 1
        for index, outcome in run(work, todo, cluster=self.cluster, workers=self.workers, tries=_TRIES, batch=batch):
            if not isinstance(outcome, Failure):
                record(index, outcome)
            yield index, outcome
