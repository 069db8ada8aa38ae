"""What is written beside traces and their table where it is asked for: precomputed skeletons, and meshes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import IncompleteError, UsageError, did_you_mean
from segkit.execution import Cluster, Failure, run
from segkit.geometry import Box
from segkit.progress import Progress
from segkit.tracing._folder import TraceFolder
from segkit.tracing._mesh_files import write_mesh_info, write_object_mesh
from segkit.tracing._precomputed import write_precomputed
from segkit.volume import Volume

__all__ = ["ALSO", "check_also", "write_also"]

ALSO = ("precomputed", "meshes")


def check_also(also: Sequence[str], volume: Volume, has_folder: bool) -> None:
    """Refuse what cannot be written.

    Raises
    ------
    UsageError
        If it is not known, there is no folder for it, or it needs a voxel size that is not known.
    """
    for name in also:
        if name not in ALSO:
            raise UsageError(
                f"`also` has {name!r}; it takes {' and '.join(map(repr, ALSO))}.{did_you_mean(name, ALSO)}"
            )
    if also and not has_folder:
        raise UsageError(f"`also` is {list(also)}, and files need a folder. Give `out_dir` too.")
    if "precomputed" in also and volume.unit != "nm":
        raise UsageError(
            f"Precomputed skeletons are in nm, and the voxel size of {volume.source} is not known. Give it: voxel_size=..., "
            "or '--voxel-size'."
        )


def write_also(
    also: Sequence[str],
    folder: TraceFolder,
    volume: Volume,
    boxes: Mapping[int, Box],
    progress: Progress,
    cluster: Cluster | None,
    workers: int | None,
) -> None:
    """Write precomputed skeletons and meshes of objects that are traced.

    Parameters
    ----------
    also
        What, checked by `check_also`.
    folder
        The folder of the traces.
    volume
        The segmentation.
    boxes
        The objects and their bounding boxes, by ascending id.
    progress
        Called with the meshes done and the meshes in all.
    cluster, workers
        See `segkit.execution.run`; workers of a cluster write the meshes.

    Raises
    ------
    IncompleteError
        If a mesh could not be made.
    """
    if "precomputed" in also:
        write_precomputed(folder.traces(tuple(boxes)), folder.make("skeletons"), overwrite=True)
    if "meshes" not in also:
        return
    legacy = None
    if "precomputed" in also:
        legacy = folder.make("mesh").resolve()
        write_mesh_info(legacy)
    work = _Meshes(volume, tuple(boxes.items()), folder.make("meshes").resolve(), legacy)
    todo = [place for place in range(len(boxes)) if not work.has(place)]
    progress(len(boxes) - len(todo), len(boxes))
    for done, (place, outcome) in enumerate(
        run(work, todo, cluster=cluster, workers=workers, tries=1, fatal=()), len(boxes) - len(todo) + 1
    ):
        if isinstance(outcome, Failure):
            raise IncompleteError(
                f"The mesh of object {work.objects[place][0]} could not be made: {outcome.reason} All traces are done; run "
                "it again for the meshes."
            )
        progress(done, len(boxes))


@dataclass(frozen=True)
class _Meshes:
    """Called with the place of an object: writes its mesh."""

    volume: Volume
    objects: tuple[tuple[int, Box], ...]
    folder: Path
    legacy: Path | None

    def has(self, place: int) -> bool:
        id = self.objects[place][0]
        return (self.folder / f"{id}.ply").exists() and (self.legacy is None or (self.legacy / f"{id}:0").exists())

    def __call__(self, place: int) -> None:
        id, box = self.objects[place]
        write_object_mesh(self.volume, id, box, self.folder / f"{id}.ply", self.legacy)
