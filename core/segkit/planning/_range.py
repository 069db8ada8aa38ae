"""Learning-rate range test: how high the rate may be, found by raising it step by step (Smith 2017)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import DivergedError, UsageError
from segkit.planning._numbers import rounded
from segkit.recipe import Recipe, load_recipe
from segkit.training import Preparing, Step, steps_at

__all__ = ["RangeTest", "judge", "range_test"]

Array = np.ndarray[Any, Any]

_MEMORY = 0.8  # of the running mean that decides when to stop
_WIDTH = 1 / 30  # standard deviation of the smoothing, as a share of all steps


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Parameters
    ----------
    rates
        The learning rate of each step that was done.
    losses
        The loss of each; as many.
    smoothed
        The losses, each averaged with its neighbours by a Gaussian, which does not lag behind as a running mean does.
    steepest
        The rate at which the smoothed loss falls fastest over a given ratio of rates; None if it never falls.
    diverged
        The rate at which the loss was no longer finite, or had risen again so far that the test ended; None if that did not
        happen up to the highest rate.
    suggestion
        The rate to train with, to one digit.
    reason
        Why that one, in a sentence.
    seconds
        Median time of a step, in seconds, reading its patches included.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    diverged: float | None
    suggestion: float
    reason: str
    seconds: float

    def draw(self, path: str | Path) -> None:
        """Write a picture of the losses over the rates, as PNG.

        Parameters
        ----------
        path
            The file, such as ``lr_range.png``; one that is there is replaced.
        """
        from segkit.planning._range_picture import draw_range

        draw_range(self, Path(path))


def range_test(
    recipe: Recipe | str | Path,
    *,
    lowest: float = 1e-5,
    highest: float = 1.0,
    steps: int = 80,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RangeTest:
    """Raise the learning rate from step to step, and tell from the loss which rate to train with.

    A new network is trained on the recipe's data for a few steps, by the trainer's own step, while the rate grows by the same
    factor each time; nothing of it is kept. The test ends early when the loss has risen again. See Smith 2017,
    "Cyclical learning rates for training neural networks", section 3.3, https://arxiv.org/abs/1506.01186. The same recipe and
    seed give the same result.

    Parameters
    ----------
    recipe
        The recipe, or its file. Its own learning rate, schedule and number of steps play no part.
    lowest, highest
        The first rate and the last, above 0.
    steps
        How many steps to do at most, 10 or more.
    folder
        Where the counts of the labels are kept; None keeps nothing.
    progress
        Called with the steps done and their number.

    Returns
    -------
    RangeTest
        The losses and a suggestion: the rate at which the loss falls fastest, but no more than a tenth of the one at which it
        rises again or, where the test did not get that far, is lowest.

    Raises
    ------
    UsageError
        If there are too few steps, or the rates are not in order.
    DataError
        If the data are broken, or hold nothing to learn from.
    """
    if steps < 10 or not 0 < lowest < highest:
        raise UsageError(
            f"A range test of {steps} steps from a rate of {lowest:g} to {highest:g} was asked for. It takes 10 steps or more, and a "
            "first rate above 0 and below the last one."
        )
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    rates = np.geomspace(lowest, highest, steps).tolist()
    losses: list[float] = []
    times: list[float] = []
    over = False
    with closing(_losses(chosen, rates, None if folder is None else Path(folder))) as events:
        watch = _Watch()
        for event in events:
            losses.append(event.loss)
            times.append(event.seconds)
            if progress is not None:
                progress(len(losses), steps)
            over = watch(event.loss)
            if over:
                break
    last = len(losses) - over  # of a step that was not finite there is no loss
    diverged = rates[last] if last < steps and (over or len(losses) < steps) else None
    return judge(rates[: len(losses)], losses, diverged, float(np.median(times)) if times else float("nan"))


def _losses(recipe: Recipe, rates: Sequence[float], folder: Path | None) -> Generator[Step, None, None]:
    """Yield the steps until there are no more, or one is not finite."""
    try:
        with closing(steps_at(recipe, rates, folder)) as events:
            for event in events:
                if not isinstance(event, Preparing):
                    yield event
    except DivergedError:
        return


class _Watch:
    """Says when the loss has risen so far above its lowest value that higher rates need not be tried."""

    def __init__(self) -> None:
        self._sum, self._weight, self._start, self._lowest, self._count = 0.0, 0.0, 0.0, float("inf"), 0

    def __call__(self, loss: float) -> bool:
        self._sum, self._weight = _MEMORY * self._sum + loss, _MEMORY * self._weight + 1
        mean = self._sum / self._weight
        self._count += 1
        if self._count <= 5:
            self._start = mean
        self._lowest = min(self._lowest, mean)
        # Bounded losses such as Dice never grow to a multiple of what they were: to lose half of what was gained is enough.
        allowed = max(0.5 * (self._start - self._lowest), 0.25 * abs(self._start))
        return not isfinite(mean) or (self._count > 5 and mean > self._lowest + allowed)


def judge(rates: Sequence[float], losses: Sequence[float], diverged: float | None, seconds: float) -> RangeTest:
    """Return what losses at rising rates say; see `RangeTest`.

    Parameters
    ----------
    rates, losses
        Of each step, as many.
    diverged
        The rate at which the test ended early; None if it did not.
    seconds
        Time of a step.

    Raises
    ------
    UsageError
        If fewer than five losses are known: then even the lowest rate is too high.
    """
    if len(losses) < 5:
        raise UsageError(
            f"The loss was no longer finite after {len(losses)} steps, at a learning rate of {rates[-1] if rates else 0:g} already. "
            "Begin with a lower rate, or check the recipe's losses and precision."
        )
    smooth = _smoothed(np.asarray(losses, float))
    logs = np.log10(np.asarray(rates, float))
    noise = float(np.std(np.asarray(losses) - smooth))
    slopes = np.gradient(smooth, logs)
    bottom = int(smooth.argmin())
    fell = float(smooth[0] - smooth[bottom])
    if bottom == 0 or fell < max(noise / 2, 1e-9):
        suggestion = rounded((diverged or rates[-1]) / 30)
        reason = (
            f"The loss hardly fell at any rate between {rates[0]:.0e} and {rates[-1]:.0e}, so that this is a guess: a thirtieth of the "
            f"{'rate at which it rose' if diverged else 'highest'}."
        )
        return RangeTest(
            tuple(rates), tuple(losses), tuple(smooth.tolist()), None, diverged, suggestion, reason, seconds
        )
    steepest = float(rates[int(slopes[: bottom + 1].argmin())])
    limit = (diverged if diverged is not None else float(rates[bottom])) / 10
    chosen = min(steepest, limit)
    if chosen == steepest:
        reason = f"The loss falls fastest there; it {_end_of(diverged, rates[bottom])}."
    else:
        reason = f"The loss {_end_of(diverged, rates[bottom])}, and this is a tenth of that rate; it falls fastest at {steepest:.1e}."
    return RangeTest(
        tuple(rates),
        tuple(losses),
        tuple(smooth.tolist()),
        steepest,
        diverged,
        rounded(chosen),
        reason,
        seconds,
    )


def _end_of(diverged: float | None, bottom: float) -> str:
    return f"rises again at {diverged:.1e}" if diverged is not None else f"is lowest at {bottom:.1e}"


def _smoothed(losses: Array) -> Array:
    """Return the losses averaged with a Gaussian; near an end only with what is there."""
    steps = np.arange(len(losses))
    width = max(1.0, _WIDTH * len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
    smoothed: Array = (weights * losses).sum(1) / weights.sum(1)
    return smoothed
