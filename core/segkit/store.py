"""segkit's own store, OME-Zarr: opening any such image lazily, and writing one block by block.

Read are OME-Zarr 0.4 and 0.5 and plain Zarr v2 and v3 arrays, from a local folder. Written is OME-Zarr 0.5: a shard is
a block, compressed with zstd and checked with crc32c, and blocks of zeros are stored like any other, so that what is
absent has not been computed. Nothing else in segkit's core knows of Zarr.

A chunk that is absent is legal in Zarr and stands for the fill value. segkit follows that for what others wrote; in
its own stores an absent chunk is an error, because silent zeros look like an image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from segkit import durable
from segkit._ome import NANOMETRES, LevelEntry, Multiscale, make_multiscale, read_multiscale
from segkit._pyramid import level_factors, level_shape
from segkit._zarr_metadata import AXES_OF_RANK, TYPES, Node, check_plausible, read_json, read_node
from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Lattice, Triple
from segkit.volume import Axes, Spacing, Volume

__all__ = ["NANOMETRES", "Blocks", "create_zarr", "open_zarr", "set_complete"]

_CACHE_BYTES = 256 * 2**20


@cache
def _context(cache_bytes: int) -> Any:
    import tensorstore

    return tensorstore.Context({"cache_pool": {"total_bytes_limit": cache_bytes}})


def _open_array(node: Node, *, live: bool = False, cache_bytes: int = _CACHE_BYTES) -> Any:
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
    array, axes = _arrange(_open_array(node, live=live), image.axes, str(node.folder))
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
        every read looks for what has appeared since. Otherwise voxels once read are kept, 256 MiB over all stores.

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


def set_complete(path: Path, complete: bool) -> None:
    """Record in a store of segkit's whether it is complete."""
    content = read_json(path / "zarr.json")
    content["attributes"]["segkit"]["complete"] = complete
    durable.replace_file(path / "zarr.json", json.dumps(content, indent=1).encode())


