"""Which trainings are not worth going on with, judged by the scores of others at the same step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

__all__ = ["Curve", "hopeless"]

Curve = Sequence[tuple[int, float | None]]
"""Step and score of each validation of a training, in order."""

_FEWEST = 4  # others that a median is taken of
_SPARED = 0.2  # share of the steps in which nothing is judged by a median
_RATE = 3
_RUNGS = (_RATE**-2, _RATE**-1)


def hopeless(rule: str, curve: Curve, others: Sequence[Curve], steps: int, direction: str) -> str:
    """Say why a training should end here; empty if it should go on.

    Parameters
    ----------
    rule
        ``none``; ``median``, the median stopping rule of Golovin et al. (2017) without running averages: its best score
        so far is worse than the median of what at least 4 others had by this step, after a fifth of the steps; or
        ``halving``, asynchronous successive halving (Li et al. 2020) with a rate of 3: at the first validation behind a
        ninth and a third of the steps it is not in the best third.
    curve
        Of the training, up to now.
    others
        Curves of the others, of any length.
    steps
        Steps of the whole training.
    direction
        ``max`` or ``min``, whichever is better.
    """
    if not curve or rule == "none":
        return ""
    return _RULES[rule](curve, others, steps, direction)


def _best_by(curve: Curve, step: int, direction: str) -> float | None:
    """Return the best score up to a step; None where the curve does not reach it, or has no number."""
    if curve[-1][0] < step:
        return None
    found = [score for at, score in curve if at <= step and score is not None]
    return (max(found) if direction == "max" else min(found)) if found else None


def _median(curve: Curve, others: Sequence[Curve], steps: int, direction: str) -> str:
    step = curve[-1][0]
    found = [score for other in others if other and (score := _best_by(other, step, direction)) is not None]
    if step < _SPARED * steps or step >= steps or len(found) < _FEWEST:
        return ""
    mine, middle = _best_by(curve, step, direction), median(found)
    if mine is not None and (mine >= middle if direction == "max" else mine <= middle):
        return ""
    return f"at step {step} its best score is {_text(mine)}, and the median of {len(found)} others {middle:.4g}"


def _halving(curve: Curve, others: Sequence[Curve], steps: int, direction: str) -> str:
    rungs = [next((at for at, _ in curve if at >= share * steps), None) for share in _RUNGS]
    step = curve[-1][0]
    if step not in rungs or step >= steps:
        return ""
    found = [score for other in others if other and (score := _best_by(other, step, direction)) is not None]
    mine = _best_by(curve, step, direction)
    ahead = (
        sum(score > mine if direction == "max" else score < mine for score in found) if mine is not None else len(found)
    )
    if ahead < max(1, (len(found) + 1) // _RATE):
        return ""
    return f"at step {step} its best score is {_text(mine)}, and {ahead} of {len(found)} others had a better one"


def _text(score: float | None) -> str:
    return "not a number" if score is None else f"{score:.4g}"


_RULES: Mapping[str, Callable[[Curve, Sequence[Curve], int, str], str]] = {"median": _median, "halving": _halving}
