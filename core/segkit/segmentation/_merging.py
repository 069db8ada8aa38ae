"""Which provisional objects are one, what they are called in the end, and the array that says so voxel by voxel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segkit.durable import replace_file
from segkit.geometry import Box
from segkit.segmentation._cutting import box_of
from segkit.segmentation._layout import Layout
from segkit.segmentation._seams import Opinions

__all__ = ["Found", "Names", "Relabelled"]

Array = np.ndarray[Any, Any]

_COLUMNS = ("keys", "voxels", "first", "pairs")


@dataclass(slots=True)
class Found:
    """What the second pass has found so far; its size grows with the number of objects, not of voxels.

    Parameters
    ----------
    blocks
        Blocks looked at, in order from 0.
    parts
        For each column the arrays of the blocks: keys, number of voxels, and first voxel of the objects; pairs of keys
        that are one object.
    """

    blocks: int = 0
    parts: dict[str, list[Array]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})

    def add(self, keys: Array, voxels: Array, first: Array, pairs: Array) -> None:
        """Add the next block."""
        for name, value in zip(_COLUMNS, (keys, voxels, first, pairs), strict=True):
            self.parts[name].append(value)
        self.blocks += 1

    def column(self, name: str) -> Array:
        """Return a column over all blocks."""
        empty = np.zeros((0, 2) if name == "pairs" else 0, np.uint64)
        whole = np.concatenate([empty, *self.parts[name]])
        self.parts[name] = [whole]
        return whole

    def save(self, path: Path) -> None:
        """Keep this at `path`, so that an interrupted pass goes on from here."""
        columns: dict[str, Any] = {name: self.column(name) for name in _COLUMNS}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, blocks=np.int64(self.blocks), **columns)

        replace_file(path, write)

    @classmethod
    def load(cls, path: Path) -> Found:
        """Return what `save` kept, or nothing found yet."""
        if not path.exists():
            return cls()
        with np.load(path, allow_pickle=False) as kept:
            return cls(int(kept["blocks"]), {name: [kept[name]] for name in _COLUMNS})


@dataclass(frozen=True, eq=False)
class Names:
    """The final id of each provisional object.

    Parameters
    ----------
    keys
        Provisional objects, sorted.
    ids
        Their final ids, uint64; 0 for one that is dropped.
    count
        Number of final objects; their ids are 1 to this.
    folder
        Where they are kept; None in memory.
    """

    keys: Array
    ids: Array
    count: int
    folder: Path | None = None

    @classmethod
    def of(cls, found: Found, min_size: int) -> Names:
        """Join pairs, drop objects below `min_size` voxels, and number the others by their first voxel (z, y, x)."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        keys, pairs = found.column("keys"), found.column("pairs")
        if not len(keys):
            return cls(keys, keys, 0)
        at = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
        at = at[(keys[at] == pairs).all(axis=1)]  # an object may lie in the halo of a block alone
        graph = coo_array((np.ones(len(at), bool), (at[:, 0], at[:, 1])), (len(keys), len(keys)))
        count, group = connected_components(graph, directed=False)
        voxels = np.bincount(group, found.column("voxels"), count)  # exact below 2**53
        first = np.full(count, np.iinfo(np.uint64).max, np.uint64)
        np.minimum.at(first, group, found.column("first"))
        order = np.argsort(first, kind="stable")
        kept = order[voxels[order] >= min_size]
        ids = np.zeros(count, np.uint64)
        ids[kept] = np.arange(1, len(kept) + 1, dtype=np.uint64)
        return cls(keys, ids[group], len(kept))

    def kept(self, folder: Path) -> Names:
        """Return the same, kept in files that other processes read for themselves: there may be very many objects."""
        for name, column in {"keys": self.keys, "ids": self.ids}.items():
            replace_file(folder / f"{name}.npy", partial(_save, column))
        return Names.opened(folder, self.count)

    @classmethod
    def opened(cls, folder: Path, count: int) -> Names:
        """Return what `kept` kept."""
        keys, ids = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("keys", "ids"))
        return cls(keys, ids, count, folder)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is None:
            return Names, (self.keys, self.ids, self.count)
        return Names.opened, (self.folder, self.count)

    def of_block(self, index: int) -> Array:
        """Return the final ids of one block as a table, by provisional id."""
        begin, end = np.searchsorted(self.keys, np.array([index, index + 1], np.uint64) << np.uint64(32))
        local = self.keys[begin:end].astype(np.uint32)
        table = np.zeros(int(local[-1]) + 1 if len(local) else 1, np.uint64)
        table[local] = self.ids[begin:end]
        return table


def _save(column: Array, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, column, allow_pickle=False)


@dataclass(frozen=True, eq=False)
class Relabelled:
    """The segmentation, ``(Z, Y, X)`` uint64: provisional objects under their final ids.

    Parameters
    ----------
    layout
        The blocks.
    opinions
        Their provisional objects.
    names
        Their final ids.
    threads
        How many blocks are worked on at once where many are asked for.
    """

    layout: Layout
    opinions: Opinions
    names: Names
    threads: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of the volume."""
        return self.layout.lattice.extent.shape

    @property
    def dtype(self) -> Any:
        """Type of an id."""
        return np.dtype(np.uint64)

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        box = box_of(key, self.shape)
        out = np.empty(box.shape, np.uint64)
        indices = list(self.layout.lattice.touching(box))
        with ThreadPoolExecutor(max(1, min(self.threads, len(indices))), "segkit-rename") as pool:
            for _ in pool.map(lambda index: self._write(index, box, out), indices):
                pass
        return out

    def _write(self, index: int, box: Box, out: Array) -> None:
        """Write what block `index` holds of `box` into `out`, which covers `box`."""
        from segkit.segmentation._passes import rename

        part = self.layout.lattice[index] & box
        if part is not None:
            ids = self.opinions.read(index, part)
            rename(ids, self.names.of_block(index), out[part.relative_to(box.start).slices])
