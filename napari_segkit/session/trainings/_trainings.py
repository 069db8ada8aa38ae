"""Starting, continuing and stopping trainings; the page Train is a view of this, and scripts can do the same.

A run goes on exactly as if it had never been interrupted, with its own recipe; only the number of steps may grow. With
anything else changed, a new run starts from a checkpoint of the old one (``segkit train --from``).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segkit.session._project import Project
from napari_segkit.session.jobs._job import Job
from napari_segkit.session.jobs._jobs import Jobs
from napari_segkit.session.trainings._run_folder import ask_to_stop
from napari_segkit.session.trainings._runs import Runs
from segkit.durable import make_dirs, replace_file
from segkit.errors import SegkitError, UsageError
from segkit.recipe import Recipe, load_recipe

__all__ = ["LOWER", "Measured", "Trainings"]

LOWER = 0.3
MEASURE_SECONDS = 300


@dataclass(frozen=True)
class Measured:
    """What a step of a recipe takes.

    Parameters
    ----------
    patch_shape
        The patch (z, y, x).
    memory
        Bytes; None where the system does not tell.
    seconds
        Time of a step.
    device
        Where it was done.
    """

    patch_shape: tuple[int, int, int]
    memory: int | None
    seconds: float
    device: str

    def __str__(self) -> str:
        size = " \N{MULTIPLICATION SIGN} ".join(map(str, self.patch_shape))
        memory = "" if self.memory is None else f" · {self.memory / 1e9:.2g} GB"
        return f"{size}{memory} · {self.seconds:.2g} s a step"


class Trainings:
    """The trainings of a session.

    Parameters
    ----------
    project
        Where runs and recipes are.
    jobs
        Runs the commands.
    runs
        Follows the journals.
    """

    def __init__(self, project: Project, jobs: Jobs, runs: Runs) -> None:
        self._project, self._jobs, self._runs = project, jobs, runs

    # ---- recipes

    def write(self, tables: Mapping[str, Any], name: str) -> Path:
        """Check the tables of a recipe, write it into the project, and return the file; may run in a thread.

        Raises
        ------
        UsageError
            If something in it is wrong.
        """
        recipe = Recipe.from_mapping(tables, self._project.folder)
        path = self._project.folder / "recipes" / f"{name}.toml"
        make_dirs(path.parent)
        replace_file(path, recipe.to_toml().encode())
        return path

    def measure(self, recipe: Path, *, largest: bool) -> Measured:
        """Try a step in a process of its own, and say what it takes; takes some seconds, in a thread.

        Parameters
        ----------
        recipe
            The recipe's file.
        largest
            Whether to look for the largest patch that fits the memory, instead of the recipe's own.

        Raises
        ------
        UsageError
            If the recipe cannot be trained; the message is that of the command.
        """
        command = [sys.executable, "-m", "segkit", "train", str(recipe), "--largest" if largest else "--cost"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=MEASURE_SECONDS, stdin=subprocess.DEVNULL, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(
                f"Trying one step took more than {MEASURE_SECONDS} s. Choose a smaller network, or type a small patch."
            ) from error
        try:
            found = json.loads(done.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise UsageError(said[-1].removeprefix("error: ") if said else "Trying one step failed.") from None
        z, y, x = found["patch_shape"]
        return Measured((z, y, x), found["memory"], float(found["seconds"]), str(found["device"]))

    # ---- runs

    def reserve(self, name: str) -> Path:
        """Make the folder of a new run, so that no other one takes its name while it waits, and return it."""
        run = self._project.folder / "runs" / name
        make_dirs(run / "preview")
        return run

    def start(self, recipe: Path, run: Path) -> Job:
        """Train a new run."""
        self._runs.of(run)
        return self._jobs.start("train", f"train {run.name}", ["train", str(recipe), "--run", str(run)], run)

    def go_on(self, run: Path, steps: int | None = None) -> Job:
        """Continue a run where it was stopped, to as many steps as its recipe says or to more."""
        self._runs.of(run)
        job = self.job_of(run)
        more = ["-o", f"training.steps={steps}"] if steps is not None else []
        arguments = ["train", str(run / "recipe.toml"), "--run", str(run), *more]
        if job is not None and (steps is None or job.active):
            self._jobs.resume(job)
            return job
        if job is not None:
            self._jobs.dismiss(job)
        return self._jobs.start("train", f"train {run.name}", arguments, run)

    def branch(self, run: Path, tables: Mapping[str, Any], step: int | None = None) -> Job:
        """Start a new run from a checkpoint of another one, with a recipe that differs from its.

        Parameters
        ----------
        run
            The run to start from.
        tables
            The whole recipe of the new one.
        step
            Which checkpoint; None for the newest.

        Raises
        ------
        UsageError
            If something in the recipe is wrong.
        """
        new = self._project.new_run()
        recipe = self.write(tables, new.name)
        self._runs.of(self.reserve(new.name))
        more = [] if step is None else ["--from-step", str(step)]
        arguments = ["train", str(recipe), "--run", str(new), "--from", str(run), *more]
        return self._jobs.start("train", f"train {new.name}", arguments, new)

    def lower_rate(self, run: Path) -> Job:
        """Go on from the last good checkpoint with a lower learning rate, in a new run.

        Raises
        ------
        SegkitError
            If the run's recipe cannot be read.
        """
        tables = load_recipe(run / "recipe.toml").to_mapping()
        rate = tables["optimizer"]["learning_rate"] * LOWER
        tables["optimizer"] = {**tables["optimizer"], "learning_rate": float(f"{rate:.3g}")}
        step = self.good_step(run)
        if step is not None:
            return self.branch(run, tables, step)
        new = self._project.new_run()  # it diverged before anything was saved
        return self.start(self.write(tables, new.name), self.reserve(new.name))

    def checkpoints(self, run: Path) -> list[int]:
        """Return behind which steps there are checkpoints, ascending."""
        return sorted(int(path.parent.name) for path in (run / "checkpoints").glob("[0-9]*/state.json"))

    def good_step(self, run: Path) -> int | None:
        """Return the step of the last checkpoint to trust: that of the best validation, or else the newest."""
        there = self.checkpoints(run)
        best = self._runs.of(run).progress.best_step
        return best if best in there else there[-1] if there else None

    def changes(self, run: Path, dataset: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the tables of a recipe like that of a run with other data; None where the data have the same names.

        Raises
        ------
        SegkitError
            If one of the recipes cannot be read.
        """
        before = load_recipe(run / "recipe.toml")
        tables = {
            key: table for key, table in before.to_mapping().items() if key not in ("dataset", "validation_dataset")
        }
        tables = {**tables, **dataset, "split": {**tables["split"], **dataset.get("split", {})}}
        after = Recipe.from_mapping(tables, self._project.folder)
        return tables if before.differences(after) else None

    def job_of(self, run: Path) -> Job | None:
        """Return the job of this session that trains a run; None if another one does, or nobody."""
        return next((job for job in self._jobs.open if job.kind == "train" and job.output == run), None)

    def stop(self, run: Path) -> None:
        """Ask whoever trains a run to save and stop: the process itself, or by a file where it is not this session's.

        Raises
        ------
        StorageError
            If that file cannot be written.
        """
        job = self.job_of(run)
        if job is not None:
            job.stop()
        else:
            ask_to_stop(run)

    # ---- notes

    def notes(self, run: Path) -> str:
        """Return what somebody noted about a run."""
        try:
            return (run / "notes.txt").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def note(self, run: Path, text: str) -> None:
        """Keep a note in the folder of a run.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        if (run / "run.json").is_file() and text != self.notes(run):
            replace_file(run / "notes.txt", text.encode())

    def recipe_of(self, run: Path) -> Recipe | None:
        """Return the recipe of a run; None where it cannot be read."""
        try:
            return load_recipe(run / "recipe.toml")
        except SegkitError:
            return None
