"""`write_volume`: checks, the lock and the plan; an `Attempt` does the work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit import durable
from segkit._memory import give_back_freed_arrays
from segkit.errors import OutputExistsError
from segkit.execution import Cluster
from segkit.geometry import Triple
from segkit.progress import Progress, silent
from segkit.store import choose_blocks, open_zarr
from segkit.volume import Volume
from segkit.writing._attempt import Attempt
from segkit.writing._plan import PLAN, clear, create, differences, make_plan, read_plan

__all__ = ["write_volume"]


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
    cluster: Cluster | str | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Volume:
    """Write a volume as OME-Zarr; run again to continue what was interrupted.

    The memory it takes depends on the size of a block, not on that of the volume. Blocks are written while the next ones
    are computed. The output is the same, byte for byte, on one machine and on a cluster, however often it was interrupted.

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
    cluster
        Where to compute and write: text such as ``"local:4"``, ``"tcp://host:8786"`` or ``"slurm:workers=8,cores=4"``, see
        `segkit.execution.ClusterSpec.parse`. Its workers see the input and `path` under the same names. None stays in
        this process.
    workers
        Without a cluster, how many threads write, or read and write where the volume is stored; None takes up to 4. Else
        the number of processes or jobs.
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
    root = Path(path).absolute()
    private = root / ".segkit"
    if root.exists() and not (root.is_dir() and ((private / "lock").exists() or not any(root.iterdir()))):
        raise OutputExistsError(
            f"There is already something at {path} that segkit did not write this way, and it is left alone. Choose another "
            "path, or remove it yourself."
        )
    block, chunk = choose_blocks(volume, block_shape, chunk_shape)
    wanted = make_plan(volume, block, chunk, pyramid, labels, plan)
    durable.make_dirs(root)
    with durable.lock(private / "lock", str(path)):
        durable.sweep(root)
        durable.sweep(private)
        if overwrite or not (root / PLAN).exists():
            clear(root)
            create(root, volume, wanted)
        elif changed := list(differences(read_plan(root / PLAN), wanted)):
            raise OutputExistsError(
                f"{path} was begun with other settings ({'; '.join(changed[:8])}), which would mix two results. Use the "
                "same settings to continue it, choose another path, or overwrite it (overwrite=True or --overwrite)."
            )
        elif open_zarr(path).metadata["complete"] and not verify:
            return open_zarr(path)
        Attempt(root, volume, wanted, progress, cluster, workers).run()
    return open_zarr(path)
