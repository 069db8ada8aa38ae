"""What a person should know about a training before trusting its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit.report._summary import RunSummary, summarize
from segkit.training import Run, RunState

__all__ = ["Finding", "find_problems"]

Array = np.ndarray[Any, Any]

_LAST = 3  # validations that say how a training ended
_MOVED = 0.05  # of the validation loss, below which nothing was learnt
_WORTH = 0.01  # of all that was gained, from which on gains at the end count
_RISE = 0.1  # of the validation loss above its lowest, from which on it is said


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a run that a person should know.

    Parameters
    ----------
    kind
        What it is, for programs.
    text
        What it is, what it means, and what to do.
    """

    kind: Literal[
        "failed",
        "unfinished",
        "ended_early",
        "not_finite",
        "collapsed",
        "unlearnt",
        "overfitting",
        "not_converged",
        "unscored",
    ]
    text: str


def find_problems(run: Run | str | Path) -> list[Finding]:
    """Return what a person should know about a run before trusting its scores; nothing if all is well.

    Parameters
    ----------
    run
        The run, or its folder.

    Returns
    -------
    list of Finding
        A run that failed, is not finished or ended early; losses or scores that are no numbers; a network that collapsed to
        one class, or learnt no more than a constant knows; overfitting; a training that was still getting better when it ended; too few validations.

    Raises
    ------
    DataError
        If there is no run in this folder.
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    summary, state = summarize(run), run.state()
    collapse = _collapsed(summary, state)
    found = [_ended(summary, state), _not_finite(state), collapse, _overfitting(state)]
    if collapse is None:
        found += [_unlearnt(summary), _not_converged(summary, state)]
    found.append(_unscored(summary, state))
    return [finding for finding in found if finding is not None]


def _ended(summary: RunSummary, state: RunState) -> Finding | None:
    done = f"{summary.steps} of {state.steps} steps"
    if summary.finished == "failed":
        return Finding("failed", f"It failed after {done}: {summary.failure}")
    if summary.finished == "early_stopping":
        patience = summary.recipe.training.patience
        return Finding(
            "ended_early",
            f"It ended early, after {done}: {patience} validations in a row brought no better {summary.metric}.",
        )
    if summary.finished != "completed":
        why = "was stopped" if summary.finished else "still goes on, or was killed,"
        return Finding("unfinished", f"It {why} after {done}. The same 'segkit train' goes on with it.")
    return None


def _not_finite(state: RunState) -> Finding | None:
    losses = [step for step, row in state.rows.items() if row["loss"] is None]
    checks = [step for step, row in state.validations.items() if row["loss"] is None]
    if not losses and not checks:
        return None
    parts = [
        f"{what} at {len(steps)} {unit}, first at step {min(steps)}"
        for what, unit, steps in (("training loss", "steps", losses), ("validation loss", "validations", checks))
        if steps
    ]
    return Finding(
        "not_finite",
        f"Not a number: the {' and the '.join(parts)}. Lower the learning rate, or look for NaN in the data.",
    )


def _collapsed(summary: RunSummary, state: RunState) -> Finding | None:
    """Find a network that says the same everywhere, by its recall of each class, or by a score that never moves."""
    rows = [state.validations[step]["metrics"] for step in sorted(state.validations)]
    last = rows[-_LAST:]
    losses = _finite({step: row["loss"] for step, row in state.validations.items()})[1]
    stuck = len(losses) > 1 and losses[0] - losses[-1] < _MOVED * abs(losses[0])
    advice = (
        "The network has collapsed: it says the same everywhere, whatever the image shows, and its scores are those of a "
        "constant. "
        + (
            "Its validation loss has hardly moved either: try a higher learning rate first, or more steps; then a lower one, "
            if stuck
            else "Try a lower learning rate, "
        )
        + "larger batches, a loss that counts overlap (dice), or more patches on the foreground."
    )
    if len(last) >= 2 and all(_says_one_class(scores) for scores in last):
        said = "foreground" if any((last[-1].get(name) or 0) > 0.5 for name in _recalls(last[-1])) else "background"
        if len(_recalls(last[-1])) > 1:
            said = next((n.removeprefix("recall_") for n in _recalls(last[-1]) if last[-1][n] > 0.5), "nothing")
        score = last[-1].get(summary.metric)
        value = "not defined" if score is None else f"{score:.4g}"
        return Finding(
            "collapsed",
            f"At the end every voxel is called {said} ({summary.metric} {value} on validation data). {advice}",
        )
    values = _scores(summary, state)[1]
    if len(values) >= _LAST and np.isfinite(values).all() and np.ptp(values) <= 1e-6 * max(1e-6, float(abs(values[0]))):
        return Finding(
            "collapsed", f"The {summary.metric} is {values[0]:.4g} at each of {len(values)} validations. {advice}"
        )
    return None


def _unlearnt(summary: RunSummary) -> Finding | None:
    """Find scores that a constant has too: all foreground, whose Jaccard index is the share of foreground."""
    scores = summary.scores
    if (
        summary.metric != "jaccard"
        or not {"precision", "recall", "accuracy"} <= scores.keys()
        or len(_recalls(scores)) > 1
    ):
        return None
    recall, precision = scores["recall"], scores["precision"]
    # Of all voxels, the share that is foreground and missed, and that is called so in vain, add up to 1 - accuracy.
    wrong = 1 - recall + recall * (1 / precision - 1) if precision else 0.0
    share = (1 - scores["accuracy"]) / wrong if wrong else 1.0
    if share == 1.0 or scores["jaccard"] > 1.02 * share:
        return None
    return Finding(
        "unlearnt",
        f"No better than a constant: its best jaccard is {scores['jaccard']:.4g}, and calling every voxel foreground would have "
        f"{share:.4g}. Try another learning rate first, then more steps or a loss that counts overlap (dice).",
    )


def _recalls(scores: Mapping[str, float | None]) -> list[str]:
    """Return the names of the recalls of single classes; of the only one, if there are no classes."""
    classes = [name for name, value in scores.items() if name.startswith("recall_") and value is not None]
    return classes or [name for name in ("recall",) if scores.get(name) is not None]


def _says_one_class(scores: Mapping[str, float | None]) -> bool:
    """Return whether every recall is 0 or 1, and the scores are not those of a perfect result."""
    recalls = np.array([scores[name] for name in _recalls(scores)], float)
    extreme = (recalls < 1e-3) | (recalls > 1 - 1e-4)
    return bool(len(recalls)) and bool(extreme.all()) and (scores.get("jaccard") or 0) < 0.9


def _overfitting(state: RunState) -> Finding | None:
    """Find a validation loss that rises well above its lowest while the training loss falls."""
    checked, losses = _finite({step: row["loss"] for step, row in state.validations.items()})
    steps, training = _finite({step: row["loss"] for step, row in state.rows.items()})
    if len(losses) < 2 * _LAST or not len(steps):
        return None
    lowest = int(losses.argmin())
    end, least = float(losses[-_LAST:].mean()), float(losses[lowest])
    # Neighbouring validations scatter without any trend; only what exceeds that is a rise.
    scatter = float(np.median(np.abs(np.diff(losses))))
    if lowest >= len(losses) - _LAST or end - least < max(_RISE * abs(least), 3 * scatter):
        return None
    width = max(1, int(checked[-1] - checked[-_LAST]))
    before = training[(steps > checked[lowest] - width) & (steps <= checked[lowest])]
    after = training[steps > checked[-1] - width]
    if not len(before) or not len(after) or after.mean() >= before.mean():
        return None
    return Finding(
        "overfitting",
        f"Overfitting: from step {checked[lowest]} on the validation loss rose from {least:.4g} to {end:.4g}, while the training "
        f"loss fell from {before.mean():.4g} to {after.mean():.4g}. More data, stronger augmentation, dropout, or fewer steps.",
    )


def _not_converged(summary: RunSummary, state: RunState) -> Finding | None:
    """Find a training whose best score is its last, and clearly better than those before."""
    steps, values = _scores(summary, state)
    if len(values) < _LAST or summary.best_step is None or summary.best_step != summary.final_step:
        return None
    earlier = values[steps <= 0.75 * steps[-1]]
    gain = abs(values[-1] - (earlier[-1] if len(earlier) else values[0]))
    if gain < _WORTH * abs(values[-1] - values[0]):  # a rate that falls to nothing ends like this
        return None
    return Finding(
        "not_converged",
        f"Not converged: the best {summary.metric} is that of the very last validation, {gain:.4g} better than a quarter of the "
        "training before. More steps may do better.",
    )


def _unscored(summary: RunSummary, state: RunState) -> Finding | None:
    if not state.validations:
        return Finding("unscored", "There was no validation, so nothing tells how good it is. Set `split.share`.")
    if len(state.validations) < _LAST:
        return Finding(
            "unscored",
            f"It was validated {len(state.validations)} times, too rarely to see whether it is stable or overfits. Lower "
            "`training.validate_every`.",
        )
    return None


def _scores(summary: RunSummary, state: RunState) -> tuple[Array, Array]:
    """Return the steps of validations and the deciding score there."""
    return _finite({step: row["metrics"].get(summary.metric) for step, row in state.validations.items()})


def _finite(values: Mapping[int, float | None]) -> tuple[Array, Array]:
    kept = sorted((step, value) for step, value in values.items() if value is not None)
    return np.array([step for step, _ in kept], int), np.array([value for _, value in kept], float)
