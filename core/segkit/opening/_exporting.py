"""`export_volume`: from any lazy volume to one file, through whichever format writes files of that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit import durable
from segkit.errors import OutputExistsError, UnknownNameError, UsageError
from segkit.opening._opening import WritableFormat, open_volume
from segkit.progress import Progress, silent
from segkit.registry import registries
from segkit.volume import Volume

__all__ = ["export_volume"]


def export_volume(
    volume: Volume | str | Path | Any,
    path: str | Path,
    *,
    format: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Write a volume to one file, such as a TIFF, for programs that read no OME-Zarr.

    Voxels are read and written block by block: memory does not depend on the size of the volume. The file appears under
    its name when it is complete; what is interrupted leaves nothing under that name and begins anew. To be able to go
    on, write OME-Zarr with `segkit.write_volume`.

    Parameters
    ----------
    volume
        What is written, or anything that `segkit.open_volume` takes.
    path
        The file; its folder exists.
    format
        Name of the format, such as ``"tiff"``; None asks every installed format, by name, which writes such files.
    overwrite
        Whether a file that is there is replaced. A folder never is.
    progress
        Called with the blocks done and the blocks in all. Whatever it raises stops the writing.

    Raises
    ------
    OutputExistsError
        If there is something at `path` that must stay.
    UnknownNameError
        If no installed format writes files of that name.
    UsageError
        If the format only reads, or `path` is the file that is read.
    DataError
        If the voxels cannot be read, or the format cannot hold them.
    StorageError
        If the disk refuses; what was at `path` is then unchanged.
    """
    opened, target = open_volume(volume), Path(path)
    writer = _writer(opened, target, format)
    read = [Path(name) for name in (opened.source, *(opened.source.rpartition(mark)[0] for mark in ":#")) if name]
    if target.exists() and any(path.exists() and path.samefile(target) for path in read):
        raise UsageError(f"{target} is what is read; it cannot be written at the same time. Choose another path.")
    if target.is_dir() or (target.exists() and not overwrite):
        what = "a folder" if target.is_dir() else "a file"
        raise OutputExistsError(
            f"There is {what} at {target} already. Choose another path, or overwrite a file (overwrite=True or --overwrite)."
        )
    if not target.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {target.absolute().parent} to write {target.name} into. Make it first.")
    durable.replace_file(target.absolute(), lambda temporary: writer.save(opened, temporary, progress))


def _writer(volume: Volume, target: Path, format: str | None) -> WritableFormat:
    writers = {name: built for name in registries["formats"] if isinstance(built := _built(name), WritableFormat)}
    if format is not None:
        chosen = registries["formats"][format]
        if not isinstance(built := chosen(), WritableFormat):
            raise UsageError(f"The format '{format}' is only read. Those that are written: {', '.join(writers)}.")
        return built
    for writer in writers.values():
        if writer.saves(volume, str(target)):
            return writer
    raise UnknownNameError(
        f"No installed format writes files called {target.name}. Formats that are written: {', '.join(writers)}, and OME-Zarr "
        "under any name that ends in .zarr."
    )


def _built(name: str) -> Any:
    """Return a format, or None for one that cannot be built, which must not hide the others."""
    try:
        return registries["formats"][name]()
    except Exception:
        return None
