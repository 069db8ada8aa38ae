"""A job: one segkit command on its way, from the queue to its end, and what it says while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from psygnal import Signal

from napari_segkit.session._writing import writer
from napari_segkit.session.jobs._child import Attached, Child, Process, output_of, started_at
from napari_segkit.session.trainings._run_progress import Rate, eta_text
from segkit.durable import make_dirs, read_records

__all__ = ["Job", "Kind", "State"]

Kind = Literal["train", "predict", "segment", "trace", "convert", "evaluate", "mend"]
State = Literal["queued", "preparing", "running", "pausing", "paused", "stopping", "done", "stopped", "failed"]

STOPPED_CODES = (143, 130, -15, -2)
INCOMPLETE_CODE = 3
PATIENCE_SECONDS = 10.0


class Job:
    """One command; everything about it is in its folder, so that a later session finds it again.

    Parameters
    ----------
    folder
        Folder of this job in the project.
    kind
        What it does.
    title
        What people call it: ``"train run-3"``.
    arguments
        What follows ``segkit`` on the command line. The same command goes on with what was interrupted.
    output
        What it makes: a run folder, store or folder.
    extra
        Anything that has to be known when it is done, as JSON says it.
    """

    changed = Signal()

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        title: str,
        arguments: Sequence[str],
        output: Path,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.kind, self.title, self.output = folder, kind, title, output
        self.arguments, self.extra = tuple(arguments), dict(extra or {})
        self.state: State = "queued"
        self.done, self.total = 0, 0
        self.what, self.unit = "", ""
        self.failure: Mapping[str, Any] = {}
        self.process: Process | None = None
        self.rate = Rate()
        self._position = 0
        self._asked: float | None = None
        self._ended: int | None = None

    # ---- on disk

    @property
    def log(self) -> Path:
        """Everything the command printed."""
        return self.folder / "log.txt"

    @property
    def events(self) -> Path:
        """What the command did, as records."""
        return self.folder / "events.jsonl"

    def save(self) -> None:
        """Write what a later session needs."""
        make_dirs(self.folder)
        process = self.process
        body = {
            "kind": self.kind,
            "title": self.title,
            "arguments": self.arguments,
            "output": str(self.output),
            "extra": self.extra,
            "state": self.state,
            "pid": 0 if process is None else process.pid,
            "started": 0.0 if process is None else process.started,
        }
        writer.replace(self.folder / "job.json", json.dumps(body, indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Find a job of an earlier session again: running, or paused where its process is gone before its end.

        Raises
        ------
        ValueError, KeyError, OSError
            If the folder holds no job.
        """
        body = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        job = cls(folder, body["kind"], body["title"], body["arguments"], Path(body["output"]), body["extra"])
        job.state = body["state"]
        if job.active or job.state in ("queued", "paused"):
            alive = body["pid"] and started_at(body["pid"]) == body["started"]
            job.process = Attached(body["pid"], body["started"]) if alive else None
            job._read()
            if alive:
                job.state = "running" if job.total else "preparing"
            else:
                job._conclude(0 if job._ended == 0 else 143)
                job.state = job.state if job.state in ("done", "failed") else "paused"
            job.save()
        return job

    # ---- what people do with it

    @property
    def active(self) -> bool:
        """Whether its process runs."""
        return self.state in ("preparing", "running", "pausing", "stopping")

    @property
    def impatient(self) -> bool:
        """Whether it was asked to stop so long ago that ending it by force is offered."""
        return self.active and self._asked is not None and monotonic() - self._asked > PATIENCE_SECONDS

    def start(self) -> None:
        """Start the command, or go on where it was stopped.

        Raises
        ------
        OSError
            If no process can be started.
        """
        make_dirs(self.folder)
        if self.events.exists():
            self._position = self.events.stat().st_size
        self.failure, self.rate, self._asked, self._ended = {}, Rate(), None, None
        self.process = Child(self.arguments, self.log, self.events)
        self._become("preparing")

    def stop(self, then: Literal["stopped", "paused"] = "stopped") -> None:
        """Ask it to save and end; one that only waits is done with at once."""
        if self.active and self.process is not None:
            self._asked = self._asked or monotonic()
            self.process.stop()
            self._become("stopping" if then == "stopped" else "pausing")
        elif self.state in ("queued", "paused"):
            self._become(then)

    def force(self) -> None:
        """End it at once; what it saved before stays."""
        if self.process is not None and self.active:
            self.process.kill()

    def poll(self) -> None:
        """Read what it says, and notice its end."""
        if not self.active or self.process is None:
            return
        code = self.process.exit_code()
        before = (self.done, self.total, self.what)
        self._read()
        if self.state == "preparing" and self.total:
            self._become("running")
        if code is not None:
            self._conclude(code if self._ended is None else self._ended)
        elif (self.done, self.total, self.what) != before:
            self.changed.emit()

    def _read(self) -> None:
        records, self._position = read_records(self.events, self._position)
        for record in records:
            event = record.get("event")
            if event == "progress":
                if record["what"] != self.what:
                    self.what, self.unit, self.rate = record["what"], record["unit"], Rate()
                self.done, self.total = int(record["done"]), int(record["total"])
                self.rate.reach(self.done, monotonic())
            elif event == "failed":
                self.failure = record
            elif event == "ended":
                self._ended = int(record["code"])

    def _conclude(self, code: int) -> None:
        if code == 0:
            self._become("done")
        elif self.state in ("stopping", "pausing"):
            self._become("stopped" if self.state == "stopping" else "paused")
        elif code in STOPPED_CODES and not self.failure:
            self._become("paused")  # somebody else stopped it: it can go on
        else:
            if not self.failure:
                self.failure = {"type": "", "message": self._last_words(code), "code": code}
            self._become("done" if code == INCOMPLETE_CODE else "failed")

    def _last_words(self, code: int) -> str:
        lines = [line.strip() for line in output_of(self.log).splitlines() if line.strip()]
        said = f"; the last it said was: {lines[-1]}" if lines else " and said nothing"
        return f"{self.title} ended with code {code}{said}"

    def _become(self, state: State) -> None:
        self.state = state
        self.save()
        self.changed.emit()

    # ---- what people read

    @property
    def seconds_left(self) -> float | None:
        """Estimated time to its end; None while that cannot be said."""
        return self.rate.seconds_left(self.total) if self.total else None

    def line(self, clock: datetime) -> str:
        """Return how far it is: done and total, rate, time left; or its state in a word."""
        words = {
            "queued": "waiting",
            "preparing": "preparing",
            "pausing": "saving and pausing",
            "stopping": "saving and stopping",
        }
        count = f"{self.done:,}/{self.total:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if self.total else ""
        if self.state != "running":
            return " · ".join(part for part in (words.get(self.state, self.state), count) if part)
        parts = [f"{count} {self.unit}".strip()]
        if self.rate.per_second:
            parts.append(f"{self.rate.per_second:.3g}/s")
        left = self.seconds_left
        if left is not None and self.done < self.total:
            parts.append(eta_text(left, clock))
        return " · ".join(parts)

    @property
    def command(self) -> str:
        """The same command as somebody would type it."""
        return " ".join(["segkit", *self.arguments])

    def report(self) -> str:
        """Return the command, the traceback if there is one, and the end of what it printed."""
        parts = (self.command, str(self.failure.get("details", "")), output_of(self.log))
        return "\n\n".join(part for part in parts if part)
