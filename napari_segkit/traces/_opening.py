"""Opening a set of traces step by step in the background, and saying how far it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_segkit.session import Session
from napari_segkit.session.traces._columns import spaced
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._set import TraceReading, TraceSet

__all__ = ["Opening"]


class Opening:
    """Reads one set at a time; another that is asked for meanwhile takes its place.

    Parameters
    ----------
    session
        Whose threads read.
    prepare
        Called in a thread with the neurons that were read.
    tell
        Called with how far it is.
    opened
        Called with the set and what `prepare` returned.
    """

    def __init__(
        self,
        session: Session,
        prepare: Callable[[Neurons], Any],
        tell: Callable[[str], None],
        opened: Callable[[TraceSet, Any], None],
    ) -> None:
        self._session, self._prepare, self._tell, self._opened = session, prepare, tell, opened
        self._wanted: Path | None = None

    def start(self, path: Path) -> None:
        """Open a set."""
        self._wanted = path
        self._tell("reading\N{HORIZONTAL ELLIPSIS}")
        self._session.in_background(lambda: TraceReading(path), self._read_on, "Traces")

    def stop(self) -> None:
        """Read no further."""
        self._wanted = None

    def _read_on(self, reading: TraceReading) -> None:
        if reading.source != self._wanted:
            return

        def step() -> Any:
            found = reading.step()
            return None if found is None else (found, self._prepare(found.neurons))

        def stepped(found: Any) -> None:
            if reading.source != self._wanted:
                return
            if found is not None:
                self._wanted = None
                self._opened(*found)
                return
            done = f"{spaced(reading.done)}/{spaced(len(reading.files))}"
            self._tell(f"reading {done} traces")
            self._read_on(reading)

        self._session.in_background(step, stepped, "Traces")
