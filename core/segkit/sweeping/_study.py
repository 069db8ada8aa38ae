"""The numbers of a sweep as its pictures and its page show them: completed trainings, settings and the scale of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.sweeping._dimension import Dimension
from segkit.sweeping._folder import SweepFolder, Trial
from segkit.sweeping._plan import SweepPlan
from segkit.sweeping._results import MODEL
from segkit.sweeping._variance import Variance, analyse_variance

__all__ = ["Point", "Study"]

_DECADE = 10.0
_COLOURS = 10


@dataclass(frozen=True, slots=True)
class Point:
    """A completed training: its configuration's trial and its best score."""

    trial: Trial
    seed: int
    score: float


@dataclass(frozen=True)
class Study:
    """What is known of a sweep.

    Parameters
    ----------
    plan
        What it does.
    trials
        Its configurations.
    metric, direction
        The score, and whether more (``max``) or less (``min``) is better.
    points
        Its completed trainings.
    """

    plan: SweepPlan
    trials: Sequence[Trial]
    metric: str
    direction: Literal["max", "min"]
    points: tuple[Point, ...]

    @classmethod
    def of(cls, folder: SweepFolder) -> Study:
        """Read a sweep.

        Raises
        ------
        DataError
            If there is none in the folder.
        """
        plan, trials = folder.plan, folder.trials()
        metric, direction = plan.recipe.task.build("tasks").best
        points = [
            Point(trial, seed, outcome.best)
            for trial in trials
            for seed, outcome in sorted(trial.outcomes.items())
            if outcome.state == "completed" and outcome.best is not None
        ]
        return cls(plan, trials, metric, direction, tuple(points))

    @property
    def log(self) -> bool:
        """Whether scores are errors that span a decade, and are shown and analysed by their logarithm."""
        scores = [point.score for point in self.points]
        return self.direction == "min" and len(scores) > 0 and min(scores) > 0 and max(scores) >= _DECADE * min(scores)

    @property
    def models(self) -> Dimension | None:
        """The architectures, if they vary."""
        return next((dimension for dimension in self.plan.dimensions if dimension.key == MODEL), None)

    @property
    def settings(self) -> list[Dimension]:
        """What varies beside the architecture."""
        return [dimension for dimension in self.plan.dimensions if dimension.key != MODEL]

    @property
    def colours(self) -> Dimension | None:
        """What lines have colours by: the architecture, or else the first setting that is a choice of names."""
        named = [d for d in self.settings if d.values and all(isinstance(v, str | None) for v in d.values)]
        found = self.models or (named[0] if named else None)
        return found if found is not None and len(found.values) <= _COLOURS else None

    def is_level(self, dimension: Dimension) -> bool:
        """Whether a setting has a few values, and not any in a range."""
        return bool(dimension.values) or self.plan.settings.search == "grid"

    def variance(self) -> Variance | None:
        """Analyse what the settings do; None for fewer than three completed trainings."""
        if len(self.points) < 3:
            return None
        factors: dict[str, list[Any]] = {}
        trends = []
        for dimension in self.plan.dimensions:
            values = [point.trial.values[dimension.key] for point in self.points]
            if not self.is_level(dimension):
                trends.append(dimension.key)
                values = [float(np.log10(value)) if dimension.log else value for value in values]
            factors[dimension.key] = values
        scores = [float(np.log10(point.score)) if self.log else point.score for point in self.points]
        return analyse_variance(factors, scores, trends)
