"""What a run's journal says, gathered into a state that a panel can show; knows neither Qt nor files.

A journal belongs to a run and not to a process: a run that was stopped and continued has several beginnings in it.
What a later beginning computes again replaces what an earlier one had reported for the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from napari_segkit.session.trainings._series import Series

__all__ = ["Rate", "RunProgress", "eta_text"]

MEMORY_SECONDS = 30.0
SHOWN_AFTER_SECONDS = 10.0
SHOWN_AFTER_UNITS = 20


@dataclass
class Rate:
    """Units of work in a second: an exponential mean over about the last half minute.

    Parameters
    ----------
    per_second
        The mean; 0 until two readings were given.
    """

    per_second: float = 0.0
    _seen: tuple[float, float] = field(
        default=(0.0, 0.0), repr=False
    )  # units and seconds, the later the more they count
    _first: tuple[float, int] | None = field(default=None, repr=False)
    _last: tuple[float, int] | None = field(default=None, repr=False)

    def reach(self, done: int, now: float) -> None:
        """Tell that `done` units are finished at `now`, in seconds of any clock that never goes back."""
        if self._last is None or self._first is None:
            self._first = self._last = (now, done)
            return
        seconds, units = now - self._last[0], done - self._last[1]
        if units <= 0 or seconds <= 0:
            return
        keep = math.exp(-seconds / MEMORY_SECONDS)
        self._seen = keep * self._seen[0] + units, keep * self._seen[1] + seconds
        self.per_second = self._seen[0] / self._seen[1]
        self._last = (now, done)

    def seconds_left(self, total: int) -> float | None:
        """Return how long the rest will take; None while too little was seen to say."""
        if self._last is None or self._first is None or not self.per_second:
            return None
        seen_seconds, seen_units = self._last[0] - self._first[0], self._last[1] - self._first[1]
        if seen_seconds < SHOWN_AFTER_SECONDS and seen_units < SHOWN_AFTER_UNITS:
            return None
        return max(0.0, (total - self._last[1]) / self.per_second)


def eta_text(seconds: float, clock: datetime) -> str:
    """Say a duration as people do, with the time of day at which it ends: ``about 14 min (until 15:20)``."""
    if seconds < 90:
        length = f"{max(1, round(seconds))} s"
    elif seconds < 5400:
        length = f"{round(seconds / 60)} min"
    else:
        length = f"{seconds / 3600:.1f} h"
    return f"about {length} (until {clock + timedelta(seconds=seconds):%H:%M})"


@dataclass
class RunProgress:
    """The state of one run, fed with the records of its journal.

    Parameters
    ----------
    state
        ``waiting`` until something has begun; ``finished`` covers being stopped, `reason` tells why.
    step, steps
        Steps done and wanted.
    losses
        Training loss by step.
    validations
        ``(loss, metrics)`` by step, ascending.
    best_step
        Step of the best validation; None before the first.
    preview, patch
        The latest ``preview`` and ``patch`` record; None before the first.
    checkpoint_step
        Step of the latest checkpoint; None before the first.
    data_changes
        How often it went on with data that were not those of before.
    reason
        Why it ended, or the message of a failure.
    """

    state: Literal["waiting", "running", "finished", "failed"] = "waiting"
    step: int = 0
    steps: int = 0
    losses: Series = field(default_factory=Series)
    validations: dict[int, tuple[float, Mapping[str, float]]] = field(default_factory=dict)
    best_step: int | None = None
    preview: Mapping[str, Any] | None = None
    patch: Mapping[str, Any] | None = None
    checkpoint_step: int | None = None
    data_changes: int = 0
    reason: str = ""
    rate: Rate = field(default_factory=Rate, repr=False)
    _data: str = field(default="", repr=False)

    def feed(self, records: Iterable[Mapping[str, Any]], now: float) -> None:
        """Take in new records, read at `now`; unknown events of later versions are passed over."""
        for record in records:
            event = record.get("event")
            if event == "started":
                self._begin(int(record.get("step", 0)), int(record.get("steps", 0)))
                data = str(record.get("data", ""))
                self.data_changes += data not in ("", self._data) and self._data != ""
                self._data = data or self._data
            elif event == "step":
                self.step = int(record["step"])
                self.losses.add(self.step, _number(record.get("loss")))
            elif event == "validation":
                self._validated(record)
            elif event == "checkpoint":
                self.checkpoint_step = int(record["step"])
            elif event == "preview":
                self.preview = dict(record)
            elif event == "patch":
                self.patch = dict(record)
            elif event == "finished":
                self.state, self.reason = "finished", str(record.get("reason", ""))
                self.step = int(record.get("step", self.step))
            elif event == "failed":
                self.state, self.reason = "failed", str(record.get("message", "The training failed."))
        if self.state == "running":
            self.rate.reach(self.step, now)

    def _begin(self, step: int, steps: int) -> None:
        self.state, self.reason, self.rate = "running", "", Rate()
        self.step, self.steps = step, steps or self.steps
        self.losses.cut(step)
        self.validations = {at: found for at, found in self.validations.items() if at <= step}

    def _validated(self, record: Mapping[str, Any]) -> None:
        step = int(record["step"])
        metrics = {str(name): _number(value) for name, value in dict(record.get("metrics") or {}).items()}
        self.validations[step] = (_number(record.get("loss")), metrics)
        if record.get("best"):
            self.best_step = step

    def line(self, clock: datetime) -> str:
        """Return one line on how far the run is: done and total, rate, time left."""
        if self.state == "waiting":
            return "Preparing: reading the data and building the network"
        count = f"Step {self.step:,} of {self.steps:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        if self.state == "failed":
            return f"{count} · failed"
        if self.state == "finished":
            return f"{count} · {self.reason or 'finished'}"
        parts = [count]
        if self.rate.per_second:
            parts.append(f"{self.rate.per_second:.3g} steps/s")
        left = self.rate.seconds_left(self.steps)
        if left is not None:
            parts.append(eta_text(left, clock))
        return " · ".join(parts)

    @property
    def best(self) -> tuple[str, float] | None:
        """The metric that decides, and its best value; None before the first validation."""
        found = self.validations.get(-1 if self.best_step is None else self.best_step)
        if found is None:
            return None
        return next(iter(found[1].items()), ("loss", found[0]))

    def scores(self, most: int | None = None) -> str:
        """Return the latest validation in a sentence, with the first `most` metrics; empty before the first."""
        if not self.validations:
            return ""
        step, (loss, metrics) = next(reversed(self.validations.items()))
        shown = list(metrics.items())[:most]
        found = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in shown)
        best = f", best at step {self.best_step}" if self.best_step is not None else ""
        return f"Validation at step {step}: loss {loss:.3g}{', ' + found if found else ''}{best}"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
