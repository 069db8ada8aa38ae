"""The run folder: what was asked, what happened, and everything needed to go on.

    run.json  recipe.toml      what was asked; versions and the machine it started on
    journal.jsonl              every event, each line with its own checksum
    history.csv  curves.png    the same for people
    counts/                    how many labels are where, so that going on need not count them again
    checkpoints/<step>/        state to go on from; the newest two, and the best
    model/                     the best weights, as a package
    final/                     the last weights, likewise, once the training has ended
    preview/                   what a viewer wants to see while it trains, and the answers
    stop                       asks the training to save and end, see `Run.ask_to_stop`

"Where does it stand" is computed from this content; no pointer file could disagree with it.
"""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkit import __version__
from segkit.durable import append_record, cut_torn_tail, lock, read_records, replace_file, storage_errors, sweep
from segkit.errors import DataError, OutputExistsError, UsageError
from segkit.recipe import CHOICES, Recipe, load_recipe
from segkit.registry import registries
from segkit.training._events import Event, to_record

__all__ = ["Run", "RunState", "fold"]

SCHEMA = 1


@dataclass(slots=True)
class RunState:
    """What a journal amounts to.

    Parameters
    ----------
    step, steps
        Steps done, and steps in all.
    rows
        For each journalled step its ``loss``, its ``learning_rate`` and the ``seconds`` it took.
    validations
        For each validated step its ``loss``, ``metrics`` and whether it was ``best``.
    finished
        Why the training ended; empty while it has not.
    data, training_data, validation_data
        Fingerprints of what it was last trained and validated on, together and each; empty where the journal, of an earlier
        version, does not say it.
    """

    step: int = 0
    steps: int = 0
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    validations: dict[int, dict[str, Any]] = field(default_factory=dict)
    finished: str = ""
    data: str = ""
    training_data: str = ""
    validation_data: str = ""


def fold(records: Iterable[Mapping[str, Any]], state: RunState | None = None) -> RunState:
    """Return what journal records amount to, going on from `state`; what a later start made void is left out."""
    state = state or RunState()
    for record in records:
        kind, step = record["event"], int(record.get("step", 0))
        if kind == "started":
            state.steps, state.finished = int(record["steps"]), ""
            for name in ("data", "training_data", "validation_data"):
                setattr(state, name, str(record.get(name, "")))
            for table in (state.rows, state.validations):
                for void in [s for s in table if s > step]:
                    del table[void]
        elif kind == "step":
            state.rows[step] = {key: record[key] for key in ("loss", "learning_rate", "seconds")}
        elif kind == "validation":
            state.validations[step] = {key: record[key] for key in ("loss", "metrics", "best")}
        elif kind == "finished":
            state.finished = str(record["reason"])
        if kind not in ("preview", "patch"):
            state.step = step
    return state


