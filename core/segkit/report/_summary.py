"""What a run came to, in a handful of numbers: the record that reports, comparisons and sweeps work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit.durable import read_records
from segkit.recipe import Recipe
from segkit.training import Run, RunState, fold

__all__ = ["RunSummary", "stability_word", "summarize"]

_LAST = 10  # validations that stability is judged by
_FEWEST = 3
_SCALE = (("very stable", 0.01), ("stable", 0.05), ("fair", 0.1))


def stability_word(deviation: float | None) -> str:
    """Say how stable a training ended, by the standard deviation of its last validation losses.

    Parameters
    ----------
    deviation
        See `RunSummary.stability`; None for not known.

    Returns
    -------
    str
        ``very stable`` below 0.01, ``stable`` below 0.05, ``fair`` below 0.1, else ``unstable``; empty where it is not
        known.
    """
    if deviation is None:
        return ""
    return next((word for word, limit in _SCALE if deviation < limit), "unstable")


@dataclass(frozen=True)
class RunSummary:
    """What a run came to.

    Parameters
    ----------
    name
        The name of its folder.
    folder
        Where it is.
    recipe
        What was asked.
    metric, direction
        The score that decides which weights are the best, and whether more (``max``) or less (``min``) of it is better.
    best, best_step
        The best validation score, and behind which step it was reached; None before the first validation, or where no
        score was a number.
    final, final_step
        The last validation score, and its step; None before the first validation. The score is None also where it was not
        a number.
    best_loss, final_loss
        Validation loss at these two; None as above.
    stability
        Standard deviation of the last 10 validation losses; None where fewer than 3 of them are numbers.
    seconds
        What the steps took, in seconds, without preparation and validation.
    steps
        Steps done.
    finished
        Why it ended: ``completed``, ``early_stopping``, ``stopped`` or ``failed``; empty while it goes on, or where it was
        killed.
    failure
        The message of a run that failed.
    scores, final_scores
        All validation scores that are numbers, `metric` first, of the best weights and of the last ones.
    data, training_data, validation_data
        Fingerprints of what it was trained and validated on, together and each; the latter two are empty for runs of
        earlier versions.
    """

    name: str
    folder: Path
    recipe: Recipe
    metric: str
    direction: Literal["max", "min"]
    best: float | None
    best_step: int | None
    final: float | None
    final_step: int | None
    best_loss: float | None
    final_loss: float | None
    stability: float | None
    seconds: float
    steps: int
    finished: str
    failure: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    final_scores: Mapping[str, float] = field(default_factory=dict)
    data: str = ""
    training_data: str = ""
    validation_data: str = ""

    @property
    def stability_word(self) -> str:
        """`stability` in words, see `segkit.report.stability_word`."""
        return stability_word(self.stability)


def summarize(run: Run | str | Path) -> RunSummary:
    """Return what a run came to, read from its journal; it may still be going on.

    Parameters
    ----------
    run
        The run, or its folder.

    Raises
    ------
    DataError
        If there is no run in this folder.
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    recipe = run.recipe
    metric, direction = recipe.task.build("tasks").best
    records = read_records(run.journal)[0]
    state = fold(records)
    finished, failure = _ending(records)
    checked = sorted(state.validations)
    best_step = max((step for step in checked if state.validations[step]["best"]), default=None)
    final_step = checked[-1] if checked else None
    best, final = (state.validations.get(-1 if step is None else step, {}) for step in (best_step, final_step))
    losses = [loss for s in checked[-_LAST:] if (loss := state.validations[s]["loss"]) is not None]
    return RunSummary(
        name=run.folder.resolve().name,
        folder=run.folder,
        recipe=recipe,
        metric=metric,
        direction=direction,
        best=best.get("metrics", {}).get(metric),
        best_step=best_step,
        final=final.get("metrics", {}).get(metric),
        final_step=final_step,
        best_loss=best.get("loss"),
        final_loss=final.get("loss"),
        stability=float(np.std(losses, ddof=1)) if len(losses) >= _FEWEST else None,
        seconds=_seconds(state),
        steps=state.step,
        finished=finished,
        failure=failure,
        scores=_numbers(best),
        final_scores=_numbers(final),
        data=state.data,
        training_data=state.training_data,
        validation_data=state.validation_data,
    )


def _numbers(validation: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in validation.get("metrics", {}).items() if value is not None}


def _ending(records: list[dict[str, Any]]) -> tuple[str, str]:
    """Return why a run ended, and the message if it failed; both empty if it did not end."""
    for record in reversed(records):
        if record["event"] == "finished":
            return str(record["reason"]), ""
        if record["event"] == "failed":
            return "failed", str(record["message"])
        if record["event"] == "started":
            break
    return "", ""


def _seconds(state: RunState) -> float:
    """Add up what the steps took; of a long training only every n-th is in the journal, and stands for those before it."""
    steps = np.array(sorted(state.rows))
    if not len(steps):
        return 0.0
    stands_for = np.diff(steps)
    stands_for = np.concatenate([stands_for[:1] if len(stands_for) else [1], stands_for])
    return float(stands_for @ np.array([state.rows[step]["seconds"] or 0.0 for step in steps]))
