"""What has to be measured: width, number format, the time of a step, and the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import floor, log10

from segkit.errors import UsageError
from segkit.planning._choices import Draft
from segkit.planning._facts import Facts
from segkit.planning._range import RangeTest, range_test
from segkit.recipe import Recipe
from segkit.training import StepCost, step_cost

__all__ = ["Build", "choose_schedule", "fit_rate", "fit_size", "unmeasured"]

Build = Callable[[Draft], Recipe]

_WIDTHS = (32, 24, 16, 12, 8)
_ENOUGH = 800  # steps that a training should have, at least
_MEMORY = 0.8
_MARGIN = 1.1  # how much faster another number format must be
_TRAINING = 0.8  # share of the budget for steps; the rest is reading, counting and validation
_MOST = 20_000
_RATE = 1e-3


def _seconds(recipe: Recipe) -> StepCost:
    """Measure twice and keep the faster: what else runs on the machine only ever adds."""
    costs = [step_cost(recipe) for _ in range(2)]
    fastest = min(costs, key=lambda cost: cost.seconds)
    return replace(fastest, memory=max((c.memory for c in costs if c.memory is not None), default=None))


def fit_size(facts: Facts, draft: Draft, build: Build) -> StepCost:
    """Choose number format, width and, if need be, a smaller batch, so that enough steps fit time and memory."""
    draft.choose("architecture.width", 16, "")
    exact = _seconds(build(draft))
    draft.choose("training.precision", "bfloat16", "")
    cost = _seconds(build(draft))
    if cost.seconds * _MARGIN > exact.seconds:
        draft.choose(
            "training.precision",
            "float32",
            f"A step takes {exact.seconds:.2g} s, in bfloat16 {cost.seconds:.2g} s: nothing is gained by fewer digits.",
        )
        cost = exact
    else:
        draft.choose(
            "training.precision",
            "bfloat16",
            f"A step takes {cost.seconds:.2g} s rather than {exact.seconds:.2g} s in float32.",
        )
    allowed = _TRAINING * 60 * facts.minutes / _ENOUGH
    width = 16
    # The cost grows between linearly (memory-bound, narrow) and with the square of the width.
    wider = [w for w in _WIDTHS if w > 16 and cost.seconds * (w / 16) ** 1.7 <= allowed]
    if wider:
        width = wider[0]
        draft.choose("architecture.width", width, "")
        cost = _seconds(build(draft))
    while (cost.seconds > allowed or _too_large(cost)) and width > _WIDTHS[-1]:
        width = next(w for w in _WIDTHS if w < width)
        draft.choose("architecture.width", width, "")
        cost = _seconds(build(draft))
    while _too_large(cost) and draft["sampling.batch_size"] > 1:
        batch = draft["sampling.batch_size"] // 2
        draft.choose("sampling.batch_size", batch, "A larger batch does not fit the memory.")
        cost = _seconds(build(draft))
    # What an earlier step gave back is not seen to be taken again: a small number says nothing.
    memory = "" if cost.memory is None or cost.memory < 2**26 else f" and {cost.memory / 2**30:.2g} GiB"
    draft.choose(
        "architecture.width",
        width,
        f"A step takes {cost.seconds:.2g} s{memory} on {cost.device}: "
        + (
            f"the widest with which {_ENOUGH} steps fit into {facts.minutes:g} minutes."
            if cost.seconds <= allowed
            else f"even so, fewer than {_ENOUGH} steps fit into {facts.minutes:g} minutes."
        ),
    )
    return cost


def _too_large(cost: StepCost) -> bool:
    return cost.memory is not None and cost.memory_free is not None and cost.memory > _MEMORY * cost.memory_free


def fit_rate(draft: Draft, build: Build, progress: Callable[[int, int], None] | None) -> RangeTest | None:
    """Choose the learning rate by a range test on the data; None where that did not say anything."""
    draft.choose("optimizer.name", "adamw", "Needs the least care.")
    try:
        test = range_test(build(draft), progress=progress)
    except UsageError as error:
        draft.choose("optimizer.learning_rate", _RATE, "The usual one; the range test said nothing.")
        draft.note(str(error))
        return None
    draft.choose("optimizer.learning_rate", test.suggestion, f"Range test of {len(test.losses)} steps: {test.reason}")
    return test


def choose_schedule(facts: Facts, draft: Draft, seconds: float | None) -> None:
    """Choose how many steps there are and how the rate runs, from the time of a step."""
    epoch = max(1.0, facts.fingerprint.voxels / _voxels(draft))
    if seconds is None:
        steps = 2000
        draft.choose("training.steps", steps, "The time of a step was not measured.")
    else:
        affordable = _TRAINING * 60 * facts.minutes / seconds
        useful = max(1000.0, 300 * epoch)
        steps = max(50, _two_digits(min(affordable, useful, _MOST)))
        why = (
            f"{seconds:.2g} s a step with reading: what fits into {facts.minutes:g} minutes, a fifth set aside for validation."
            if affordable <= min(useful, _MOST)
            else f"About {steps / epoch:,.0f} times through the data; {facts.minutes:g} minutes would allow {affordable:,.0f}."
        )
        draft.choose("training.steps", steps, why)
        if affordable < _ENOUGH:
            draft.note(
                f"Only {steps} steps fit into {facts.minutes:g} minutes. Give more with --budget, or expect a first impression."
            )
    warmup = max(5, min(200, steps // 20))
    draft.choose("schedule.name", "cosine", "Ends at a low rate after the planned time, wherever that is.")
    draft.choose("schedule.warmup", warmup, "A twentieth of the steps: the first gradients of new weights are large.")
    every = max(10, _two_digits(steps / 10))
    draft.choose("training.validate_every", every, "About ten points of a curve.")
    patches = 64 if draft["architecture.dimensions"] == "2d" else 24
    draft.choose(
        "training.validation_patches", patches, "Spread evenly; validation then takes a small share of the time."
    )
    if steps >= 300:
        draft.choose(
            "training.ema",
            0.99,
            "The average of the last hundred or so weights is steadier than any of them.",
        )


def _voxels(draft: Draft) -> float:
    z, y, x = draft["sampling.patch_shape"]
    return float(draft["sampling.batch_size"] * z * y * x)


def _two_digits(number: float) -> int:
    step = 10 ** max(0, floor(log10(max(number, 1))) - 1)
    return int(number // step * step)


def unmeasured(draft: Draft) -> None:
    """Choose what would be measured, without measuring."""
    draft.choose("architecture.width", 16, "A middling width; nothing was measured.")
    draft.choose("optimizer.name", "adamw", "Needs the least care.")
    draft.choose("optimizer.learning_rate", _RATE, "The usual one; nothing was measured.")
