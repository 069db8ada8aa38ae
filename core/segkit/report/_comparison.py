"""Which of several groups of runs is better, and whether that can be told at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from segkit.errors import UsageError
from segkit.report._cautions import cautions_of
from segkit.report._estimates import Estimate, difference_of
from segkit.report._groups import Group, component_entry, entries_of

__all__ = ["Comparison", "Difference", "compare"]


@dataclass(frozen=True)
class Difference:
    """How a group differs from the reference.

    Parameters
    ----------
    group, reference
        Their names.
    score
        The difference of the mean best scores, `group` minus `reference`; None where one of them has no score.
    verdict
        ``better``, ``worse`` or ``not distinguishable``: the latter where the interval of the difference includes 0, or there
        is none.
    reason
        Why, in a sentence.
    """

    group: str
    reference: str
    score: Estimate | None
    verdict: Literal["better", "worse", "not distinguishable"]
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, side by side.

    Parameters
    ----------
    metric, direction
        The score they are judged by, and whether more (``max``) or less (``min``) of it is better.
    groups
        The groups, the reference first.
    differences
        Of each further group to the reference.
    settings
        For each entry of a recipe that is not the same in all groups, its values, in the order of `groups`; None where a
        recipe has no such entry.
    cautions
        What to keep in mind, one sentence or two each: other data, other losses, runs that collapsed or are not finished.
    """

    metric: str
    direction: Literal["max", "min"]
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    settings: dict[str, tuple[Any, ...]]
    cautions: tuple[str, ...]

    @property
    def ranked(self) -> list[Group]:
        """The groups that have a score, the best mean first."""
        scored = [(best.mean, number) for number, group in enumerate(self.groups) if (best := group.best)]
        sign = -1 if self.direction == "max" else 1
        return [self.groups[number] for _, number in sorted(scored, key=lambda entry: sign * entry[0])]

    @property
    def changed(self) -> list[str]:
        """The entries of `settings` that say what was changed: no options that differ only because the component does."""

        def says(key: str) -> bool:
            components = self.settings.get(component_entry(key))
            if components is None or component_entry(key) == key:
                return True
            alike: dict[str, Any] = {}
            pairs = zip(map(str, components), self.settings[key], strict=True)
            return any(alike.setdefault(component, value) != value for component, value in pairs)

        return [key for key in self.settings if says(key)]


def compare(groups: Sequence[Group], *, reference: str | None = None) -> Comparison:
    """Compare groups of runs by the best validation score of each run.

    Intervals are 95 % intervals of the mean over seeds, from Student's t distribution; that of a difference is Welch's. They
    answer one question each: with 20 groups that are all alike, one will seem to differ.

    Parameters
    ----------
    groups
        Two or more, from `gather`.
    reference
        Name of the group that the others are compared with; None for the first.

    Raises
    ------
    UsageError
        If there are fewer than two groups, the reference is none of them, or they are judged by different scores.
    """
    if len(groups) < 2:
        there = ", ".join(f"'{group.name}'" for group in groups) or "none"
        raise UsageError(
            f"To compare, there must be two groups of runs at least; there is {there}. Runs that differ only in their seed are "
            "one group."
        )
    names = [group.name for group in groups]
    if reference is not None and reference not in names:
        raise UsageError(f"There is no group '{reference}' to compare with. Groups: {', '.join(names)}.")
    scores = {(run.metric, run.direction) for group in groups for run in group.runs}
    if len(scores) > 1:
        each = "; ".join(f"{group.name}: {group.runs[0].metric}" for group in groups)
        raise UsageError(f"The runs are judged by different scores ({each}). Compare runs of the same task.")
    metric, direction = next(iter(scores))
    ordered = sorted(groups, key=lambda group: group.name != reference) if reference is not None else list(groups)
    return Comparison(
        metric,
        direction,
        tuple(ordered),
        tuple(_difference(group, ordered[0], direction) for group in ordered[1:]),
        _settings(ordered),
        tuple(cautions_of(ordered)),
    )


def _difference(group: Group, reference: Group, direction: str) -> Difference:
    mine, theirs = group.best, reference.best
    names = group.name, reference.name
    if mine is None or theirs is None:
        which = " and ".join(g.name for g, best in ((group, mine), (reference, theirs)) if best is None)
        return Difference(*names, None, "not distinguishable", f"no score of {which}")
    score = difference_of(theirs, mine)
    if score.low is None or score.high is None:
        reason = "one run each: differences below the spread of seeds cannot be told"
        return Difference(*names, score, "not distinguishable", reason)
    assumed = " (a single run, taken to spread like the other group)" if score.count == 1 else ""
    if score.low <= 0 <= score.high:
        return Difference(*names, score, "not distinguishable", f"the interval of the difference includes 0{assumed}")
    better = (score.mean > 0) == (direction == "max")
    return Difference(
        *names, score, "better" if better else "worse", f"the interval of the difference excludes 0{assumed}"
    )


def _settings(groups: Sequence[Group]) -> dict[str, tuple[Any, ...]]:
    entries = [entries_of(group.recipe) for group in groups]
    keys = dict.fromkeys(key for each in entries for key in each)
    values = {key: tuple(each.get(key) for each in entries) for key in keys}
    return {key: each for key, each in values.items() if any(value != each[0] for value in each)}
