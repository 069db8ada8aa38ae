"""What several commands share: ``-o key=value``, ``--cluster``, and the progress bar with rate and ETA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from segkit.cli._events import telling
from segkit.errors import UsageError
from segkit.progress import Progress

__all__ = ["cluster_options", "override_option", "parse_options", "parse_overrides", "progress_bar"]


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--cluster`` and ``--workers``."""
    cluster = click.option(
        "--cluster",
        metavar="WHERE",
        help="Work on a dask cluster: local:4 (processes), tcp://host:8786 (a scheduler that runs), "
        "slurm:workers=8,cores=4,memory=16GB,queue=gpu,walltime=02:00:00 (likewise pbs:, lsf:, sge:), or a TOML file. "
        "Default: threads of this process.",
    )
    workers = click.option(
        "--workers", type=click.IntRange(1), metavar="N", help="Threads, or processes or jobs of the cluster."
    )
    return cluster(workers(command))


def override_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds ``-o KEY=VALUE``, which may be repeated, with this help; `parse_overrides` reads it."""
    return click.option("-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE", help=text)


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ``key=value`` pairs; a later one wins."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"The option {pair!r} is not of the form key=value, such as -o architecture.width=48.")
        found[key.strip()] = value.strip()
    return found


def parse_options(kind: str, name: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``key=value`` pairs for the parameters of a component; unknown keys stay text, for `bind` to refuse."""
    from segkit.parameters import parse_text
    from segkit.registry import registries

    known = {parameter.name: parameter for parameter in registries[kind][name].parameters}
    return {key: parse_text(known[key], text) if key in known else text for key, text in parse_overrides(pairs).items()}


@contextmanager
def progress_bar(what: str, unit: str = "blocks") -> Iterator[Progress]:
    """Show a bar on stderr while the block runs; give it the callback that moves the bar.

    Where stderr is not a terminal, lines replace the bar, the rarer the longer it takes, so that logs stay readable.
    """
    from time import monotonic

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as Bars,
    )

    console = Console(stderr=True)
    told = telling(what, unit)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    began = monotonic()
    first = 0
    said = began
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=None, rate="")

        def move(done: int, total: int) -> None:
            nonlocal first, said, began
            told(done, total)
            now = monotonic()
            if bars.tasks[0].total is None:
                first, began = done, now  # what an earlier attempt did says nothing about the rate of this one
            rate = (done - first) / max(now - began, 1e-6)
            bars.update(task, completed=done, total=total, rate=f"{rate:.1f}/s" if done > first else "")
            if not console.is_terminal and (done == total or now - said > max(2.0, 0.05 * (now - began))):
                said = now
                left = f", about {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
                console.print(f"{what}: {done}/{total} {unit}{left}", highlight=False)

        yield move
