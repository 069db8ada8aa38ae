"""Skeletons as neuroglancer reads them: a folder with ``info`` and one binary item for each trace, by itself or in shards.

Source of the format: https://github.com/google/neuroglancer, src/datasource/precomputed/skeletons.md and sharded.md. An item
is the number of nodes and of edges, positions ``(x, y, z)`` in nm, pairs of nodes, and the attributes that ``info`` names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.durable import publish_dir
from segkit.errors import DataError, OutputExistsError
from segkit.store import TIMEOUT, Folder, Remote, context, failure, find_json, kvstore, locate, read_file, wait
from segkit.tracing._folder import Traces
from segkit.tracing._forest import spanning_forest
from segkit.tracing._trace import Trace

__all__ = ["is_precomputed", "iterate_precomputed", "read_precomputed", "write_precomputed"]

Array = np.ndarray[Any, Any]

_KIND = "neuroglancer_skeletons"
_TYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float32", "int8", "uint8", "int16", "uint16", "int32", "uint32")
}
_ATTRIBUTES = [
    {"id": "radius", "data_type": "float32", "num_components": 1},
    {"id": "vertex_types", "data_type": "uint8", "num_components": 1},  # the name that cloud-volume gave them
]
_LARGEST = 2**31  # bytes of an item
_IN_SHARD = 10  # about 2 to this power traces in a shard, which is written at once
_MINISHARD = 4
_PREFIX = "precomputed://"


def write_precomputed(
    traces: Iterable[Trace], folder: str | Path, *, sharded: bool = False, overwrite: bool = False
) -> None:
    """Write traces as precomputed skeletons, with their radii and types; the folder appears when it is complete.

    Parameters
    ----------
    traces
        Traces in nm, each with an id of its own.
    folder
        Where to; put it into the folder of a precomputed segmentation, and its name as ``skeletons`` into the ``info`` there,
        to see traces with their objects.
    sharded
        Whether about a thousand traces each go into one file; else each has its own.
    overwrite
        Whether skeletons that are there already are replaced.

    Raises
    ------
    DataError
        If a trace has no unit, or an id comes twice.
    OutputExistsError
        If there is something at `folder` already.
    StorageError
        If the disk refuses.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (overwrite and is_precomputed(str(folder))):
        raise OutputExistsError(
            f"{folder} holds something already. Choose another folder; skeletons in it can be overwritten (overwrite=True)."
        )
    info: dict[str, Any] = {
        "@type": _KIND,
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "vertex_attributes": _ATTRIBUTES,
    }
    chosen = traces if isinstance(traces, Sequence) else list(traces)
    ids = list(chosen.ids) if isinstance(chosen, Traces) else [trace.id for trace in chosen]
    if len(set(ids)) < len(ids):
        raise DataError("Two of the traces have the same id, and precomputed skeletons are found by it. Leave one out.")
    with publish_dir(folder) as temporary:
        if sharded:
            bits = max(0, math.ceil(math.log2(max(1, len(ids)))) - _IN_SHARD)
            info["sharding"] = _sharding(bits)
            _write_shards(chosen, ids, temporary, info["sharding"])
        else:
            for trace in chosen:
                (temporary / str(trace.id)).write_bytes(_encoded(trace))
        (temporary / "info").write_text(json.dumps(info))


def _sharding(bits: int) -> dict[str, Any]:
    return {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 0,
        "hash": "identity",
        "minishard_bits": _MINISHARD,
        "shard_bits": bits,
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    }


def _write_shards(traces: Sequence[Trace], ids: list[int], folder: Path, sharding: dict[str, Any]) -> None:
    import tensorstore

    store = wait(tensorstore.KvStore.open(_sharded(folder, sharding)), folder, TIMEOUT)
    shards: dict[int, list[int]] = {}
    for place, id in enumerate(ids):
        shards.setdefault((id >> _MINISHARD) % (1 << sharding["shard_bits"]), []).append(place)
    for places in shards.values():
        # A shard is written once, so what goes into it is in memory together.
        with tensorstore.Transaction() as transaction:
            for place in places:
                store.with_transaction(transaction)[_key(ids[place])] = _encoded(traces[place])


def _sharded(folder: Folder, sharding: dict[str, Any]) -> dict[str, Any]:
    return {"driver": "neuroglancer_uint64_sharded", "metadata": sharding, "base": kvstore(folder)}


def _key(id: int) -> bytes:
    return int(id).to_bytes(8, "big")


def _encoded(trace: Trace) -> bytes:
    if trace.unit != "nm":
        raise DataError(
            f"Trace {trace.id} is in voxels, and precomputed skeletons are in nm. Trace a volume whose voxel size is known "
            "(voxel_size=...)."
        )
    counts = np.array([len(trace.nodes), len(trace.edges)], "<u4")
    parts = [counts, trace.nodes[:, ::-1].astype("<f4"), trace.edges.astype("<u4")]
    types = np.clip(trace.types, 0, 255).astype(np.uint8)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in (*parts, trace.radii.astype("<f4"), types))


def is_precomputed(source: str) -> bool:
    """Return whether a folder or URL holds precomputed skeletons."""
    place = locate(source.removeprefix(_PREFIX))
    if isinstance(place, Path) and not (place / "info").is_file():
        return False
    try:
        info = find_json(place / "info")
    except DataError:
        return False
    return info is not None and info.get("@type") == _KIND


