"""`open_volume`: from a path, URL or array to a `Volume`, through whichever format plugin accepts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from segkit.errors import DataError, PluginError, SegkitError, UnknownNameError
from segkit.parameters import parse_text
from segkit.progress import Progress
from segkit.registry import Component, registries
from segkit.volume import Spacing, Volume

__all__ = ["Format", "WritableFormat", "open_volume"]


@runtime_checkable
class Format(Protocol):
    """One kind of file or store."""

    def accepts(self, source: str) -> bool:
        """Return whether `source` looks like this format, from its name and first bytes alone."""

    def open(self, source: str) -> Volume:
        """Open it, reading metadata only.

        Raises
        ------
        DataError
            If it is missing, truncated or otherwise broken.
        """


@runtime_checkable
class WritableFormat(Format, Protocol):
    """A format that files can also be written in, which `segkit.opening.export_volume` finds."""

    def saves(self, volume: Volume, path: str) -> bool:
        """Return whether `path` is named like a file of this format, and the format can keep what `volume` says.

        Called before anything is written, so it reads no voxels and imports nothing heavy.
        """

    def save(self, volume: Volume, path: Path, progress: Progress) -> None:
        """Write all voxels to `path`, an empty file, in memory that does not grow with the volume.

        `progress` takes the blocks done and the blocks in all; what it raises ends the writing. segkit puts the file on
        the disk and under its name.

        Raises
        ------
        DataError
            If the format cannot hold these voxels.
        """


def open_volume(
    source: str | Path | Volume | Any,
    *,
    format: str | None = None,
    voxel_size: Spacing | None = None,
    offset: Spacing | None = None,
    axes: str | None = None,
) -> Volume:
    """Open an image or label volume; only its metadata is read.

    Parameters
    ----------
    source
        A file, folder of slices, store, URL, ``file.h5:dataset``, an array (numpy, dask, zarr), or a volume. Options of
        the format may follow the name: ``"stack.tif#series=1"``, ``"gs://bucket/em#scale=2&missing=fill"``.
    format
        Name of the format, such as ``"tiff"``; None asks every installed format, by name, which accepts the source.
    voxel_size
        Size of a voxel in nm, ``(z, y, x)``; None takes what the file says.
    offset
        Position of the first voxel in nm, ``(z, y, x)``; None takes what the file says.
    axes
        Letters for the axes of an array, see `Volume.from_array`; None guesses from their number.

    Returns
    -------
    Volume
        The volume, with what the file says of voxel size, offset and axes.

    Raises
    ------
    DataError
        If the source is missing or broken.
    UnknownNameError
        If no installed format accepts it.
    """
    if isinstance(source, Volume):
        volume = source
    elif isinstance(source, str | Path):
        volume = _open_source(str(source), format)
    else:
        volume = Volume.from_array(source, axes=axes)
    if voxel_size is None and offset is None:
        return volume
    size, start = voxel_size or volume.voxel_size, offset or volume.offset
    unit = volume.unit if voxel_size is None else "nm"
    metadata = _on_the_same_map(volume, size, start)
    return replace(volume, voxel_size=size, offset=start, unit=unit, levels=(), metadata=metadata)


def _on_the_same_map(volume: Volume, size: Spacing, start: Spacing) -> Mapping[str, Any]:
    """Return the metadata with the georeference, if there is one, in terms of another voxel size and offset."""
    georeference = volume.metadata.get("georeference")
    if not georeference:
        return volume.metadata
    old = zip(georeference["voxel_size"], georeference["offset"], volume.voxel_size, volume.offset, strict=True)
    sizes, starts = [], []
    for (full, origin, own, position), new, at in zip(old, size, start, strict=True):
        sizes.append(full * new / own)
        starts.append(at - (position - origin) / full * sizes[-1])
    return {**volume.metadata, "georeference": {**georeference, "voxel_size": sizes, "offset": starts}}


def _split(source: str) -> tuple[str, dict[str, str]]:
    """Return a source without the options of its format, and these: ``"brain#scale=1"`` is ``"brain", {"scale": "1"}``."""
    found = re.fullmatch(r"(.+)#([a-z_]+=[^#&]*(?:&[a-z_]+=[^#&]*)*)", source)
    if found is None or Path(source).exists():
        return source, {}
    return found[1], {key: text for key, _, text in (pair.partition("=") for pair in found[2].split("&"))}


def _read(component: Component, options: dict[str, str]) -> dict[str, Any]:
    """Return the values of the options that a format knows, and the texts of the others, which it is going to refuse."""
    known = {parameter.name: parameter for parameter in component.parameters}
    return {key: parse_text(known[key], text) if key in known else text for key, text in options.items()}


def _accepts(component: Component, source: str, options: dict[str, str]) -> bool:
    names = {parameter.name for parameter in component.parameters}
    patience = _read(component, {key: text for key, text in options.items() if key in names & {"timeout"}})
    accepted: bool = component(**patience).accepts(source)
    return accepted


def _opened(component: Component, source: str, options: dict[str, str], whole: str) -> Volume:
    opened: Volume = component(**_read(component, options)).open(source)
    return replace(opened, source=whole) if options else opened


def _open_source(source: str, format: str | None) -> Volume:
    formats = registries["formats"]
    whole, (source, options) = source, _split(source)
    if format is not None:
        return _opened(formats[format], source, options, whole)
    failures, lacking = [], None
    for component in formats.values():
        accepted = False
        try:
            accepted = _accepts(component, source, options)
            if accepted:
                return _opened(component, source, options, whole)
        except Exception as error:  # a format of a plugin that breaks must not hide the others
            if isinstance(error, SegkitError) and not isinstance(error, PluginError):
                raise
            lacking = error if accepted and isinstance(error, PluginError) else lacking
            failures.append(f"format '{component.qualified}' broke on it ({type(error).__name__}: {error})")
    # The file part of "file.h5:dataset" decides whether the file or the format is what is missing.
    path = Path(source)
    if "://" not in source and not path.exists() and not Path(source.rpartition(":")[0] or source).exists():
        raise DataError(
            f"There is no file or folder {source}. Check the spelling (relative paths start from {Path.cwd()})."
        )
    if lacking is not None:
        raise lacking
    detail = f" {'; '.join(failures)}." if failures else ""
    raise UnknownNameError(
        f"No installed format can open {source}.{detail} Installed: {', '.join(formats)}. Convert it to TIFF or OME-Zarr, or "
        "install a plugin that reads it."
    )
