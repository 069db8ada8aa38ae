"""A set of traces that is looked at: its neurons, what was found out about them, and what was mended. Knows no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import numpy as np
from psygnal import Signal

from napari_segkit.session.traces._columns import read_table
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._review import Review
from segkit.errors import DataError, UsageError
from segkit.tracing import Edit, EditLog, Piece, Trace, cut, edge_to_root, join, read_swc, replay

__all__ = ["TraceReading", "TraceSet", "trace_folders"]

STEP_SECONDS = 0.4


def trace_folders(folder: Path) -> list[Path]:
    """Return what below a folder can be opened as a set of traces: folders with SWC files, also those inside of folders."""
    if not folder.is_dir():
        return []
    if any(folder.glob("*.swc")):
        return [folder]
    return [
        inner
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name[0] != "."
        for inner in trace_folders(path)
    ]


class TraceReading:
    """Reads a set of traces in steps, so that what reads can say how far it is and can be stopped.

    Parameters
    ----------
    source
        A folder of SWC files, or one such file.

    Raises
    ------
    DataError
        If there is no SWC file.
    """

    def __init__(self, source: str | Path) -> None:
        self.source = Path(source)
        self.files = sorted(self.source.glob("*.swc")) if self.source.is_dir() else [self.source]
        if not self.files:
            raise DataError(
                f"There is no SWC file in {source}. Choose a folder that 'segkit trace' wrote, or an SWC file."
            )
        self.done = 0
        self._traces: list[Trace] = []

    def step(self) -> TraceSet | None:
        """Read for less than half a second; return the set once everything is read.

        Raises
        ------
        DataError
            If a file is not SWC; the message names the line.
        """
        end = monotonic() + STEP_SECONDS
        while self.done < len(self.files) and monotonic() < end:
            self._traces += read_swc(self.files[self.done])
            self.done += 1
        if self.done < len(self.files):
            return None
        units = {trace.unit for trace in self._traces}
        if len(units) > 1:
            raise DataError(f"Some files in {self.source} are in nm and some in voxels. Keep them in two folders.")
        return TraceSet(self.source, Neurons.of(self._traces, read_table(self.source / "table.csv")))


class TraceSet:
    """One set of traces, opened.

    Parameters
    ----------
    source
        Where they are from.
    neurons
        The traces as they were drawn; edits that the log beside them tells of are made.

    Raises
    ------
    DataError
        If the log or the review beside them cannot be read, or the log does not fit.
    """

    changed = Signal(object)
    """The neurons changed: an `Edit`, or None where one was taken back."""

    def __init__(self, source: Path, neurons: Neurons) -> None:
        self.source = source
        self.folder = source if source.is_dir() else source.parent
        self.drawn = neurons
        self.review = Review(self.folder)
        self.log = EditLog(self.folder)
        self.edits: tuple[Edit, ...] = self.log.edits
        self._before: list[Neurons] = []
        self.neurons = self._replayed()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.source.stem if self.source.is_file() else self.source.name

    def merge(self, ids: Sequence[int]) -> Edit:
        """Make one neuron of several, joined where they come closest; it keeps the id of the longest.

        Raises
        ------
        UsageError
            If there are fewer than two of them.
        StorageError
            If the disk refuses.
        """
        rows = [self.neurons.rows[id] for id in dict.fromkeys(ids) if id in self.neurons.rows]
        if len(rows) < 2:
            raise UsageError("Merging takes two neurons or more. Select them: Shift or Ctrl and click adds one.")
        pieces = sorted((self.neurons.piece(row) for row in rows), key=lambda piece: -piece.trace.cable_length)
        whole = join(pieces, pieces[0].trace.id)
        # The first edge that joins two nodes of different traces is where.
        count = len(pieces[0].trace.nodes)
        bridge = next(edge for edge in whole.trace.edges if (edge < count).sum() == 1)
        edit = self.log.add("merge", [piece.trace.id for piece in pieces], *whole.trace.nodes[np.sort(bridge)])
        self._become(self.neurons.replaced([piece.trace.id for piece in pieces], [whole]), edit)
        return edit

    def split(self, id: int, node: int) -> Edit:
        """Cut a neuron in two at a node: what is behind it, seen from the soma or thickest node, becomes one of its own.

        Raises
        ------
        UsageError
            If there is nothing to cut there.
        StorageError
            If the disk refuses.
        """
        if id not in self.neurons.rows:
            raise UsageError(f"There is no trace {id} in {self.name}. Select one.")
        piece = self.neurons.piece(self.neurons.rows[id])
        near, beyond = edge_to_root(piece.trace, node)
        new = self._free_id()
        rest, part = cut(piece, near, beyond, new)
        edit = self.log.add("split", [id, new], piece.trace.nodes[near], piece.trace.nodes[beyond])
        self._become(self.neurons.replaced([id], [rest, part]), edit)
        return edit

    def undo(self) -> Edit:
        """Take the last edit back, also in the log, and return it.

        Raises
        ------
        UsageError
            If nothing was edited.
        """
        edit = self.log.undo()
        self.edits = tuple(e for e in self.edits if e.number != edit.number)
        self.neurons = self._before.pop() if self._before else self._replayed()
        self.changed.emit(None)
        return edit

    def _free_id(self) -> int:
        used = [int(self.drawn.ids.max(initial=0)), *(id for edit in self.edits for id in edit.ids)]
        return max(used) + 1

    def _become(self, neurons: Neurons, edit: Edit) -> None:
        self._before.append(self.neurons)
        self.neurons, self.edits = neurons, (*self.edits, edit)
        self.changed.emit(edit)

    def _replayed(self) -> Neurons:
        if not self.edits:
            return self.drawn

        def trace_of(id: int) -> Trace | None:
            row = self.drawn.rows.get(id)
            return None if row is None else self.drawn.trace(row)

        pieces = replay(self.edits, trace_of)
        held: list[Piece] = [piece for piece in pieces.values() if piece is not None]
        return self.drawn.replaced(list(pieces), held)
