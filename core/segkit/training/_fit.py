"""The training loop: one generator, readable from top to bottom.

There is nothing to subclass and no callback. Whoever wants to know what happens iterates the events; whoever wants to
stop closes the generator. What varies is a component or a number of the recipe.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from segkit.errors import DivergedError, SegkitWarning
from segkit.model import choose_device
from segkit.recipe import Recipe, load_recipe
from segkit.sampling import load_batches
from segkit.training._checkpoint import Progression, newest_checkpoint, restore_optimizer, save_checkpoint
from segkit.training._curves import draw_curves
from segkit.training._distributed import World
from segkit.training._events import Checkpoint, Event, Failed, Finished, Started, Step, Validation
from segkit.training._optimization import highest_rate, learning_rate_at
from segkit.training._preview import Previewer
from segkit.training._run import Run, RunState
from segkit.training._setup import Setup, prepare
from segkit.training._start import Start
from segkit.training._step import take_step
from segkit.training._stopping import StopFile, stop_on_signals
from segkit.training._validation import is_better, validate

if TYPE_CHECKING:
    import torch

__all__ = ["fit", "fit_events"]

FIRST_DRAW_SECONDS, DRAW_SECONDS = 10, 60


def _never() -> bool:
    return False


def fit(recipe: Recipe | str | Path, folder: str | Path) -> Run:
    """Train as a recipe says, to the end, or until Ctrl-C or SIGTERM; call again to go on.

    Parameters
    ----------
    recipe
        The recipe, or its file.
    folder
        The run folder. A run of the same recipe in it goes on from its newest checkpoint, with the same result as if it
        had never been interrupted.

    Returns
    -------
    Run
        The run; ``segkit.Model.load(folder)`` loads its best weights, and its folder ``final`` holds the last ones.

    Raises
    ------
    UsageError
        If the recipe does not fit, or the folder holds a run of another recipe.
    DataError
        If the data are broken, or hold nothing to learn from.
    DivergedError
        If the loss is no longer finite.
    """
    with stop_on_signals() as stop:
        for _ in fit_events(recipe, folder, stop=stop):
            pass
    return Run(Path(folder))


def fit_events(
    recipe: Recipe | str | Path,
    folder: str | Path,
    *,
    stop: Callable[[], bool] = _never,
    start: str | Path | None = None,
    start_step: int | None = None,
) -> Generator[Event, None, None]:
    """Train as a recipe says, yielding an event for everything that happens.

    A generator that nobody iterates trains nothing; `fit` does it for you. Closing the generator saves and stops.

    Parameters
    ----------
    recipe, folder
        See `fit`.
    stop
        Asked between any two steps, also of validation; once it says yes, everything is saved and the training ends. The
        file of `Run.ask_to_stop` is looked for besides.
    start, start_step
        Folder of another run of the same task and architecture, from whose checkpoint behind that step (None for the newest)
        a new run goes on: with its weights, its optimizer's state and its count of steps, and with everything else as
        `recipe` says, such as other data or a lower learning rate. A run that has a checkpoint of its own goes on from that.

    Yields
    ------
    Event
        See `segkit.training`. Under ``torchrun``, only the leading process yields any.
    """
    import torch

    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    run = Run(Path(folder))
    device = choose_device(recipe.training.device)
    world = World.join(device)
    if world.size > 1 and device == "cuda":
        device = f"cuda:{world.local_rank}"
    origin = None if start is None or run.has_checkpoint else Start.of(recipe, Path(start), start_step)
    asked = StopFile(run.stop_file)

    def wanted() -> bool:
        return stop() or (world.leads and asked())

    with run.opened(recipe, origin.record if origin else None) if world.leads else nullcontext():
        if world.leads:
            asked.clear()
        world.wait()
        state = run.state()
        if (over := _is_over(recipe, state)) is not None:
            if world.leads:
                yield over
            return
        try:
            setup = yield from _prepared(recipe, run.folder, torch.device(device), world, wanted)
            if setup is None:
                finished = Finished(state.step, "stopped")
                if world.leads:
                    run.record(finished, sync=True)
                    yield finished
                return
            if state.data not in ("", setup.fingerprint):
                warnings.warn(
                    f"The data of {folder} have changed since it was last trained. It goes on with them as they are now, and "
                    "its result is no longer that of one recipe on one set of data.",
                    SegkitWarning,
                    stacklevel=2,
                )
            with closing(_loop(setup, run, world, wanted, origin)) as events:
                for event in events:
                    if world.leads:
                        yield event
        except Exception as error:  # whoever follows the journal must learn why it ends here
            if world.leads:
                run.record(Failed(run.state().step, str(error)), sync=True)
            raise
        finally:
            if world.leads:
                asked.clear()


def _is_over(recipe: Recipe, state: RunState) -> Finished | None:
    """Return how a run ended, if by its recipe there is nothing left to do."""
    if state.finished == "completed" and state.step >= recipe.training.steps:
        return Finished(state.step, "completed")
    best = max((step for step, row in state.validations.items() if row["best"]), default=0)
    stale = sum(step > best for step in state.validations)
    if (
        state.finished == "early_stopping"
        and recipe.training.patience is not None
        and stale >= recipe.training.patience
    ):
        return Finished(state.step, "early_stopping")
    return None


def _prepared(
    recipe: Recipe, folder: Path, device: torch.device, world: World, stop: Callable[[], bool]
) -> Generator[Event, None, Setup | None]:
    """Prepare, and return the result; None if it was asked to stop in between."""
    preparing = prepare(recipe, device, folder, processes=world.size, leads=world.leads)
    while True:
        try:
            event = next(preparing)
        except StopIteration as end:
            setup: Setup = end.value
            return setup
        if world.leads:
            yield event
        if world.size == 1 and stop():  # others could not be told before they are all here
            return None


def _restore(setup: Setup, run: Run, origin: Start | None) -> tuple[Progression, Any]:
    """Put back the newest checkpoint, if there is one, or else what the run starts from."""
    import torch

    scaler = torch.amp.GradScaler(setup.device.type, enabled=setup.recipe.training.precision == "float16")
    found = newest_checkpoint(run.folder / "checkpoints")
    if found is None and origin is not None:
        found = origin.restored(setup.recipe)
    if found is None:
        return Progression(), scaler
    progression, parts = found
    setup.network.load_state_dict(parts["weights"])
    if setup.average is not None:
        setup.average.load_state_dict(parts["average"] or parts["weights"])
    if parts["optimizer"]:
        restore_optimizer(setup.optimizer, parts)
    if progression.scaler:
        scaler.load_state_dict(progression.scaler)
    return progression, scaler


def _addresses(recipe: Recipe, first: int, world: World) -> Iterator[list[tuple[int, int]]]:
    """Yield the patch addresses of each batch of this process, from step `first` on."""
    size, accumulation = recipe.sampling.batch_size, recipe.training.accumulation
    for step in range(first, recipe.training.steps):
        for part in range(accumulation):
            begin = (part * world.size + world.rank) * size
            yield [(step, begin + number) for number in range(size)]


def _loop(
    setup: Setup, run: Run, world: World, stop: Callable[[], bool], origin: Start | None
) -> Generator[Event, None, None]:
    import torch

    recipe, training = setup.recipe, setup.recipe.training
    progression, scaler = _restore(setup, run, origin)
    network = setup.network
    called: Any = torch.compile(network) if training.compile else network
    highest = highest_rate(recipe.optimizer, network)
    evaluated = setup.average if setup.average is not None else setup.network
    previewer = Previewer(run.folder / "preview")
    journal_every = max(1, training.steps // 2000)  # as many points as a curve can show
    saved_step, saved_at = progression.step, monotonic()
    drawn_at = saved_at - DRAW_SECONDS + FIRST_DRAW_SECONDS  # what ends before is drawn once, at its end

    def tell(event: Event, *, sync: bool = False) -> Event:
        if world.leads:
            run.record(event, sync=sync)
        return event

    def save() -> Event:
        nonlocal saved_step, saved_at
        if world.leads:
            progression.scaler = scaler.state_dict()
            average = setup.average.state_dict() if setup.average is not None else None
            save_checkpoint(
                run.folder / "checkpoints", progression, setup.network.state_dict(), average, setup.optimizer
            )
        saved_step, saved_at = progression.step, monotonic()
        return tell(Checkpoint(progression.step), sync=True)

    def publish(name: str = "model") -> None:
        if world.leads:
            scores = run.state().validations.get(progression.step, {})
            setup.model({"step": progression.step, **scores}).save(run.folder / name)

    def score() -> Iterator[Event]:
        """Validate, and keep what is best; yields nothing if it was asked to stop in between."""
        result = validate(setup, evaluated, world, stop)
        if result is None:
            return
        loss, metrics = result
        name, direction = setup.task.best
        value = metrics.get(name, loss)
        metrics = {name: value} | metrics  # whoever shows only a few shows this one
        best = is_better(value, progression.best_score, direction)
        progression.validated = progression.step
        progression.stale = 0 if best else progression.stale + 1
        progression.since_drop = 0 if best else progression.since_drop + 1
        if progression.since_drop > recipe.schedule.patience:
            progression.drops, progression.since_drop = progression.drops + 1, 0
        if best:
            progression.best_score, progression.best_step = value, progression.step
        yield tell(Validation(progression.step, loss, metrics, best), sync=True)
        yield save()
        if best:
            publish()
        if world.leads:
            run.write_history(run.state())
            draw(at_most_every=DRAW_SECONDS)

    def draw(at_most_every: float = 0) -> None:
        nonlocal drawn_at
        if monotonic() - drawn_at >= at_most_every:
            draw_curves(run.state(), run.folder / "curves.png", setup.task.best[0])
            drawn_at = monotonic()

    def wants_validation() -> bool:
        due = progression.step % training.validate_every == 0 or progression.step == training.steps
        return bool(setup.boxes) and 0 < progression.step != progression.validated and due

    def ended() -> bool:
        early = training.patience is not None and progression.stale >= training.patience
        return progression.step >= training.steps or early

    parts = {"training_data": setup.training_fingerprint, "validation_data": setup.validation_fingerprint}
    yield tell(Started(progression.step, training.steps, setup.fingerprint, **parts), sync=True)
    if origin is not None:
        yield save()  # from here on it needs the other run no more
    if progression.step and progression.step == progression.best_step:
        publish()  # a kill may have come between the checkpoint and the model
    network.train()
    batches = load_batches(
        _addresses(recipe, progression.step, world), setup.sampler.training_example, workers=recipe.sampling.workers
    )
    try:
        with closing(batches):
            while True:
                if wants_validation():
                    yield from score()
                if world.any(stop()):
                    break
                if ended():
                    break
                began = monotonic()
                step = progression.step
                rate = learning_rate_at(step, training.steps, highest, recipe.schedule, progression.drops)
                loss = take_step(setup, called, batches, scaler, step, rate, world)
                progression.step = step + 1
                event = Step(step + 1, loss, rate, monotonic() - began)
                if (step + 1) % journal_every == 0:
                    tell(event)
                yield event
                for answer in previewer.answers(setup, step + 1) if world.leads else ():
                    yield tell(answer)
                if world.any(monotonic() - saved_at > 60 * training.checkpoint_minutes):
                    yield save()
    except (GeneratorExit, DivergedError):
        # The weights are whole: this happens between two steps, or before a step has touched them.
        if progression.step > saved_step:
            save()
        if world.leads:
            run.write_history(run.state())
        raise
    if progression.step > saved_step or not ended():
        yield save()
    if not setup.boxes or not (run.folder / "model").exists():
        publish()  # without a validation the last weights are the ones to keep
    publish("final")
    if world.leads:
        run.write_history(run.state())
        draw()
    if not ended():
        yield tell(Finished(progression.step, "stopped"), sync=True)
    else:
        completed = progression.step >= training.steps
        yield tell(Finished(progression.step, "completed" if completed else "early_stopping"), sync=True)
