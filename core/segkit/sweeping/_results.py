"""What a sweep came to: a table of its trainings, the ranking of its configurations, and the recipes of the best."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segkit.durable import make_dirs, remove, replace_file
from segkit.report import Estimate, estimate, interval_text
from segkit.sweeping._dimension import short
from segkit.sweeping._folder import SweepFolder, Trial
from segkit.sweeping._plan import SweepPlan

__all__ = ["Ranked", "model_of", "ranking", "rows", "write_best", "write_table"]

MODEL = "architecture.name"


def model_of(plan: SweepPlan, trial: Trial) -> str:
    """Return the name of a configuration's architecture."""
    return short(trial.values.get(MODEL) or plan.recipe.architecture.name)


def settings_of(plan: SweepPlan) -> list[str]:
    """Return what varies beside the architecture."""
    return [dimension.key for dimension in plan.dimensions if dimension.key != MODEL]


def rows(plan: SweepPlan, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return one row for each training that has ended, by trial and seed."""
    metric = plan.recipe.task.build("tasks").best[0]
    found = []
    for trial in trials:
        for seed, outcome in sorted(trial.outcomes.items()):
            found.append(
                {
                    "trial": trial.number,
                    "model": model_of(plan, trial),
                    **{key: short(trial.values[key]) for key in settings_of(plan)},
                    "seed": seed,
                    "state": outcome.state,
                    "best_step": outcome.best_step,
                    f"best_{metric}": outcome.best,
                    "final_step": outcome.final_step,
                    f"final_{metric}": outcome.final,
                    "stability": outcome.stability,
                    "seconds": round(outcome.seconds, 3),
                    "reason": outcome.reason,
                }
            )
    return found


def write_table(folder: SweepFolder) -> None:
    """Write ``training_summary.csv``.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    plan = folder.plan
    lines = rows(plan, folder.trials())
    text = io.StringIO()
    table = csv.DictWriter(text, list(lines[0]) if lines else ["trial"], lineterminator="\n")
    table.writeheader()
    table.writerows({key: "" if value is None else value for key, value in line.items()} for line in lines)
    replace_file(folder.path / "training_summary.csv", text.getvalue().encode())


@dataclass(frozen=True)
class Ranked:
    """A configuration with what it came to.

    Parameters
    ----------
    trial
        The configuration.
    model
        Name of its architecture.
    estimate
        Mean of the best validation scores over its seeds, with its 95 % interval.
    complete
        Whether it completed with every seed.
    """

    trial: Trial
    model: str
    estimate: Estimate
    complete: bool

    def apart_from(self, other: Ranked) -> bool | None:
        """Whether the two intervals are apart; None where one of them is not known."""
        mine, theirs = self.estimate, other.estimate
        if mine.low is None or mine.high is None or theirs.low is None or theirs.high is None:
            return None
        return mine.high < theirs.low or theirs.high < mine.low


def ranking(plan: SweepPlan, trials: Sequence[Trial]) -> list[Ranked]:
    """Return the configurations with a score, the best first; those that failed with a seed come after all others."""
    direction = plan.recipe.task.build("tasks").best[1]
    found = []
    for trial in trials:
        if (mean := estimate(trial.scores)) is not None:
            found.append(Ranked(trial, model_of(plan, trial), mean, len(trial.scores) >= len(plan.seeds)))
    sign = -1 if direction == "max" else 1
    return sorted(found, key=lambda each: (not each.complete, sign * each.estimate.mean, each.trial.number))


def write_best(folder: SweepFolder) -> None:
    """Write the recipe of the best configuration, and of the best of each architecture, with the recipe's own seed.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    plan = folder.plan
    best: dict[str, Ranked] = {}
    ranked = ranking(plan, folder.trials())
    for each in ranked:
        best.setdefault(each.model, each)
    remove(folder.path / "best")
    if not ranked:
        return
    make_dirs(folder.path / "best")
    for name, each in best.items():
        replace_file(folder.path / "best" / f"{name}.toml", _recipe(plan, each))
    replace_file(folder.path / "best.toml", _recipe(plan, ranked[0]))


def _recipe(plan: SweepPlan, ranked: Ranked) -> bytes:
    count = ranked.estimate.count
    head = f"# Trial {ranked.trial.number}: {interval_text(ranked.estimate)}, {count} seed{'s' if count > 1 else ''}.\n"
    return (head + plan.recipe_of(ranked.trial.values, plan.recipe.seed).to_toml()).encode()
