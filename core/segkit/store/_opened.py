"""Opening OME-Zarr images and plain Zarr arrays lazily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segkit.errors import DataError
from segkit.store._metadata import AXES_OF_RANK, Node, check_plausible, read_node
from segkit.store._ome import LevelEntry, Multiscale, read_multiscale
from segkit.volume import Axes, Spacing, Volume

__all__ = ["open_array", "open_zarr"]

_CACHE_BYTES = 64 * 2**20  # decoded chunks of all open stores together


@cache
def _context(cache_bytes: int) -> Any:
    import tensorstore

    return tensorstore.Context({"cache_pool": {"total_bytes_limit": cache_bytes}})


def open_array(node: Node, *, live: bool = False, cache_bytes: int = _CACHE_BYTES) -> Any:
    import tensorstore

    check_plausible(node)
    strict = "segkit" in node.attributes and not live
    spec = {
        "driver": "zarr3" if node.version == 3 else "zarr",
        "kvstore": {"driver": "file", "path": f"{node.folder.resolve()}/"},
        "fill_missing_data_reads": not strict,
        "recheck_cached_data": True if live else "open",
        "recheck_cached_metadata": "open",
    }
    try:
        return tensorstore.open(spec, context=_context(cache_bytes), open=True, read=True).result()
    except (ValueError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{node.folder} cannot be opened: {reason}. The store is damaged; write it again.") from error


def _arrange(array: Any, axes: str, source: str) -> tuple[Any, Axes]:
    """Return the array with axes (c, z, y, x) or (z, y, x), lazily."""
    import tensorstore

    if len(axes) != len(array.shape) or len(set(axes)) < len(axes) or not {"y", "x"} <= set(axes) <= set("tczyx"):
        raise DataError(
            f"{source} has the shape {tuple(array.shape)} and axes {axes!r}; each must be one of t, c, z, y, x, and y and "
            "x be there. Write its metadata again."
        )
    if "t" in axes:
        at = axes.index("t")
        if array.shape[at] != 1:
            raise DataError(
                f"{source} has {array.shape[at]} time points; a volume has none. Save each one by itself and open that."
            )
        array, axes = array[tensorstore.d[at][0]], axes.replace("t", "")
    wanted = [axes.index(a) for a in "czyx" if a in axes]
    if wanted != sorted(wanted):
        array = array.transpose(wanted)
    if "z" not in axes:
        array = array[..., tensorstore.newaxis, :, :]
    return array, "czyx" if "c" in axes else "zyx"


def _spatial(values: Sequence[float], axes: str) -> Spacing:
    """Pick (z, y, x) out of numbers for all axes; without z, that of y stands for it."""
    y, x = (float(values[axes.index(a)]) for a in "yx")
    return float(values[axes.index("z")]) if "z" in axes else y, y, x


def _volume(node: Node, image: Multiscale, entry: LevelEntry, metadata: Mapping[str, Any], *, live: bool) -> Volume:
    array, axes = _arrange(open_array(node, live=live), image.axes, str(node.folder))
    chunk = array.chunk_layout.read_chunk.shape
    offset = _spatial(entry.translation, image.axes)
    return Volume(
        array,
        axes,
        voxel_size=_spatial(entry.scale, image.axes),
        offset=offset if "z" in image.axes else (0.0, *offset[1:]),
        unit=image.unit,
        chunks=tuple(int(c or 1) for c in chunk),
        source=str(node.folder),
        channel_names=image.channel_names if "c" in image.axes else (),
        metadata=metadata,
    )


def _image_of_array(node: Node) -> Multiscale:
    """Return what can be said of an array without OME metadata: its axes, by their names or their number."""
    rank = len(check_plausible(node))
    array = node.array or {}
    named = array.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS") or ()
    axes = "".join(str(name) for name in named if name).lower() if isinstance(named, list) else ""
    if len(axes) != rank or not set(axes) <= set("tczyx"):
        axes = AXES_OF_RANK[rank]
    return Multiscale(axes, "voxel", (LevelEntry("", (1.0,) * rank, (0.0,) * rank),))


def open_zarr(path: str | Path, *, live: bool = False) -> Volume:
    """Open an OME-Zarr image or a Zarr array in a local folder; only metadata are read.

    Parameters
    ----------
    path
        The image, or an array or group within it.
    live
        Whether it is being written: what is not there yet then reads as the fill value (0 in segkit's stores), and
        every read looks for what has appeared since. Otherwise voxels once read are kept, 64 MiB over all stores.

    Returns
    -------
    Volume
        With its coarser levels. Without a known unit, ``unit`` is ``"voxel"`` and ``voxel_size`` tells proportions
        only. What segkit wrote has ``metadata["complete"]``: whether the writing came to its end.

    Raises
    ------
    DataError
        If it is missing or damaged, is no image, or has several time points.
    """
    root = Path(path)
    node = read_node(root)
    if node is None:
        raise DataError(f"There is no Zarr array or group at {root}. Give the folder that holds zarr.json or .zgroup.")
    if node.array is not None:
        image = _image_of_array(node)
        return _volume(node, image, image.levels[0], {}, live=live)
    found = read_multiscale(node.attributes, str(root))
    if found is None:
        return _open_only_child(node, live=live)
    own = node.attributes.get("segkit")
    metadata: dict[str, Any] = {}
    if isinstance(own, dict):
        metadata = {**own.get("metadata", {}), "complete": own.get("complete") is True}
    levels = []
    for entry in found.levels:
        child = read_node(root / entry.path)
        if child is not None and child.array is not None:
            levels.append(_volume(child, found, entry, metadata, live=live))
        elif not levels:
            raise DataError(f"{root} lists the array '{entry.path}', which is not there. Copy the store again, whole.")
    first = levels[0]
    return Volume(
        first.array,
        first.axes,
        **{
            name: getattr(first, name)
            for name in ("voxel_size", "offset", "unit", "chunks", "channel_names", "metadata")
        },
        levels=tuple(levels[1:]),
        source=str(root),
    )


def _open_only_child(node: Node, *, live: bool) -> Volume:
    """Open the one image of a group that is none itself."""
    children = sorted(child for child in node.folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    found = [child for child in children if read_node(child) is not None and child.name != "OME"]
    if len(found) == 1 or (found and "bioformats2raw.layout" in node.attributes.get("ome", node.attributes)):
        return open_zarr(found[0], live=live)
    names = ", ".join(child.name for child in found[:20]) or "nothing"
    raise DataError(
        f"{node.folder} is a group without an image of its own; in it are: {names}. Add one of them to the path."
    )
