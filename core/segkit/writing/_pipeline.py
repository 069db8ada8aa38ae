"""Blocks of a volume that computes several at once, written by other threads while the next are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from segkit.errors import StorageError
from segkit.execution import Failure
from segkit.volume import Volume
from segkit.writing._level import Level

__all__ = ["Overlapped", "pipeline"]


@dataclass(frozen=True)
class Overlapped:
    """A level whose volume works on several blocks at once, for a worker of a cluster: one more thread writes."""

    level: Level
    volume: Volume

    def __call__(self, index: int) -> str:
        return self.level(index)

    def many(self, indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield each block with the hash of its voxels or its failure."""
        yield from pipeline(self.level, self.volume, indices, lambda index, digest: None, writers=1, tries=1)


def pipeline(
    level: Level,
    volume: Volume,
    todo: Sequence[int],
    record: Callable[[int, str], None],
    *,
    writers: int,
    tries: int,
) -> Iterator[tuple[int, Any]]:
    """Yield each block once it is on the disk, with the hash of its voxels or its failure.

    Parameters
    ----------
    level
        Writes the blocks.
    volume
        Gives their voxels, in order, through its ``read_blocks``.
    todo
        Which blocks; one that fails is tried again by itself after the others.
    record
        Told each block that is on the disk and its hash, also those that are not yielded because this was stopped.
    writers
        How many threads compress and write. One block more than that waits for them at most.
    tries
        How often a block may fail.

    Raises
    ------
    StorageError
        If the disk refuses.
    """

    def store(index: int, voxels: Any) -> str:
        digest = level.store(index, voxels)
        record(index, digest)
        return digest

    pending: deque[tuple[int, Future[str]]] = deque()
    with ThreadPoolExecutor(writers, "segkit-write") as threads, closing(_voxels(level, volume, todo, tries)) as blocks:
        for index, voxels in blocks:
            if isinstance(voxels, Failure):
                yield index, voxels
                continue
            pending.append((index, threads.submit(store, index, voxels)))
            del voxels
            while pending and (pending[0][1].done() or len(pending) > writers):
                index, writing = pending.popleft()
                yield index, writing.result()
        for index, writing in pending:
            yield index, writing.result()


def _voxels(level: Level, volume: Volume, todo: Sequence[int], tries: int) -> Generator[tuple[int, Any], None, None]:
    lattice = level.blocks.lattice
    left, again = deque(todo), deque[int]()
    failed: dict[int, int] = {}
    while left or again:
        # What failed is asked for alone, so that it fails alone.
        batch = list(left) or [again.popleft()]
        left.clear()
        reading = volume.read_blocks(lattice[index] for index in batch)
        for place, index in enumerate(batch):
            try:
                voxels = level.fitting(next(reading), lattice[index])
            except (StorageError, MemoryError):
                raise
            except Exception as error:  # whatever computes a block may fail in ways of its own
                left.extend(batch[place + 1 :])
                failed[index] = failed.get(index, 0) + 1
                if failed[index] < tries:
                    again.append(index)
                else:
                    yield index, Failure.of(error)
                break
            yield index, voxels
            del voxels
