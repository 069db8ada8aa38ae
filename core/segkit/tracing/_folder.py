"""A folder of traces: one SWC file an object, a table, and the journal by which an interrupted run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from segkit import durable
from segkit.errors import OutputExistsError
from segkit.tracing._measures import measures, table
from segkit.tracing._swc import read_swc, write_swc
from segkit.tracing._trace import Trace
from segkit.volume import Volume

__all__ = ["TraceFolder", "Traces"]


@dataclass(frozen=True)
class Traces(Sequence[Trace]):
    """Traces in a folder, read when asked for, in ascending order of their ids.

    Parameters
    ----------
    folder
        Where the SWC files are.
    ids
        The objects.
    lengths
        The cable length of each, in the unit of the traces, as measured when it was drawn.
    """

    folder: Path
    ids: tuple[int, ...]
    lengths: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Trace: ...

    @overload
    def __getitem__(self, index: slice) -> Traces: ...

    def __getitem__(self, index: int | slice) -> Trace | Traces:
        if isinstance(index, slice):
            return Traces(self.folder, self.ids[index], self.lengths[index])
        return read_swc(self.folder / f"{self.ids[index]}.swc")[0]

    @property
    def table(self) -> Path:
        """The table of measurements."""
        return self.folder / "table.csv"


class TraceFolder:
    """Writes traces into a folder, each once; what is there of the same plan stays.

    Parameters
    ----------
    folder
        Where to.
    volume
        The segmentation, for units.
    records
        What the journal says about each object that was tried.
    """

    def __init__(self, folder: Path, volume: Volume, records: dict[int, dict[str, Any]]) -> None:
        self.folder = folder
        self.volume = volume
        self.records = records

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, volume: Volume, plan: Mapping[str, Any], *, overwrite: bool) -> Iterator[TraceFolder]:
        """Make or continue a folder, which stays locked inside the block.

        Raises
        ------
        OutputExistsError
            If there are other traces in it.
        BusyError
            If another process writes it.
        """
        state = folder / ".segkit"
        durable.make_dirs(state)
        with durable.lock(state / "lock", str(folder)):
            durable.sweep(folder)
            durable.sweep(state)
            journal = state / "journal.jsonl"
            records = durable.cut_torn_tail(journal)
            if not (records and records[0].get("plan") == plan):
                foreign = any(folder.glob("*.swc")) or (folder / "table.csv").exists()
                if (records or foreign) and not overwrite:
                    known = records[0].get("plan", {}) if records else {}
                    changed = (
                        ", ".join(sorted(key for key in plan if known.get(key) != plan[key])) if records else "origin"
                    )
                    raise OutputExistsError(
                        f"{folder} holds other traces (they differ in {changed}). Choose another folder, or overwrite it with "
                        "'--overwrite' (overwrite=True)."
                    )
                _clear(folder, records)
                durable.append_record(journal, {"plan": dict(plan)})
                records = []
            yield cls(folder, volume, {int(r["id"]): r for r in records if "id" in r})

    @property
    def state(self) -> Path:
        """Where the journal is, and other state of the run may be."""
        return self.folder / ".segkit"

    def has(self, id: int) -> bool:
        """Return whether an object was traced, and its file is there."""
        return "error" not in self.records.get(id, {"error": ""}) and (self.folder / f"{id}.swc").exists()

    def add(self, trace: Trace, **facts: Any) -> None:
        """Write a trace, then record it with its measurements."""
        write_swc(trace, self.folder / f"{trace.id}.swc")
        self._record({"id": trace.id, **measures(trace), **facts})

    def fail(self, id: int, reason: str) -> None:
        """Record that an object could not be traced."""
        self._record({"id": id, "error": reason})

    def make(self, name: str) -> Path:
        """Return where something besides the traces goes, which is removed when they are."""
        durable.append_record(self.state / "journal.jsonl", {"made": name})
        return self.folder / name

    def _record(self, record: dict[str, Any]) -> None:
        # A line that is lost costs the tracing of one object; waiting for the disk each time would cost more.
        durable.append_record(self.state / "journal.jsonl", record, sync=False)
        self.records[record["id"]] = record

    def traces(self, ids: tuple[int, ...]) -> Traces:
        """Return the traces of some objects."""
        return Traces(self.folder, ids, tuple(float(self.records[id]["length"]) for id in ids))

    def write_table(self) -> None:
        """Write the table of all traces in the folder, by ascending id."""
        rows = [(id, row) for id, row in sorted(self.records.items()) if "error" not in row]
        durable.replace_file(self.folder / "table.csv", table(rows, self.volume).encode())


def _clear(folder: Path, records: list[dict[str, Any]]) -> None:
    """Remove the traces and folders that a journal lists, the table and the journal; leave other files alone."""
    (folder / "table.csv").unlink(missing_ok=True)
    for record in records:
        if "id" in record:
            (folder / f"{record['id']}.swc").unlink(missing_ok=True)
        elif "made" in record:
            durable.remove(folder / record["made"])
    state = folder / ".segkit"
    for file in state.iterdir():
        if file.name != "lock":
            shutil.rmtree(file) if file.is_dir() else file.unlink()
