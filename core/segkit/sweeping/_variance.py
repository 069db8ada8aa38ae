"""Which settings matter: an analysis of variance of the scores of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Effect", "Variance", "analyse_variance"]

Array = np.ndarray[Any, Any]

_TINY = 1e-12  # share of all variance that is rounding


@dataclass(frozen=True, slots=True)
class Effect:
    """What one setting does to the score, the others being as they are.

    Parameters
    ----------
    key
        The setting.
    squares
        Type II sum of squares: what the model without it leaves, less what the model with it leaves.
    freedom
        Its degrees of freedom.
    f, p
        F statistic against the residual, and the probability of a greater one by chance; None where nothing is left to
        compare with.
    share
        `squares` as a share of all there is (eta squared); the shares add up to at most 1 only where every combination
        was tried equally often.
    """

    key: str
    squares: float
    freedom: int
    f: float | None
    p: float | None
    share: float


@dataclass(frozen=True, slots=True)
class Variance:
    """An additive model of scores.

    Parameters
    ----------
    effects
        One for each setting, the largest share first.
    squares, freedom
        Residual sum of squares and its degrees of freedom: chance (seeds), and all that settings do only together.
    share
        The residual as a share of all there is.
    """

    effects: tuple[Effect, ...]
    squares: float
    freedom: int
    share: float


def analyse_variance(
    factors: Mapping[str, Sequence[Any]], scores: Sequence[float], trends: Sequence[str] = ()
) -> Variance:
    """Analyse the variance of scores by settings, in an additive model fitted by least squares.

    Sums of squares are of type II (Yates 1934): each setting is judged with all others in the model, so that combinations
    may have been tried unequally often.

    Parameters
    ----------
    factors
        For each setting its value in each training; every value is a level of its own.
    scores
        Score of each training.
    trends
        Settings that are numbers and enter as a straight line.

    Returns
    -------
    Variance
        The effects, without those of settings that did not vary.
    """
    y = np.asarray(scores, float)
    columns = {
        key: np.asarray(values, float)[:, None] if key in trends else _levels(values) for key, values in factors.items()
    }
    columns = {key: block for key, block in columns.items() if len({tuple(row) for row in block}) > 1}
    total = float(((y - y.mean()) ** 2).sum()) if len(y) else 0.0
    rest, rank = _residual(list(columns.values()), y)
    freedom = len(y) - rank
    effects = []
    for key in columns:
        without, smaller = _residual([block for other, block in columns.items() if other != key], y)
        squares, own = max(0.0, without - rest), rank - smaller
        f, p = _f_test(squares, own, rest, freedom, total)
        effects.append(Effect(key, squares, own, f, p, squares / total if total else 0.0))
    effects.sort(key=lambda effect: -effect.share)
    return Variance(tuple(effects), rest, freedom, rest / total if total else 0.0)


def _levels(values: Sequence[Any]) -> Array:
    """Return an indicator column for each level but the first."""
    levels = list(dict.fromkeys(values))
    return np.array([[value == level for level in levels[1:]] for value in values], float)


def _residual(blocks: list[Array], y: Array) -> tuple[float, int]:
    """Return what a least-squares fit of these columns and a mean leaves, and the rank of the columns."""
    design = np.concatenate([np.ones((len(y), 1)), *blocks], axis=1)
    scale = np.abs(design).max(axis=0)
    solution, _, rank, _ = np.linalg.lstsq(design / np.where(scale > 0, scale, 1), y, rcond=None)
    left = y - design / np.where(scale > 0, scale, 1) @ solution
    return float(left @ left), int(rank)


def _f_test(squares: float, own: int, rest: float, freedom: int, total: float) -> tuple[float | None, float | None]:
    from scipy.stats import f as distribution

    if own <= 0 or freedom <= 0 or rest <= _TINY * total:
        return None, None
    value = (squares / own) / (rest / freedom)
    return value, float(distribution.sf(value, own, freedom))
