"""A few steps at given learning rates, to see how the loss answers; nothing is kept of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from segkit.model import choose_device
from segkit.recipe import Recipe
from segkit.sampling import load_batches
from segkit.training._distributed import World
from segkit.training._events import Preparing, Step
from segkit.training._fit import _addresses
from segkit.training._optimization import highest_rate
from segkit.training._setup import prepare
from segkit.training._step import take_step

__all__ = ["steps_at"]


def steps_at(
    recipe: Recipe, rates: Sequence[float], folder: Path | None = None
) -> Generator[Preparing | Step, None, None]:
    """Train a new network for as many steps as there are rates, each step at its own, and yield what happens.

    The steps are those of `segkit.training.fit`, on the part of the data that is trained on; the schedule and the number of
    steps of the recipe play no part.

    Parameters
    ----------
    recipe
        What is trained.
    rates
        The learning rate of each step, as ``optimizer.learning_rate`` has it: scaled by the network's depth where that is.
    folder
        Where the counts of the labels are kept, such as the folder of the run that is to come; None keeps nothing.

    Raises
    ------
    DivergedError
        If loss or gradient of a step are not finite.
    SegkitError
        As `segkit.training.fit` does.
    """
    import torch

    recipe = replace(recipe, training=replace(recipe.training, steps=len(rates)))
    device, alone = torch.device(choose_device(recipe.training.device)), World()
    with TemporaryDirectory() as nowhere:
        setup = yield from prepare(recipe, device, folder or Path(nowhere))
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.training.precision == "float16")
    scale = highest_rate(recipe.optimizer, setup.network) / recipe.optimizer.learning_rate
    setup.network.train()
    batches = load_batches(
        _addresses(recipe, 0, alone), setup.sampler.training_example, workers=recipe.sampling.workers
    )
    with closing(batches):
        for step, rate in enumerate(rates):
            began = monotonic()
            loss = take_step(setup, setup.network, batches, scaler, step, scale * rate, alone)
            yield Step(step + 1, loss, rate, monotonic() - began)
