"""Which configurations to try: all of a grid, or what Optuna suggests.

Optuna (Akiba et al. 2019) keeps nothing: each suggestion comes from a study in memory that is made anew from the sweep's own journal, with
a seed that belongs to the number of the configuration. So a sweep that was killed goes on as if it had not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from segkit.addressing import address
from segkit.errors import UsageError
from segkit.sweeping._folder import Trial
from segkit.sweeping._plan import SweepPlan

__all__ = ["require_engine", "suggest"]


def require_engine(plan: SweepPlan) -> None:
    """Make sure that what the search needs is installed.

    Raises
    ------
    UsageError
        If it is not.
    """
    if plan.settings.search == "grid":
        return
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"The search {plan.settings.search!r} needs Optuna, which is not installed. Run: pip install "
            '"segkit-sdk[sweeps]", or search a grid, which needs nothing more.'
        ) from error


def suggest(plan: SweepPlan, trials: Sequence[Trial], count: int, direction: str) -> list[dict[str, Any]]:
    """Return the next configurations.

    Parameters
    ----------
    plan
        The sweep.
    trials
        Those before, with what they came to.
    count
        How many are wanted.
    direction
        Whether more (``max``) or less (``min``) is better.
    """
    if plan.settings.search == "grid":
        return plan.configurations()[len(trials) : len(trials) + count]
    found: list[dict[str, Any]] = []
    for _ in range(count):
        pending = [Trial(len(trials) + number, values) for number, values in enumerate(found)]
        found.append(_suggestion(plan, [*trials, *pending], direction))
    return found


def _suggestion(plan: SweepPlan, trials: Sequence[Trial], direction: str) -> dict[str, Any]:
    import optuna

    seed = address(plan.settings.search_seed, len(trials), 0, "suggestion") % 2**32
    distributions = {dimension.key: _distribution(dimension) for dimension in plan.dimensions}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler: Any
            if plan.settings.search == "random":
                sampler = optuna.samplers.RandomSampler(seed=seed)
            else:
                sampler = optuna.samplers.TPESampler(seed=seed)
            study = optuna.create_study(sampler=sampler, direction="maximize" if direction == "max" else "minimize")
            if plan.settings.search == "tpe":
                study.add_trials([_known(plan, trial, distributions) for trial in trials])
            asked = study.ask(distributions)
    finally:
        optuna.logging.set_verbosity(level)
    return {
        dimension.key: dimension.values[asked.params[dimension.key]]
        if dimension.values
        else asked.params[dimension.key]
        for dimension in plan.dimensions
    }


def _distribution(dimension: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.values:  # by their places, for values may be of types that Optuna does not know
        return CategoricalDistribution(range(len(dimension.values)))
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _known(plan: SweepPlan, trial: Trial, distributions: dict[str, Any]) -> Any:
    """Return a configuration as Optuna knows one: one that failed is the worst there can be, but no number."""
    from optuna.trial import TrialState, create_trial

    params = {
        dimension.key: dimension.values.index(trial.values[dimension.key])
        if dimension.values
        else trial.values[dimension.key]
        for dimension in plan.dimensions
    }
    about = {"params": params, "distributions": distributions}
    if trial.scores:
        return create_trial(value=fmean(trial.scores), state=TrialState.COMPLETE, **about)
    if not trial.outcomes:
        return create_trial(state=TrialState.RUNNING, **about)
    curves = [outcome.curve for outcome in trial.outcomes.values() if outcome.state == "pruned"]
    seen = {step: score for curve in curves for step, score in curve if score is not None}
    return create_trial(state=TrialState.PRUNED, intermediate_values=seen, **about)
