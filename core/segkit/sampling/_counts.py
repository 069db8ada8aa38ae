"""Label counts kept in the run folder, so that going on, or another run on the same data, need not count again.

A file is named by a hash of what was counted: the labels' places, extents, sizes and times of writing, the task, and the
blocks. It begins with the SHA-256 of the rest, a NumPy archive without pickle. Before it is trusted, some of its blocks
are counted anew.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np

from segkit.addressing import rng
from segkit.contracts import Sample
from segkit.durable import make_dirs, replace_file
from segkit.sampling._index import LabelIndex, read_known
from segkit.volume import Volume

__all__ = ["CountsFile"]

Array = np.ndarray[Any, Any]

_SCHEMA = 1
_PROBES = 8


def _state_of(volume: Volume | None) -> list[Any]:
    """Return facts that change when a file or store is written; for one that is not local, only what it says of itself."""
    if volume is None:
        return []
    facts: list[Any] = [
        volume.source,
        volume.shape,
        str(volume.dtype),
        volume.offset,
        volume.chunks,
        volume.chunk_start,
    ]
    source = volume.source
    path = next((Path(p) for p in (source, source.rpartition(":")[0]) if p and Path(p).exists()), None)
    if path is None:
        return facts
    # A label that is painted into a chunk leaves the store's own metadata as they were: every file counts.
    inside = (Path(root, name) for root, _, names in os.walk(path) for name in names)
    stats = [file.stat() for file in ([path] if path.is_file() else inside)]
    return [*facts, len(stats), sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


@dataclass(frozen=True)
class CountsFile:
    """Where counts are kept.

    Parameters
    ----------
    folder
        The run folder. Runs beside it are asked too.
    about
        What the task's foreground depends on: its name, options and version.
    """

    folder: Path
    about: str

    def _name(self, samples: Sequence[Sample], ids: bool) -> str:
        facts = [[sample.unlabelled, _state_of(sample.labels), _state_of(sample.mask)] for sample in samples]
        text = json.dumps([_SCHEMA, self.about, ids, facts], default=str)
        return f"{blake2b(text.encode(), digest_size=16).hexdigest()}.npz"

    def building(
        self, samples: Sequence[Sample], foreground: Callable[[Array], Array], *, ids: bool, workers: int, write: bool
    ) -> Generator[tuple[int, int], None, LabelIndex]:
        """Return the counts of these samples, kept or counted now; see `LabelIndex.building`."""
        found = self.load(samples, foreground, ids=ids)
        if found is None:
            found = yield from LabelIndex.building(samples, foreground, ids=ids, workers=workers)
            if write:
                self.save(found, samples)
        return found

    def load(self, samples: Sequence[Sample], foreground: Callable[[Array], Array], *, ids: bool) -> LabelIndex | None:
        """Return the counts of these samples; None where there are none, or where they do not hold any more."""
        if not all(_has_place(sample) for sample in samples):
            return None
        name = self._name(samples, ids)
        own = self.folder / "counts" / name
        for path in (own, *sorted(self.folder.resolve().parent.glob(f"*/counts/{name}"))):
            arrays = _read(path)
            if arrays is None:
                continue
            index = LabelIndex.over(samples, arrays["known"], arrays["foreground"], arrays["pairs"] if ids else None)
            if len(index.known) == len(index.sample_of) and _holds(index, samples, foreground):
                return index
        return None

    def save(self, index: LabelIndex, samples: Sequence[Sample]) -> None:
        """Keep counts; data in memory, which have no name to be found by, are not kept."""
        if not all(_has_place(sample) for sample in samples):
            return
        pairs = np.zeros((0, 3), np.int64) if index.pairs is None else index.pairs
        buffer = io.BytesIO()
        np.savez_compressed(buffer, known=index.known, foreground=index.foreground, pairs=pairs)
        data = buffer.getvalue()
        path = self.folder / "counts" / self._name(samples, index.pairs is not None)
        make_dirs(path.parent)
        replace_file(path, sha256(data).hexdigest().encode() + b"\n" + data)


def _has_place(sample: Sample) -> bool:
    """Return whether the labels have a place of their own, such as a file or URL."""
    volumes = [volume for volume in (sample.labels, sample.mask) if volume is not None]
    return all(
        "://" in v.source or any(p and Path(p).exists() for p in (v.source, v.source.rpartition(":")[0]))
        for v in volumes
    )


def _read(path: Path) -> dict[str, Array] | None:
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
        if sha256(data).hexdigest().encode() != digest:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _holds(index: LabelIndex, samples: Sequence[Sample], foreground: Callable[[Array], Array]) -> bool:
    """Return whether some blocks with labels hold what was counted."""
    g = rng(0, 0, len(index.known), "probes")
    labelled = np.flatnonzero(index.known)
    for block in g.choice(labelled, min(_PROBES, len(labelled)), replace=False) if len(labelled) else ():
        which, box = index.box(int(block))
        labels, known = read_known(samples[which], box)
        counts = int(np.count_nonzero(known)), int(np.count_nonzero(foreground(labels) & known))
        if counts != (index.known[block], index.foreground[block]):
            return False
    return True
