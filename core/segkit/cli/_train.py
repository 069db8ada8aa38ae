"""``segkit train``."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import click

from segkit.cli._events import telling
from segkit.cli._options import override_option, parse_overrides

__all__ = ["train_command"]


@click.command("train")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="Run folder. Default: runs/ and the recipe's name."
)
@override_option("Change an entry of the recipe; may be repeated.")
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    help="Run of the same task and architecture whose weights and steps a new run goes on from.",
)
@click.option("--from-step", type=click.IntRange(min=1), help="Which of its checkpoints. Default: the newest.")
@click.option("--check", is_flag=True, help="Check the recipe and print it with all defaults, without training.")
@click.option("--cost", is_flag=True, help="Only do a step or two, and say what memory and time a step takes, as JSON.")
@click.option("--largest", is_flag=True, help="Likewise, for the largest patch that fits the memory.")
def train_command(
    recipe: Path,
    folder: Path | None,
    pairs: tuple[str, ...],
    start: Path | None,
    from_step: int | None,
    check: bool,
    cost: bool,
    largest: bool,
) -> int:
    """Train a network as RECIPE (a TOML or JSON file) says.

    The same command goes on with a run that was interrupted, with the same result as if it had not been. Ctrl-C or
    SIGTERM saves everything and stops; a second one ends at once.

    \b
    Examples:
      segkit train mitochondria.toml --run runs/first
      segkit train mitochondria.toml --run runs/wide -o architecture.width=48 -o training.steps=8000
      segkit train mitochondria.toml --run runs/calm --from runs/first -o optimizer.learning_rate=3e-4
      torchrun --nproc-per-node 4 -m -- segkit train mitochondria.toml --run runs/four-gpus
    """
    from segkit.recipe import load_recipe

    chosen = load_recipe(recipe, parse_overrides(pairs))
    if check:
        click.echo(chosen.to_toml(), nl=False)
        return 0
    if cost or largest:
        from segkit.training import largest_patch, step_cost

        click.echo(json.dumps(asdict(largest_patch(chosen) if largest else step_cost(chosen))))
        return 0
    return run_training(chosen, folder or Path("runs") / recipe.stem, start, from_step)


def run_training(recipe: object, folder: Path, start: Path | None = None, start_step: int | None = None) -> int:
    """Train with a progress bar, and return the exit code."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from segkit.recipe import Recipe
    from segkit.training import Checkpoint, Finished, Preparing, Started, Step, Validation, fit_events
    from segkit.training._stopping import StopRequest, stop_on_signals

    assert isinstance(recipe, Recipe)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    counted, trained = telling("Counting labels", "blocks"), telling("Training", "steps")
    steps = 0
    # Before the first step there is nothing to save, so that a signal ends the process at once.
    stop = StopRequest()

    def asked() -> bool:
        return stop()

    finished, began = "", monotonic()
    said = began
    with (
        ExitStack() as signals,
        Progress(*columns, console=console, disable=not console.is_terminal) as bars,
        closing(fit_events(recipe, folder, stop=asked, start=start, start_step=start_step)) as events,
    ):
        bar = bars.add_task("Preparing", total=None, note="blocks of labels")
        for event in events:
            if isinstance(event, Preparing):
                counted(event.done, event.total)
                bars.update(bar, completed=event.done, total=event.total)
            elif isinstance(event, Started):
                stop = signals.enter_context(stop_on_signals())
                steps = event.steps
                trained(event.step, steps)
                bars.reset(bar, description="Training", total=event.steps, completed=event.step, note="steps")
                if event.step:
                    bars.console.print(f"going on behind step {event.step}", highlight=False, soft_wrap=True)
            elif isinstance(event, Step):
                trained(event.step, steps)
                bars.update(bar, completed=event.step, note=f"loss {event.loss:.4f}")
                if not console.is_terminal and monotonic() - said > max(5.0, 0.05 * (monotonic() - began)):
                    said = monotonic()
                    left = bars.tasks[0].time_remaining
                    eta = "" if left is None else f", about {left:.0f} s left"
                    console.print(f"step {event.step}: loss {event.loss:.4f}{eta}", highlight=False, soft_wrap=True)
            elif isinstance(event, Validation):
                scores = "  ".join(f"{name} {value:.4f}" for name, value in list(event.metrics.items())[:4])
                mark = "  best so far" if event.best else ""
                bars.console.print(
                    f"step {event.step}: validation loss {event.loss:.4f}  {scores}{mark}",
                    highlight=False,
                    soft_wrap=True,
                )
            elif isinstance(event, Checkpoint) and asked():
                bars.console.print(f"saved at step {event.step}", highlight=False, soft_wrap=True)
            elif isinstance(event, Finished):
                finished = event.reason
    if finished:
        console.print(f"{finished.replace('_', ' ')}: {folder}", highlight=False, soft_wrap=True)
    # Whoever asked by a file meant the same as SIGTERM.
    return 128 + (stop.signal or signal.SIGTERM) if finished == "stopped" else 0
