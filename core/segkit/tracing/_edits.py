"""The log of what people mended in a folder of traces: which were joined, where one was cut, and what was taken back.

``edits.jsonl`` is only ever appended to; the traces beside it stay as they were drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from segkit.durable import append_record, cut_torn_tail, read_records
from segkit.errors import DataError, UsageError
from segkit.tracing._editing import Piece, cut, join
from segkit.tracing._trace import Trace
from segkit.volume import Spacing

__all__ = ["EDITS", "Edit", "EditLog", "nearest_node", "replay"]

EDITS = "edits.jsonl"


@dataclass(frozen=True)
class Edit:
    """One thing that somebody did.

    Parameters
    ----------
    kind
        ``"merge"``: the traces `ids` are one, which is called as the first of them. ``"split"``: what lies behind an edge of
        the first of `ids` is a trace of its own, which is called as the second.
    ids
        The traces.
    at, beyond
        Where ``(z, y, x)``, in the unit of the traces: the nodes that are joined, or those between which it is cut.
    when
        Date and time, UTC.
    number
        Its place among all edits of the log, from 0.
    """

    kind: Literal["merge", "split"]
    ids: tuple[int, ...]
    at: Spacing
    beyond: Spacing
    when: str
    number: int


class EditLog:
    """The edits of a folder of traces.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / EDITS

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Those that hold, in their order.

        Raises
        ------
        DataError
            If the log cannot be read.
        """
        return _holding(read_records(self.path)[0] if self.path.exists() else [], self.path)

    def add(self, kind: Literal["merge", "split"], ids: Sequence[int], at: Any, beyond: Any) -> Edit:
        """Append an edit, durably, and return it; see `Edit`.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        records = cut_torn_tail(self.path) if self.path.exists() else []
        here, there = (cast("Spacing", tuple(round(float(v), 3) for v in place)) for place in (at, beyond))
        when = datetime.now(UTC).isoformat(timespec="seconds")
        edit = Edit(kind, tuple(map(int, ids)), here, there, when, sum("kind" in record for record in records))
        append_record(self.path, asdict(edit))
        return edit

    def undo(self) -> Edit:
        """Take back the last edit that holds, and return it.

        Raises
        ------
        UsageError
            If there is none.
        """
        edits = self.edits
        if not edits:
            raise UsageError(f"There is no edit in {self.path} that could be taken back.")
        cut_torn_tail(self.path)
        append_record(self.path, {"undo": edits[-1].number})
        return edits[-1]


def _holding(records: list[dict[str, Any]], path: Path) -> tuple[Edit, ...]:
    held: dict[int, Edit] = {}
    try:
        for record in records:
            if "undo" in record:
                held.pop(int(record["undo"]), None)
            else:
                at, beyond = (cast("Spacing", tuple(map(float, record[end]))) for end in ("at", "beyond"))
                ids, number = tuple(map(int, record["ids"])), int(record["number"])
                held[number] = Edit(record["kind"], ids, at, beyond, str(record["when"]), number)
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is no log of edits ({error}). Move it away to see the traces as they were drawn."
        ) from error
    return tuple(held.values())


def replay(edits: Iterable[Edit], trace_of: Callable[[int], Trace | None]) -> dict[int, Piece | None]:
    """Return what edits make of traces.

    Parameters
    ----------
    edits
        The edits, in their order.
    trace_of
        Returns a trace as it was drawn, by its id; None where there is none.

    Returns
    -------
    dict
        Every trace that is concerned, by its id; None for one that is part of another now. Ids that are not there are as they
        were drawn.

    Raises
    ------
    DataError
        If an edit is of a trace that is not there.
    """
    pieces: dict[int, Piece | None] = {}

    def piece(id: int) -> Piece:
        if id not in pieces:
            trace = trace_of(id)
            pieces[id] = None if trace is None else Piece.of(trace)
        found = pieces[id]
        if found is None:
            raise DataError(
                f"{EDITS} tells of trace {id}, which is not there: the traces were made again after they were edited. Move "
                f"{EDITS} away to see them as they were drawn."
            )
        return found

    for edit in edits:
        if edit.kind == "merge":
            whole = join([piece(id) for id in edit.ids], edit.ids[0])
            pieces.update(dict.fromkeys(edit.ids))
            pieces[edit.ids[0]] = whole
        else:
            whole = piece(edit.ids[0])
            near, beyond = (nearest_node(whole.trace, place) for place in (edit.at, edit.beyond))
            pieces[edit.ids[0]], pieces[edit.ids[1]] = cut(whole, near, beyond, edit.ids[1])
    return pieces


def nearest_node(trace: Trace, place: Sequence[float]) -> int:
    """Return the node of a trace that is closest to a place."""
    return int(((trace.nodes - np.asarray(place)) ** 2).sum(axis=1).argmin())
