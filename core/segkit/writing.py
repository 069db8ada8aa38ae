"""`write_volume`: any lazy volume to an OME-Zarr store, block by block, continued exactly where it stopped.

A block is computed, written, put on the disk and only then recorded, with a hash of its voxels, in the journal of the
output. Whoever comes back to an unfinished output reads the recorded blocks again and computes those that are missing
or changed. What would make the voxels another result is the plan; an output is only ever continued with its own.

    output.zarr/.segkit/lock           held while somebody writes
    output.zarr/.segkit/plan.json      written last when an output is made, removed first when it is replaced
    output.zarr/.segkit/journal.jsonl  one line a block
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np

from segkit import durable
from segkit._memory import give_back_freed_arrays
from segkit.errors import DataError, IncompleteError, OutputExistsError, StorageError, UsageError
from segkit.geometry import Box, Triple
from segkit.progress import Progress, silent
from segkit.store import Blocks, choose_blocks, create_zarr, level_factors, open_zarr, reduce_block, set_complete
from segkit.volume import Volume

__all__ = ["write_volume"]

_TRIES = 3
_SMALLEST_RATIO = 100  # compressed to one hundredth, images and labels never are much smaller


def write_volume(
    volume: Volume,
    path: str | Path,
    *,
    block_shape: Triple | None = None,
    chunk_shape: Triple | None = None,
    pyramid: int | None = None,
    labels: bool | None = None,
    plan: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    verify: bool = False,
    progress: Progress = silent,
) -> Volume:
    """Write a volume as OME-Zarr; run again to continue what was interrupted.

    The memory it takes depends on the size of a block, not on that of the volume. One block is written while the next
    is computed.

    Parameters
    ----------
    volume
        What is written; it may be computed as it is read.
    path
        The folder of the output, by custom with a name in ``.zarr``.
    block_shape
        What is computed and written at once, ``(z, y, x)``, one file each; None chooses about 128^3 voxels, or what the
        volume is itself stored in.
    chunk_shape
        What is compressed and read at once, ``(z, y, x)``, a divisor of `block_shape`; None chooses about 64^3.
    pyramid
        Number of resolutions, the full one included; None until no axis is longer than 256 voxels.
    labels
        Whether the voxels are ids, of which coarser levels keep one of each group instead of the mean; None takes
        integers of 32 and 64 bits and booleans for ids.
    plan
        What else makes the result what it is, such as the hash of a model; anything JSON can say. An unfinished output
        is continued only under an equal plan. None takes the source of the volume.
    overwrite
        Whether an output of segkit's that is there is replaced. Anything else is never touched.
    verify
        Whether a finished output is read and checked against its journal, and what is damaged written again; an
        unfinished one always is.
    progress
        Called with the blocks done and the blocks in all, those of the coarser levels included. Whatever it raises stops
        the writing, which can then be continued.

    Returns
    -------
    Volume
        The output, opened.

    Raises
    ------
    OutputExistsError
        If there is something else at `path`, or an output with another plan.
    BusyError
        If another process is writing it.
    IncompleteError
        If some blocks failed three times; the others are written.
    StorageError
        If the disk refuses or is too small.
    UsageError
        If the blocks do not fit or the voxels are of a type that cannot be stored.
    """
    give_back_freed_arrays()
    root = Path(path)
    private = root / ".segkit"
    if root.exists() and not (root.is_dir() and ((private / "lock").exists() or not any(root.iterdir()))):
        raise OutputExistsError(
            f"There is already something at {root} that segkit did not write this way, and it is left alone. Choose another "
            "path, or remove it yourself."
        )
    block, chunk = choose_blocks(volume, block_shape, chunk_shape)
    wanted = _make_plan(volume, block, chunk, pyramid, labels, plan)
    durable.make_dirs(root.absolute())
    with durable.lock(private / "lock", str(root)):
        durable.sweep(root)
        durable.sweep(private)
        if overwrite or not (private / "plan.json").exists():
            _clear(root)
            _create(root, volume, wanted)
        elif differences := list(_differences(_read_plan(private / "plan.json"), wanted)):
            raise OutputExistsError(
                f"{root} was begun with other settings ({'; '.join(differences[:8])}), which would mix two results. Use the "
                "same settings to continue it, choose another path, or overwrite it (overwrite=True or --overwrite)."
            )
        elif open_zarr(root).metadata["complete"] and not verify:
            return open_zarr(root)
        _Writing(root, volume, wanted["labels"], progress).run()
    return open_zarr(root)


def _make_plan(
    volume: Volume,
    block: Triple,
    chunk: Triple,
    pyramid: int | None,
    labels: bool | None,
    plan: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Say all that decides on the voxels of the output, as JSON gives it back."""
    ids = volume.dtype.kind == "b" or (volume.dtype.kind in "iu" and volume.dtype.itemsize >= 4)
    wanted = {
        "shape": volume.shape,
        "dtype": volume.dtype.name,
        "axes": volume.axes,
        "voxel_size": volume.voxel_size,
        "offset": volume.offset,
        "unit": volume.unit,
        "channel_names": volume.channel_names,
        "block_shape": block,
        "chunk_shape": chunk,
        "levels": level_factors(volume.spatial_shape, volume.voxel_size, pyramid),
        "labels": ids if labels is None else labels,
        "made_from": {"source": volume.source} if plan is None else dict(plan),
    }
    try:
        plain: dict[str, Any] = json.loads(json.dumps(wanted, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The plan {plan!r} holds something that JSON cannot say ({error}). Use text and numbers."
        ) from error
    return plain


def _hash(content: Any) -> str:
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        found: dict[str, Any] = content["plan"]
        if _hash(found) != content["hash"]:
            raise ValueError("its hash does not fit")
    except (ValueError, KeyError, TypeError) as error:
        raise OutputExistsError(
            f"{path} is damaged ({error!r}), so the output cannot be continued. Overwrite it (overwrite=True or --overwrite)."
        ) from error
    return found


def _differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield what differs between two plans, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
    elif old != new:
        yield f"{where.removeprefix('made_from.')} was {old!r}, now {new!r}"


def _clear(root: Path) -> None:
    """Take away what an earlier writing left; only names that segkit gives are touched."""
    for name in (".segkit/plan.json", "zarr.json", ".segkit/journal.jsonl"):
        durable.remove(root / name)
    for folder in root.iterdir():
        if folder.name.isdigit():
            durable.remove(folder)


def _create(root: Path, volume: Volume, plan: Mapping[str, Any]) -> None:
    create_zarr(
        root,
        shape=volume.shape,
        dtype=volume.dtype,
        axes=volume.axes,
        voxel_size=volume.voxel_size,
        offset=volume.offset,
        unit=volume.unit,
        block_shape=tuple(plan["block_shape"]),
        chunk_shape=tuple(plan["chunk_shape"]),
        channel_names=volume.channel_names,
        levels=len(plan["levels"]),
        attributes=_plain(volume.metadata),
    )
    content = {"hash": _hash(plan), "plan": plan}
    durable.replace_file(root / ".segkit" / "plan.json", json.dumps(content, indent=1).encode())


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the metadata that JSON can say."""
    kept = {}
    for key, value in metadata.items():
        try:
            kept[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            continue
    return kept


def _digest(voxels: np.ndarray[Any, Any]) -> str:
    return blake2b(np.ascontiguousarray(voxels).data, digest_size=16).hexdigest()


@dataclass
class _Writing:
    """One attempt at an output whose lock is held."""

    root: Path
    volume: Volume
    labels: bool
    progress: Progress
    done: int = 0
    total: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        return self.root / ".segkit" / "journal.jsonl"

    def run(self) -> None:
        levels = [Blocks(self.root / str(level)) for level in range(len(open_zarr(self.root).levels) + 1)]
        self.total = sum(len(blocks.lattice) for blocks in levels)
        self.progress(0, self.total)
        left = [self._unwritten(level, blocks) for level, blocks in enumerate(levels)]
        if any(left):
            self._check_room(levels, left)
            if open_zarr(self.root).metadata["complete"]:
                set_complete(self.root, False)
        for level, blocks in enumerate(levels):
            compute = self._computation(level, levels)
            self._write_level(level, blocks, left[level], compute)
            if self.failed:
                some = "; ".join(self.failed[:5]) + ("; …" if len(self.failed) > 5 else "")
                raise IncompleteError(
                    f"{len(self.failed)} of {len(blocks.lattice)} blocks of {self.root} failed {_TRIES} times each: {some}. The "
                    "others are written. Remove the cause and run the same again: only these are then computed."
                )
        if not open_zarr(self.root).metadata["complete"]:
            set_complete(self.root, True)

    def _unwritten(self, level: int, blocks: Blocks) -> list[int]:
        """Return the blocks that are not on the disk as their last record says."""
        hashes = {
            r["block"]: r["hash"] for r in durable.cut_torn_tail(self.journal) if r["level"] == level and "hash" in r
        }
        left = []
        for index in range(len(blocks.lattice)):
            if index in hashes and self._holds(blocks, index, hashes[index]):
                self.done += 1
                self.progress(self.done, self.total)
            else:
                left.append(index)
        return left

    @staticmethod
    def _holds(blocks: Blocks, index: int, digest: str) -> bool:
        try:
            return _digest(blocks.read(blocks.lattice[index])) == digest
        except DataError:
            return False

    def _check_room(self, levels: Sequence[Blocks], left: Sequence[Sequence[int]]) -> None:
        voxels = sum(blocks.lattice[index].size for blocks, todo in zip(levels, left, strict=True) for index in todo)
        need = voxels * self.volume.channels * self.volume.dtype.itemsize
        free = shutil.disk_usage(self.root).free
        if free < need // _SMALLEST_RATIO:
            raise StorageError(
                f"{need / 2**30:.1f} GiB of voxels are to be written to {self.root}, and only {free / 2**30:.2f} GiB are free "
                f"there; compression never makes them fit. Make room, then run the same again."
            )

    def _computation(self, level: int, levels: Sequence[Blocks]) -> Callable[[Box], np.ndarray[Any, Any]]:
        if level == 0:
            return self.volume.read
        finer = levels[level - 1]
        extent, coarser = finer.lattice.extent, levels[level].lattice.extent
        step = cast("Triple", tuple(2 if n < m else 1 for n, m in zip(coarser.shape, extent.shape, strict=True)))
        return lambda box: reduce_block(finer.read, extent, step, box, labels=self.labels)

    def _write_level(
        self, level: int, blocks: Blocks, todo: Sequence[int], compute: Callable[[Box], np.ndarray[Any, Any]]
    ) -> None:
        """Compute the blocks in order, those that failed once more after the others, while the one before is written."""

        def store(index: int, voxels: np.ndarray[Any, Any]) -> None:
            blocks.write(blocks.lattice[index], voxels)
            durable.append_record(self.journal, {"level": level, "block": index, "hash": _digest(voxels)})

        def settle(writing: Future[None] | None) -> None:
            if writing is not None:
                writing.result()
                self.done += 1
                self.progress(self.done, self.total)

        queue, tries = deque(todo), dict.fromkeys(todo, 0)
        pending: Future[None] | None = None
        with ThreadPoolExecutor(1, "segkit-write") as writer:
            while queue:
                index = queue.popleft()
                try:
                    voxels = self._computed(compute, blocks, index)
                except (StorageError, MemoryError):
                    raise
                except Exception as error:  # whatever computes a block may fail in ways of its own
                    tries[index] += 1
                    if tries[index] < _TRIES:
                        queue.append(index)
                    else:
                        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                        self.failed.append(f"block {index} ({blocks.lattice[index]}): {reason}")
                        settle(pending)
                        pending = None
                        durable.append_record(self.journal, {"level": level, "failed": index, "reason": reason})
                    continue
                settle(pending)
                pending = writer.submit(store, index, voxels)
            settle(pending)

    def _computed(
        self, compute: Callable[[Box], np.ndarray[Any, Any]], blocks: Blocks, index: int
    ) -> np.ndarray[Any, Any]:
        box = blocks.lattice[index]
        voxels = compute(box)
        shape = (*blocks.shape[:-3], *box.shape)
        if voxels.shape != shape or voxels.dtype != self.volume.dtype:
            raise DataError(
                f"{self.volume.source} gave {voxels.shape} {voxels.dtype} for {box}, where {shape} {self.volume.dtype} was due."
            )
        return voxels
