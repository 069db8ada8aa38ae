"""``segkit train``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from time import monotonic

import click

from segkit.cli._events import telling
from segkit.cli._options import parse_overrides

__all__ = ["train_command"]


@click.command("train")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="Run folder. Default: runs/ and the recipe's name."
)
@click.option(
    "-o",
    "--option",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change an entry of the recipe; may be repeated.",
)
@click.option("--check", is_flag=True, help="Check the recipe and print it with all defaults, without training.")
def train_command(recipe: Path, folder: Path | None, pairs: tuple[str, ...], check: bool) -> int:
    """Train a network as RECIPE (a TOML or JSON file) says.

    The same command goes on with a run that was interrupted, with the same result as if it had not been. Ctrl-C or
    SIGTERM saves everything and stops; a second one ends at once.

    \b
    Examples:
      segkit train mitochondria.toml --run runs/first
      segkit train mitochondria.toml --run runs/wide -o architecture.width=48 -o training.steps=8000
      torchrun --nproc-per-node 4 -m -- segkit train mitochondria.toml --run runs/four-gpus
    """
    from segkit.recipe import load_recipe

    chosen = load_recipe(recipe, parse_overrides(pairs))
    if check:
        click.echo(chosen.to_toml(), nl=False)
        return 0
    return run_training(chosen, folder or Path("runs") / recipe.stem)


def run_training(recipe: object, folder: Path) -> int:
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
    from segkit.training._stopping import stop_on_signals

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
    finished, began = "", monotonic()
    said = began
    with (
        stop_on_signals() as stop,
        Progress(*columns, console=console, disable=not console.is_terminal) as bars,
        closing(fit_events(recipe, folder, stop=stop)) as events,
    ):
        bar = bars.add_task("Preparing", total=None, note="blocks of labels")
        for event in events:
            if isinstance(event, Preparing):
                counted(event.done, event.total)
                bars.update(bar, completed=event.done, total=event.total)
            elif isinstance(event, Started):
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
            elif isinstance(event, Checkpoint) and stop():
                bars.console.print(f"saved at step {event.step}", highlight=False, soft_wrap=True)
            elif isinstance(event, Finished):
                finished = event.reason
    if finished:
        console.print(f"{finished.replace('_', ' ')}: {folder}", highlight=False, soft_wrap=True)
    return 128 + stop.signal if finished == "stopped" and stop.signal else 0