def read_precomputed(source: str | Path, ids: Iterable[int] | None = None) -> list[Trace]:
    """Read precomputed skeletons, from a folder or a URL.

    Parameters
    ----------
    source
        The folder that holds their ``info``, or that of the segmentation whose ``info`` names it.
    ids
        Which; None for all, which only a local folder can list.

    Returns
    -------
    list of Trace
        In nm, in the order of `ids`, or ascending. Loops are opened where they are long and thin. Radii are 0 where there
        is no attribute ``radius``, types where there is no attribute ``vertex_types``.

    Raises
    ------
    DataError
        If there are no skeletons, one of them is not there or damaged, or `ids` are needed.
    """
    return list(iterate_precomputed(str(source), ids))


def iterate_precomputed(source: str, ids: Iterable[int] | None = None) -> Iterator[Trace]:
    """Yield what `read_precomputed` returns, one by one."""
    skeletons = _open(locate(source.removeprefix(_PREFIX)))
    for id in skeletons.ids() if ids is None else ids:
        yield skeletons.read(int(id))


@dataclass(frozen=True)
class _Skeletons:
    root: Folder
    transform: Array
    attributes: tuple[tuple[str, np.dtype[Any], int], ...]
    sharding: dict[str, Any] | None

    def ids(self) -> list[int]:
        if isinstance(self.root, Remote):
            raise DataError(f"What is in {self.root} cannot be listed from afar. Name the ids.")
        if self.sharding is None:
            return sorted(int(file.name) for file in self.root.iterdir() if file.name.isdecimal())
        return sorted(int.from_bytes(key, "big") for key in wait(self._store().list(), self.root, TIMEOUT))

    def read(self, id: int) -> Trace:
        if self.sharding is None:
            content = read_file(self.root / str(id), _LARGEST)
        else:
            try:
                answer = wait(self._store().read(_key(id)), self.root, TIMEOUT)
            except (ValueError, OSError, RuntimeError) as error:
                raise failure(self.root, f"skeleton {id}", error) from error
            content = bytes(answer.value) if answer.state == "value" else None
        if content is None:
            raise DataError(f"{self.root} has no skeleton of object {id}. Check the id; not every object has one.")
        try:
            return self._decoded(id, content)
        except (ValueError, IndexError) as error:
            raise DataError(f"The skeleton {id} in {self.root} is damaged: {error}. Copy or write it again.") from error

    def _decoded(self, id: int, content: bytes) -> Trace:
        count, pairs = (int(n) for n in np.frombuffer(content, "<u4", 2))
        due = 8 + 12 * count + 8 * pairs + sum(kind.itemsize * width * count for _, kind, width in self.attributes)
        if len(content) != due:
            raise ValueError(f"it has {len(content)} bytes, and {due} are due for {count} nodes and {pairs} edges")
        xyz = np.frombuffer(content, "<f4", 3 * count, 8).reshape(-1, 3).astype(np.float64)
        xyz = xyz @ self.transform[:, :3].T + self.transform[:, 3]
        edges = np.frombuffer(content, "<u4", 2 * pairs, 8 + 12 * count).reshape(-1, 2).astype(np.int64)
        if pairs and edges.max() >= count:
            raise ValueError(f"an edge leads to node {edges.max()}, and there are {count}")
        found: dict[str, Array] = {}
        at = 8 + 12 * count + 8 * pairs
        for name, kind, width in self.attributes:
            values = np.frombuffer(content, kind, width * count, at)
            at += values.nbytes
            if width == 1:
                found[name] = values
        radii = np.maximum(found.get("radius", np.zeros(count)).astype(np.float64), 0)
        types = found.get("vertex_types", np.zeros(count)).astype(np.int64)
        nodes = xyz[:, ::-1]
        return Trace(nodes, spanning_forest(nodes, edges, radii), radii, id, "nm", types)

    def _store(self) -> Any:
        import tensorstore

        assert self.sharding is not None
        return wait(tensorstore.KvStore.open(_sharded(self.root, self.sharding), context=context()), self.root, TIMEOUT)


def _open(root: Folder) -> _Skeletons:
    info = find_json(root / "info")
    if info is not None and isinstance(info.get("skeletons"), str) and "scales" in info:
        root = root / info["skeletons"]
        info = find_json(root / "info")
    if info is None or info.get("@type") != _KIND:
        raise DataError(
            f"There are no precomputed skeletons at {root}: its file 'info' is absent or describes something else. Give the "
            "folder or URL that holds them."
        )
    try:
        transform = np.array(info.get("transform", [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]), np.float64).reshape(3, 4)
        attributes = tuple(
            (str(each["id"]), _TYPES[each["data_type"]], int(each["num_components"]))
            for each in info.get("vertex_attributes", [])
        )
        if min((width for _, _, width in attributes), default=1) < 1 or not np.isfinite(transform).all():
            raise ValueError("a number in it is out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{root}/info does not describe skeletons: {error!r}. Copy or write it again.") from error
    return _Skeletons(root, transform, attributes, info.get("sharding"))
