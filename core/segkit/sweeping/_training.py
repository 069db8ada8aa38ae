"""One training of a sweep: the same code in this process, in a child and on a worker of a cluster."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from segkit.durable import read_records, remove
from segkit.errors import BusyError, DivergedError, StorageError
from segkit.execution import Failure
from segkit.recipe import Recipe
from segkit.report import summarize
from segkit.sweeping._folder import Outcome, SweepFolder, Trial
from segkit.sweeping._plan import SweepPlan
from segkit.sweeping._pruning import Curve, hopeless
from segkit.training import Finished, Run, Validation, fit_events, fold

__all__ = ["Trainings", "train"]

_PATIENCE = 30.0  # seconds for an orphan of an earlier attempt to save and end


@dataclass(frozen=True)
class Trainings:
    """The trainings of a sweep by index, to be done anywhere that sees its folder.

    Parameters
    ----------
    path
        Folder of the sweep.
    units
        Number of the configuration and seed, for each index.
    """

    path: Path
    units: tuple[tuple[int, int], ...]

    def __call__(self, index: int) -> Outcome:
        """Do one; a stop is asked for by the sweep's file."""
        from segkit.training._stopping import StopFile

        return train(self.path, *self.units[index], StopFile(self.path / "stop"))


def train(path: Path, number: int, seed: int, stop: Callable[[], bool]) -> Outcome:
    """Train one configuration with one seed, or go on with it, and return how it ended.

    Parameters
    ----------
    path
        Folder of the sweep.
    number
        Of the configuration.
    seed
        Of the training.
    stop
        Whether everything should be saved and end.

    Raises
    ------
    StorageError
        If the disk refuses, which no other training would survive either.
    """
    sweep = SweepFolder(path)
    plan, trials = sweep.plan, sweep.trials()
    folder = sweep.run(number, seed)
    if stop():
        return Outcome("stopped")
    try:
        with _threads(plan.settings.threads):
            outcome = _trained(plan, sweep, trials[number], seed, stop)
    except StorageError:
        raise
    except BusyError as error:
        return Outcome("busy", str(error))
    except DivergedError as error:
        outcome = Outcome("failed", f"diverged: {error}")
    except Exception as error:  # components, data and memory fail in ways of their own
        outcome = Outcome("failed", Failure.of(error).reason)
    _release_memory()
    if outcome.state in ("completed", "pruned") and plan.settings.keep != "all":
        remove(folder / "checkpoints")
        if plan.settings.keep == "scores":
            remove(folder / "model")
            remove(folder / "final")
    return outcome


def _trained(plan: SweepPlan, sweep: SweepFolder, trial: Trial, seed: int, stop: Callable[[], bool]) -> Outcome:
    recipe = plan.recipe_of(trial.values, seed)
    run = Run(sweep.run(trial.number, seed))
    rule, (metric, direction) = plan.settings.prune, recipe.task.build("tasks").best
    curve: list[tuple[int, float | None]] = []

    def pruned() -> Outcome | None:
        others: list[Curve] = [] if rule == "none" else _others(sweep, trial.number, seed)
        reason = hopeless(rule, curve, others, recipe.training.steps, direction)
        return _outcome(run, "pruned", reason) if reason else None

    for point in _curve(run, metric):  # what was decided before an interruption is decided again
        curve.append(point)
        if (outcome := pruned()) is not None:
            return outcome
    began = monotonic()
    while True:
        try:
            return _followed(recipe, run, curve, metric, pruned, stop)
        except BusyError:
            if monotonic() - began > _PATIENCE or stop():
                raise
            sleep(0.2)


def _followed(
    recipe: Recipe,
    run: Run,
    curve: list[tuple[int, float | None]],
    metric: str,
    pruned: Callable[[], Outcome | None],
    stop: Callable[[], bool],
) -> Outcome:
    finished = ""
    with closing(fit_events(recipe, run.folder, stop=stop)) as events:
        for event in events:
            if isinstance(event, Validation):
                curve[:] = [point for point in curve if point[0] < event.step]
                curve.append((event.step, _number(event.metrics.get(metric))))
                if (outcome := pruned()) is not None:
                    return outcome
            elif isinstance(event, Finished):
                finished = event.reason
    if finished == "stopped":
        return Outcome("stopped")
    return _outcome(run, "completed")


def _outcome(run: Run, state: str, reason: str = "") -> Outcome:
    summary = summarize(run)
    if summary.best is None:
        state = "failed"
        reason = (
            "no validation score is a number"
            if summary.final_step is not None
            else "it has no validation: give the recipe a validation dataset, or split.share above 0"
        )
    return Outcome(
        state,
        reason,
        best=summary.best,
        best_step=summary.best_step,
        final=summary.final,
        final_step=summary.final_step,
        stability=summary.stability,
        seconds=summary.seconds,
        steps=summary.steps,
        curve=tuple(_curve(run, summary.metric)),
    )


def _curve(run: Run, metric: str) -> list[tuple[int, float | None]]:
    state = fold(read_records(run.journal)[0])
    return [(step, _number(row["metrics"].get(metric))) for step, row in sorted(state.validations.items())]


def _number(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def _others(sweep: SweepFolder, number: int, seed: int) -> list[Curve]:
    """Return the curves of the trainings with the same seed that have ended."""
    trials = [trial for trial in sweep.trials() if trial.number != number and seed in trial.outcomes]
    return [trial.outcomes[seed].curve for trial in trials]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _release_memory() -> None:
    """Let the next training have what this one had on a GPU."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