@dataclass(frozen=True)
class Run:
    """A run folder.

    Parameters
    ----------
    folder
        Where it is.
    """

    folder: Path

    @property
    def journal(self) -> Path:
        """The journal file, which other processes may follow with `segkit.durable.read_records`."""
        return self.folder / "journal.jsonl"

    @property
    def recipe(self) -> Recipe:
        """What the run does.

        Raises
        ------
        DataError
            If there is no run in this folder.
        """
        if not (self.folder / "run.json").is_file():
            raise DataError(
                f"{self.folder} is not a run folder: it has no run.json. Name the folder given to 'segkit train --run'."
            )
        return load_recipe(self.folder / "recipe.toml")

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is anything to go on from."""
        return any((self.folder / "checkpoints").glob("[0-9]*/state.json"))

    @property
    def stop_file(self) -> Path:
        """The file that asks whoever trains this run to stop; it is gone once that has happened."""
        return self.folder / "stop"

    def ask_to_stop(self) -> None:
        """Ask the process that trains this run, on whatever computer, to save everything and end.

        It looks about once a second, between two steps, and then does what it does on Ctrl-C. Where nothing trains, nothing
        happens: the next start forgets the wish.

        Raises
        ------
        StorageError
            If the folder cannot be written.
        """
        replace_file(self.stop_file, b"")

    def state(self) -> RunState:
        """Return where the run stands, from its journal."""
        return fold(read_records(self.journal)[0])

    @contextmanager
    def opened(self, recipe: Recipe, start: Mapping[str, Any] | None = None) -> Iterator[bool]:
        """Hold the folder for writing while the block runs, making it if needed; gives whether it was there before.

        A new run remembers which run and step it starts from (`start`), if any.

        Raises
        ------
        BusyError
            If another process writes it.
        OutputExistsError
            If there is something else in the folder.
        UsageError
            If the run in the folder computes something else than `recipe`.
        """
        is_run = (self.folder / "run.json").is_file()
        if not is_run and self.folder.exists():
            # A start that was killed leaves a lock, and perhaps a recipe beside it.
            ours = {"lock", "recipe.toml", "preview"} if (self.folder / "lock").exists() else {"preview"}
            others = {p.name for p in self.folder.iterdir() if not p.name.startswith(".segkit-tmp-")} - ours
            if others:
                raise OutputExistsError(
                    f"The folder {self.folder} holds something that is not a run ({', '.join(sorted(others)[:3])}). Choose a new folder."
                )
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder / "lock", f"The run {self.folder}"):
            sweep(self.folder)
            if is_run:
                differences = self.recipe.differences(recipe)
                if differences and not self.has_checkpoint:
                    is_run = False  # nothing has come of the first recipe: correcting it must not cost a new folder
                elif differences:
                    raise UsageError(
                        f"The run {self.folder} was started with another recipe, and goes on only with its own: "
                        f"{'; '.join(differences[:5])}{' …' if len(differences) > 5 else ''}. Choose a new folder for the changed recipe."
                    )
                cut_torn_tail(self.journal)
            self._describe(recipe, is_run, start)
            yield is_run

    def _describe(self, recipe: Recipe, is_run: bool, start: Mapping[str, Any] | None) -> None:
        """Write the recipe, and on the first start what else there is to know; run.json last, for it makes this a run."""
        text = recipe.to_toml().encode()
        if not is_run or (self.folder / "recipe.toml").read_bytes() != text:
            replace_file(self.folder / "recipe.toml", text)
        if not is_run:
            import torch

            chosen = [(choice.kind, s.name) for key, choice in CHOICES.items() for s in _listed(getattr(recipe, key))]
            plugins = [registries[kind][name].plugin for kind, name in chosen]
            description = {
                "schema": SCHEMA,
                "segkit": __version__,
                "plugins": {p.name: f"{p.distribution} {p.version}".strip() for p in plugins},
                # Bits repeat only where these are the same.
                "determinism": {
                    "torch": torch.__version__,
                    "threads": torch.get_num_threads(),
                    "machine": platform.machine(),
                },
                "python": platform.python_version(),
                **({"start": dict(start)} if start else {}),
            }
            replace_file(self.folder / "run.json", json.dumps(description, indent=1).encode())

    def record(self, event: Event, *, sync: bool = False) -> None:
        """Append an event to the journal."""
        append_record(self.journal, to_record(event), sync=sync)

    def write_history(self, state: RunState) -> None:
        """Write ``history.csv``: one row for each journalled or validated step."""
        names = sorted({name for row in state.validations.values() for name in row["metrics"]})
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["step", "loss", "learning_rate", "validation_loss", *names])
        for step in sorted({*state.rows, *state.validations}):
            row, validation = state.rows.get(step, {}), state.validations.get(step, {})
            scores = validation.get("metrics", {})
            cells = [
                row.get("loss"),
                row.get("learning_rate"),
                validation.get("loss"),
                *(scores.get(name) for name in names),
            ]
            table.writerow([step, *("" if cell is None else repr(cell) for cell in cells)])
        replace_file(self.folder / "history.csv", text.getvalue().encode())


def _listed(choice: Any) -> list[Any]:
    return list(choice) if isinstance(choice, tuple) else [choice] if choice is not None else []
