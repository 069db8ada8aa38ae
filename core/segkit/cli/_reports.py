"""``segkit report`` and ``segkit compare``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segkit.errors import UsageError

if TYPE_CHECKING:
    from segkit.report import Comparison

__all__ = ["compare_command", "report_command"]


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
def report_command(runs: tuple[Path, ...]) -> None:
    """Write report.html into each run folder of RUNS: scores, curves, recipe, and what to know before trusting them.

    A run may still go on; the page then tells how far it is. 'segkit compare' sets several runs side by side.

    \b
    Examples:
      segkit report runs/first
      segkit report runs/*
    """
    from rich.console import Console

    from segkit.report import find_problems, summarize, write_run_report

    console = Console(highlight=False, soft_wrap=True, markup=False)
    for run in runs:
        page = write_run_report(run)
        summary = summarize(run)
        score = (
            "no score yet"
            if summary.best is None
            else f"{summary.metric} {summary.best:.4g} at step {summary.best_step}"
        )
        console.print(f"{summary.name}: {score}; {summary.finished.replace('_', ' ') or 'not finished'}")
        for finding in find_problems(run):
            console.print(f"  {finding.text}")
        console.print(f"  written to {page}")


@click.command("compare")
@click.argument("places", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write comparison.html, .png and .csv here.",
)
@click.option(
    "--reference",
    metavar="NAME",
    help="Group that the others are compared with. Default: the first, or the best of a single folder.",
)
def compare_command(places: tuple[str, ...], target: Path | None, reference: str | None) -> None:
    """Compare trainings: mean scores with 95 % intervals, and whether the groups can be told apart.

    Each of RUNS is a run folder, or a folder with several runs, such as one a seed, or a sweep; NAME=FOLDER gives it a name.
    Runs that differ only in their seed are one group. Groups are judged by the best validation score of each run.

    \b
    Examples:
      segkit compare runs/unet runs/attention --to comparison
      segkit compare before=runs/seed0 after=runs/new --to comparison
      segkit compare runs/sweep --reference "width=32"
    """
    from segkit.report import compare, gather, write_comparison

    comparison = compare(gather(_named(places)), reference=reference)
    if len(places) == 1 and comparison.ranked:  # such as a sweep, whose first trial is as good as any other
        unscored = [group for group in comparison.groups if group.best is None]
        comparison = compare([*comparison.ranked, *unscored], reference=reference)
    _show(comparison)
    if target is not None:
        click.echo(f"written to {write_comparison(comparison, target)}")


def _named(places: tuple[str, ...]) -> list[str | tuple[str, str]]:
    """Split ``NAME=FOLDER``, except where a folder is called so."""
    found: list[str | tuple[str, str]] = []
    for place in places:
        name, equals, folder = place.partition("=")
        if not equals or Path(place).exists():
            found.append(place)
        elif name.strip() and folder:
            found.append((name.strip(), folder))
        else:
            raise UsageError(f"{place!r} is not of the form NAME=FOLDER, such as before=runs/first.")
    return found


def _show(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from segkit.report import interval_text

    width = shutil.get_terminal_size((160, 24)).columns  # the fallback is for pipes, where nothing needs to be narrow
    console = Console(highlight=False, width=width)
    sense = "higher" if comparison.direction == "max" else "lower"
    first = name if len(name := comparison.groups[0].name) <= 24 else "the first"
    table = Table(box=None, pad_edge=False)
    table.add_column("group", overflow="fold")
    table.add_column("runs", justify="right")
    for column in (f"best {comparison.metric}", f"difference to {first}", "verdict"):
        table.add_column(column, overflow="fold")
    differences = {difference.group: difference for difference in comparison.differences}
    for group in comparison.groups:
        difference = differences.get(group.name)
        cells = (
            ("", "reference")
            if difference is None
            else (interval_text(difference.score, signed=True), difference.verdict)
        )
        table.add_row(*(Text(cell) for cell in (group.name, str(len(group.runs)), interval_text(group.best), *cells)))
    console.print(f"best validation {comparison.metric}, {sense} is better; mean over seeds [95 % interval]")
    console.print(table)
    for reason in dict.fromkeys(f"{each.verdict}: {each.reason}" for each in comparison.differences):
        console.print(reason, markup=False, soft_wrap=True)
    if comparison.settings:
        console.print("settings that differ: " + ", ".join(comparison.changed), markup=False, soft_wrap=True)
    for caution in comparison.cautions:
        console.print(f"note: {caution}", markup=False, soft_wrap=True)
