"""Opening OME-Zarr images and plain Zarr arrays lazily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from segkit.errors import DataError
from segkit.store._metadata import AXES_OF_RANK, Node, check_plausible, read_node
from segkit.store._ome import LevelEntry, Multiscale, read_multiscale
from segkit.store._place import CACHE_BYTES, TIMEOUT, Folder, Remote, context, failure, kvstore, locate, wait
from segkit.store._stored import StoredArray
from segkit.volume import Axes, Spacing, Volume

__all__ = ["in_order", "open_array", "open_zarr"]

Missing = Literal["error", "fill"] | None


def open_array(node: Node, *, live: bool = False, missing: Missing = None, cache_bytes: int = CACHE_BYTES) -> Any:
    import tensorstore

    check_plausible(node)
    remote = isinstance(node.folder, Remote)
    strict = {"error": True, "fill": False}.get(missing or "", remote or "segkit" in node.attributes) and not live
    spec = {
        "driver": "zarr3" if node.version == 3 else "zarr",
        "kvstore": kvstore(node.folder),
        "fill_missing_data_reads": not strict,
        "recheck_cached_data": True if live else "open",
        "recheck_cached_metadata": "open",
    }
    timeout = node.folder.timeout if isinstance(node.folder, Remote) else 0.0
    try:
        return wait(tensorstore.open(spec, context=context(cache_bytes), open=True, read=True), node.folder, timeout)
    except (ValueError, OSError, RuntimeError) as error:
        if remote:
            raise failure(node.folder, "", error) from error
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{node.folder} cannot be opened: {reason}. The store is damaged; write it again.") from error


def _open_arranged(node: Node, axes: str, live: bool, missing: Missing) -> Any:
    return in_order(open_array(node, live=live, missing=missing), axes, str(node.folder))[0]


def in_order(array: Any, axes: str, source: str) -> tuple[Any, Axes]:
    """Return a tensorstore array, whose axes have these letters, with axes (c, z, y, x) or (z, y, x), lazily.

    Raises
    ------
    DataError
        If the letters do not fit, or there are several time points.
    """
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


def _volume(
    node: Node, image: Multiscale, entry: LevelEntry, metadata: Mapping[str, Any], live: bool, missing: Missing
) -> Volume:
    array: Any
    if isinstance(node.folder, Remote):
        array = StoredArray(node.folder, node.folder.timeout, _open_arranged, node, image.axes, live, missing)
        chunk = array.chunks
    else:
        array = _open_arranged(node, image.axes, live, missing)
        chunk = array.chunk_layout.read_chunk.shape
    axes: Axes = "czyx" if "c" in image.axes else "zyx"
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


def _listed(root: Folder) -> tuple[Multiscale, LevelEntry] | None:
    """Return what the local image that an array is a level of says of it; None for an array by itself."""
    if not isinstance(root, Path):
        return None
    root = root.resolve()
    for above in (root.parent, root.parent.parent):
        group = read_node(above)
        found = None if group is None else read_multiscale(group.attributes, str(above))
        for entry in found.levels if found is not None else ():
            if above / entry.path == root:
                assert found is not None
                return found, entry
    return None


def open_zarr(path: str | Path, *, live: bool = False, missing: Missing = None, timeout: float = TIMEOUT) -> Volume:
    """Open an OME-Zarr image or a Zarr array in a local folder or at a URL; only metadata are read.

    Parameters
    ----------
    path
        The image, or an array or group within it.
    live
        Whether it is being written: what is not there yet then reads as the fill value (0 in segkit's stores), and
        every read looks for what has appeared since. Otherwise voxels once read are kept, 64 MiB over all stores.
    missing
        What a chunk that is not there means: ``"error"``, or ``"fill"``, the fill value, as Zarr has it. None takes it
        for an error in what segkit wrote and at URLs, and for the fill value in local stores of others.
    timeout
        Seconds for an answer, and for each 64 MiB that a read asks for, where `path` is a URL.

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
    return _open(locate(str(path), timeout), live, missing)


def _open(root: Folder, live: bool, missing: Missing) -> Volume:
    node = read_node(root)
    if node is None:
        raise DataError(f"There is no Zarr array or group at {root}. Give the folder that holds zarr.json or .zgroup.")
    if node.array is not None:
        image, entry = _listed(root) or ((image := _image_of_array(node)), image.levels[0])
        return _volume(node, image, entry, {}, live, missing)
    found = read_multiscale(node.attributes, str(root))
    if found is None:
        return _open_only_child(node, live, missing)
    own = node.attributes.get("segkit")
    metadata: dict[str, Any] = {}
    if isinstance(own, dict):
        metadata = {**own.get("metadata", {}), "complete": own.get("complete") is True}
    levels = []
    for entry in found.levels:
        child = read_node(root / entry.path)
        if child is not None and child.array is not None:
            levels.append(_volume(child, found, entry, metadata, live, missing))
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


def _open_only_child(node: Node, live: bool, missing: Missing) -> Volume:
    """Open the one image of a group that is none itself."""
    if isinstance(node.folder, Remote):
        raise DataError(
            f"{node.folder} is a group without an image of its own. Add the path of the image in it to the URL."
        )
    children = sorted(child for child in node.folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    found = [child for child in children if read_node(child) is not None and child.name != "OME"]
    if len(found) == 1 or (found and "bioformats2raw.layout" in node.attributes.get("ome", node.attributes)):
        return _open(found[0], live, missing)
    names = ", ".join(child.name for child in found[:20]) or "nothing"
    raise DataError(
        f"{node.folder} is a group without an image of its own; in it are: {names}. Add one of them to the path."
    )