class Blocks:
    """One level of a store, as blocks that are written and read whole.

    Parameters
    ----------
    folder
        The array of that level, made by `create_zarr`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        node = read_node(folder)
        if node is None or node.array is None:
            raise DataError(f"There is no array at {folder}. The store is damaged; write it again.")
        self._node = node
        self.shape = check_plausible(node)
        shard = node.array["chunk_grid"]["configuration"]["chunk_shape"]
        self.lattice = Lattice(Box.of_shape(self.shape[-3:]), cast("Triple", tuple(shard[-3:])))
        self._made: set[Path] = set()

    @cached_property
    def _memory(self) -> Any:
        """A twin in memory: its only use is to encode blocks, so that each reaches the disk through `durable`."""
        import tensorstore

        spec = {
            "driver": "zarr3",
            "kvstore": "memory://",
            "metadata": dict(self._node.array or {}),
            "store_data_equal_to_fill_value": True,
        }
        # A context of its own, since arrays in memory are shared within one.
        context = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})
        return tensorstore.open(spec, context=context, create=True).result()

    @cached_property
    def _stored(self) -> Any:
        return _open_array(self._node, cache_bytes=0)

    def file(self, index: int) -> Path:
        """Return the file that holds a block."""
        lead = ["0"] * (len(self.shape) - 3)
        return self.folder.joinpath("c", *lead, *(str(p) for p in self.lattice.position(index)))

    def write(self, box: Box, voxels: np.ndarray[Any, Any]) -> None:
        """Write one block; when this returns it is on the disk.

        Parameters
        ----------
        box
            A block of `lattice`.
        voxels
            All channels of it.

        Raises
        ------
        UsageError
            If `box` is not a block, or the voxels are not of its shape and the type of the store.
        StorageError
            If the disk refuses.
        """
        index = next(iter(self.lattice.touching(box)), -1)
        if index < 0 or self.lattice[index] != box:
            raise UsageError(
                f"The region {box} is not one block of {self.folder}, which is cut into blocks of "
                f"{self.lattice.block_shape} from 0. Write whole blocks."
            )
        dtype, shape = self._memory.dtype.numpy_dtype, (*self.shape[:-3], *box.shape)
        if voxels.shape != shape or voxels.dtype != dtype:
            raise UsageError(
                f"A block of {self.folder} was given as {voxels.shape} {voxels.dtype}; it takes {shape} {dtype}."
            )
        file = self.file(index)
        key = file.relative_to(self.folder).as_posix()
        self._memory[(..., *box.slices)].write(np.ascontiguousarray(voxels)).result()
        encoded = self._memory.kvstore[key]
        del self._memory.kvstore[key]
        if file.parent not in self._made:
            durable.make_dirs(file.parent)
            durable.sweep(file.parent)
            self._made.add(file.parent)
        durable.replace_file(file, encoded)

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Read any box from the disk, past all caches.

        Raises
        ------
        DataError
            If a block is missing or damaged.
        """
        try:
            voxels: np.ndarray[Any, Any] = self._stored[(..., *box.slices)].read().result()
        except (ValueError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(f"Reading {self.folder} at {box} failed: {reason}. Write these blocks again.") from error
        return voxels


def create_zarr(
    path: str | Path,
    *,
    shape: Sequence[int],
    dtype: Any,
    axes: str,
    voxel_size: Spacing = (1.0, 1.0, 1.0),
    offset: Spacing = (0.0, 0.0, 0.0),
    unit: Literal["nm", "voxel"] = "voxel",
    block_shape: Triple,
    chunk_shape: Triple,
    channel_names: Sequence[str] = (),
    levels: int | None = 1,
    attributes: Mapping[str, Any] | None = None,
) -> tuple[Blocks, ...]:
    """Make an empty OME-Zarr 0.5 image, to be written block by block; `set_complete` ends the writing.

    Parameters
    ----------
    path
        A folder; arrays in it under the same names are replaced.
    shape, dtype, axes, voxel_size, offset, unit, channel_names
        See `segkit.Volume`.
    block_shape
        What is written at once, ``(z, y, x)``: one file with all channels. A multiple of `chunk_shape`.
    chunk_shape
        What is compressed and read at once, ``(z, y, x)``, each channel by itself.
    levels
        Number of resolutions, the finest included; None until no axis is longer than 256 voxels.
    attributes
        What the volume gives back as its ``metadata``; anything JSON can say.

    Returns
    -------
    tuple of Blocks
        One for each level, finest first.

    Raises
    ------
    UsageError
        If the type cannot be stored or the blocks are not made of whole chunks.
    StorageError
        If the disk refuses.
    """
    root, dtype = Path(path), np.dtype(dtype)
    if dtype.name not in TYPES:
        raise UsageError(f"Voxels of type {dtype} cannot be stored. Convert them to one of {', '.join(TYPES)}.")
    if min(chunk_shape) < 1 or any(b < 1 or b % c for b, c in zip(block_shape, chunk_shape, strict=True)):
        raise UsageError(
            f"Blocks of {tuple(block_shape)} are not made of whole chunks of {tuple(chunk_shape)}. Choose block_shape as a "
            "multiple of chunk_shape along each axis."
        )
    factors = level_factors(shape[-3:], voxel_size, levels)
    lead = tuple(shape[:-3])
    folders = []
    for level, factor in enumerate(factors):
        folders.append(root / str(level))
        durable.make_dirs(folders[-1])
        metadata = _array_metadata(
            (*lead, *level_shape(shape[-3:], factor)),
            dtype,
            axes,
            (*lead, *block_shape),
            (1,) * len(lead) + (*chunk_shape,),
        )
        durable.replace_file(folders[-1] / "zarr.json", json.dumps(metadata, indent=1).encode())
    ome = make_multiscale(root.stem, axes, unit, voxel_size, offset, factors, channel_names, dtype)
    own = {"version": 1, "complete": False, "metadata": dict(attributes or {})}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "segkit": own}}
    durable.replace_file(root / "zarr.json", json.dumps(group, indent=1, allow_nan=False).encode())
    return tuple(Blocks(folder) for folder in folders)


def _array_metadata(
    shape: tuple[int, ...], dtype: np.dtype[Any], axes: str, shard: tuple[int, ...], chunk: tuple[int, ...]
) -> dict[str, Any]:
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    raw = little if dtype.itemsize > 1 else {"name": "bytes"}
    sharding = {
        "chunk_shape": chunk,
        "codecs": [raw, {"name": "zstd", "configuration": {"level": 3, "checksum": False}}, {"name": "crc32c"}],
        "index_codecs": [little, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype.name,
        "dimension_names": list(axes),
        "fill_value": {"b": False, "f": 0.0}.get(dtype.kind, 0),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {"segkit": {"version": 1}},
    }
