"""Writing an OME-Zarr 0.5 image: its metadata at first, then block by block, each one file."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from segkit import durable
from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Lattice, Triple
from segkit.store._metadata import TYPES, check_plausible, read_json, read_node
from segkit.store._ome import make_multiscale
from segkit.store._opened import open_array
from segkit.store._pyramid import level_factors, level_shape
from segkit.volume import Spacing

__all__ = ["Blocks", "create_zarr", "set_complete"]


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
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Blocks], tuple[Path]]:
        return Blocks, (self.folder,)

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
        return open_array(self._node, cache_bytes=0)

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
        with self._lock:  # several threads write blocks, through one twin
            memory = self._memory
        dtype, shape = memory.dtype.numpy_dtype, (*self.shape[:-3], *box.shape)
        if voxels.shape != shape or voxels.dtype != dtype:
            raise UsageError(
                f"A block of {self.folder} was given as {voxels.shape} {voxels.dtype}; it takes {shape} {dtype}."
            )
        file = self.file(index)
        key = file.relative_to(self.folder).as_posix()
        memory[(..., *box.slices)].write(np.ascontiguousarray(voxels)).result()
        encoded = memory.kvstore[key]
        del memory.kvstore[key]
        with self._lock:
            durable.make_dirs(file.parent)
        durable.replace_file(file, encoded)

    def sweep(self) -> None:
        """Remove what killed writers left half-written; only for whoever knows that nobody is writing."""
        for folder, _, _ in os.walk(self.folder):
            durable.sweep(Path(folder))

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
