"""The folder of a sweep, and what its journal amounts to.

sweep.json  recipe.toml    what was asked, complete; the recipe also for people
trials.jsonl               every configuration and how each of its trainings ended; each line with its own checksum
trials/NNN/seed-S/         the trainings, each a run folder
training_summary.csv       one row for each training that has ended
best.toml  best/           the recipe of the best configuration, and of the best of each architecture
report.html  *.png         the same with pictures
stop                       asks whoever runs the sweep to save everything and end
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segkit.durable import append_record, cut_torn_tail, lock, make_dirs, read_records, replace_file, sweep
from segkit.errors import DataError, OutputExistsError, UsageError
from segkit.sweeping._plan import SweepPlan

__all__ = ["Outcome", "SweepFolder", "Trial"]

SCHEMA = 1


@dataclass(frozen=True)
class Outcome:
    """How one training ended.

    Parameters
    ----------
    state
        ``completed`` (to its end, or stopped early by its own patience), ``pruned`` or ``failed``. While a sweep runs
        also ``stopped`` or ``busy``, which are not written down: the training goes on when the sweep does.
    reason
        Why it failed or was pruned.
    best, best_step, final, final_step
        The best and the last validation score, and their steps; None where there is none.
    stability
        Standard deviation of the last validation losses; None where there are fewer than 3.
    seconds
        What its steps took.
    steps
        Steps done.
    curve
        Step and score of each validation; None for a score that is not a number.
    """

    state: str
    reason: str = ""
    best: float | None = None
    best_step: int | None = None
    final: float | None = None
    final_step: int | None = None
    stability: float | None = None
    seconds: float = 0.0
    steps: int = 0
    curve: tuple[tuple[int, float | None], ...] = ()


@dataclass
class Trial:
    """A configuration, and its trainings that have ended.

    Parameters
    ----------
    number
        From 0.
    values
        What each varied entry of the recipe is.
    outcomes
        How the training with each seed ended.
    """

    number: int
    values: Mapping[str, Any]
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def scores(self) -> list[float]:
        """Best validation scores of the trainings that completed."""
        done = [o for _, o in sorted(self.outcomes.items()) if o.state == "completed"]
        return [outcome.best for outcome in done if outcome.best is not None]


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep.

    Parameters
    ----------
    path
        Where it is.
    """

    path: Path

    @property
    def stop_file(self) -> Path:
        """The file that asks for a stop."""
        return self.path / "stop"

    @property
    def plan(self) -> SweepPlan:
        """What the sweep does.

        Raises
        ------
        DataError
            If there is no sweep in this folder.
        """
        try:
            return SweepPlan.from_mapping(json.loads((self.path / "sweep.json").read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise DataError(
                f"{self.path} is not the folder of a sweep: it has no sweep.json. Name the folder given to 'segkit sweep --folder'."
            ) from error

    def run(self, number: int, seed: int) -> Path:
        """Return the run folder of a training."""
        return self.path / "trials" / f"{number:03d}" / f"seed-{seed}"

    def ask_to_stop(self) -> None:
        """Ask whoever runs this sweep, on whatever computer, to save everything and end.

        Raises
        ------
        StorageError
            If the folder cannot be written.
        """
        replace_file(self.stop_file, b"")

    def trials(self) -> list[Trial]:
        """Return the configurations so far, in the order of their numbers."""
        found: dict[int, Trial] = {}
        for record in read_records(self.path / "trials.jsonl")[0]:
            if record["event"] == "trials":
                for number, values in enumerate(record["values"], record["first"]):
                    found[number] = Trial(
                        number, {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
                    )
            elif record["event"] == "ended":
                outcome = dict(record["outcome"])
                outcome["curve"] = tuple((step, score) for step, score in outcome["curve"])
                found[record["number"]].outcomes[record["seed"]] = Outcome(**outcome)
        return [found[number] for number in sorted(found)]

    def add_trials(self, first: int, values: Sequence[Mapping[str, Any]]) -> None:
        """Write down configurations, all or none of them."""
        record = {"event": "trials", "first": first, "values": [dict(each) for each in values]}
        append_record(self.path / "trials.jsonl", record)

    def add_outcome(self, number: int, seed: int, outcome: Outcome) -> None:
        """Write down how a training ended."""
        record = {"event": "ended", "number": number, "seed": seed, "outcome": asdict(outcome)}
        append_record(self.path / "trials.jsonl", record)

    @contextmanager
    def opened(self, plan: SweepPlan) -> Iterator[None]:
        """Hold the folder for writing while the block runs, making it if needed.

        Raises
        ------
        BusyError
            If another process runs the sweep.
        OutputExistsError
            If there is something else in the folder.
        UsageError
            If the sweep in the folder computes something else.
        """
        ours = {"lock", "recipe.toml", "sweep.json"}
        is_sweep = (self.path / "sweep.json").is_file()
        if not is_sweep and self.path.is_dir():
            others = {p.name for p in self.path.iterdir() if not p.name.startswith(".segkit-tmp-")} - ours
            if others:
                raise OutputExistsError(
                    f"The folder {self.path} holds something that is not a sweep ({', '.join(sorted(others)[:3])}). Choose a new folder."
                )
        make_dirs(self.path)
        with lock(self.path / "lock", f"The sweep {self.path}"):
            sweep(self.path)
            if is_sweep and (differences := self.plan.differences(plan)):
                raise UsageError(
                    f"The sweep {self.path} was begun differently, and goes on only as it was: {'; '.join(differences[:5])}. "
                    "Choose a new folder for the changed one."
                )
            text = json.dumps({"schema": SCHEMA, **plan.to_mapping()}, indent=1).encode()
            if not is_sweep or (self.path / "sweep.json").read_bytes() != text:
                replace_file(self.path / "recipe.toml", plan.recipe.to_toml().encode())
                replace_file(self.path / "sweep.json", text)
            cut_torn_tail(self.path / "trials.jsonl")
            self.stop_file.unlink(missing_ok=True)
            yield
