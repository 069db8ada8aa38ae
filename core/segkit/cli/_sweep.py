"""``segkit sweep``."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from segkit.cli._options import override_option, parse_overrides, progress_bar
from segkit.errors import UsageError

__all__ = ["sweep_command"]

_SHOWN = 15


@click.command("sweep")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--vary",
    "varied",
    multiple=True,
    metavar="KEY=VALUES",
    help="A setting that varies: optimizer.learning_rate=1e-4,1e-3 (values), =1e-4..5e-3 (a range, logarithmic where it "
    "spans a decade), =1e-4..5e-3:6 (six of it, in a grid), or the KEY alone for all that its component allows. Values of "
    "several numbers are separated by ';'. May be repeated.",
)
@click.option("--folder", type=click.Path(path_type=Path), help="Default: sweeps/ and the recipe's name.")
@click.option("--search", help="grid (default), random or tpe.")
@click.option("--trials", type=int, metavar="N", help="Configurations that random and tpe try. Default: 20.")
@click.option("--seeds", type=int, metavar="N", help="Trainings of each configuration. Default: 3.")
@click.option("--prune", help="End hopeless trainings early: median, halving, or none (default).")
@click.option("--keep", help="What stays of a training: all, models (default: no checkpoints) or scores.")
@click.option("--search-seed", type=int, metavar="N", help="Where the randomness of the search starts. Default: 0.")
@click.option("--threads", type=int, metavar="N", help="Threads of each training. Default: the cores, shared out.")
@override_option("Change an entry of the recipe for all trainings.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Trainings at once, in processes of their own; or processes or jobs of the cluster. Default: 1, in this process.",
)
@click.option("--cluster", metavar="WHERE", help="Train on a dask cluster, as in 'segkit predict --help'.")
@click.option("--retry", is_flag=True, help="Try again what failed.")
@click.option("--check", is_flag=True, help="Print the configurations, without training.")
def sweep_command(
    recipe: Path,
    varied: tuple[str, ...],
    folder: Path | None,
    pairs: tuple[str, ...],
    workers: int,
    cluster: str | None,
    retry: bool,
    check: bool,
    **settings: Any,
) -> int:
    """Train RECIPE many times with other settings, and compare.

    RECIPE is a recipe, or a sweep file that names one and says what varies. The same command goes on with a sweep that
    was interrupted: nothing is lost and nothing done twice. Ctrl-C or SIGTERM saves everything and stops.

    \b
    Examples:
      segkit sweep mitochondria.toml --vary optimizer.learning_rate=1e-4,1e-3 --vary sampling.batch_size=4,8
      segkit sweep mitochondria.toml --vary architecture.name=unet,attention_unet --seeds 5 --workers 4
      segkit sweep mitochondria.toml --vary optimizer.learning_rate=1e-4..5e-3 --search tpe --trials 30 --prune median
    """
    from segkit.sweeping import SweepFolder, load_plan

    vary = _parse(varied)
    plan = load_plan(recipe, vary, parse_overrides(pairs), **{k: v for k, v in settings.items() if v is not None})
    if check:
        _print_plan(plan)
        return 0
    path = folder or Path("sweeps") / recipe.stem
    code = _train(plan, path, workers, cluster, retry)
    found = _report(SweepFolder(path))
    return code or found


def _parse(varied: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in varied:
        key, equals, values = text.partition("=")
        if key.strip() in found or not key.strip() or (equals and not values.strip()):
            raise UsageError(
                f"The option --vary {text!r} is not of the form KEY=VALUES, or names a setting twice. Write it like "
                "--vary optimizer.learning_rate=1e-4,1e-3."
            )
        found[key.strip()] = values.strip()
    return found


def _print_plan(plan: Any) -> None:
    for dimension in plan.dimensions:
        click.echo(f"{dimension.key}: {dimension.text}")
    settings = plan.settings
    if settings.search == "grid":
        for number, values in enumerate(plan.configurations()):
            click.echo(f"{number:03d}  {_told(values)}")
    click.echo(
        f"{plan.trials} configurations x {settings.seeds} seed{'s' if settings.seeds > 1 else ''} = {plan.trials * settings.seeds} trainings "
        f"of {plan.recipe.training.steps} steps ({settings.search})"
    )


def _told(values: Any) -> str:
    from segkit.sweeping._dimension import short

    return "  ".join(f"{key}={short(value)}" for key, value in values.items())


def _train(plan: Any, path: Path, workers: int, cluster: str | None, retry: bool) -> int:
    from segkit.sweeping import Ended, sweep_events
    from segkit.training._stopping import stop_on_signals

    done = total = 0
    with (
        stop_on_signals() as stop,
        progress_bar("Sweep", "trainings") as move,
        closing(sweep_events(plan, path, workers=workers, cluster=cluster, stop=stop, retry=retry)) as events,
    ):
        for event in events:
            done, total = event.done, event.total
            if isinstance(event, Ended):
                outcome = event.outcome
                score = "" if outcome.best is None else f" {outcome.best:.4g} at step {outcome.best_step}"
                why = f" ({outcome.reason})" if outcome.reason else ""
                click.echo(
                    f"trial {event.trial.number} seed {event.seed} {outcome.state}{score}, {outcome.seconds:.1f} s: "
                    f"{_told(event.trial.values)}{why}",
                    err=True,
                )
            move(done, total)
    if done < total:
        click.echo(f"saved: {done} of {total} trainings have ended; run the same command to go on", err=True)
        return 128 + (stop.signal or signal.SIGTERM)
    return 0


def _report(folder: Any) -> int:
    """Write the files of a sweep, print the best, and return the exit code."""
    from segkit.report import interval_text
    from segkit.sweeping import ranking, verdict, write_report

    plan, trials = folder.plan, folder.trials()
    write_report(folder)
    ranked = ranking(plan, trials)
    metric = plan.recipe.task.build("tasks").best[0]
    if ranked:
        click.echo(f"{'trial':>5}  seeds  {metric + ' [95 %]':<28}  settings")
    for each in ranked[:_SHOWN]:
        score = interval_text(each.estimate).replace("\u00a0", " ")
        click.echo(f"{each.trial.number:>5}  {each.estimate.count:>5}  {score:<28}  {_told(each.trial.values)}")
    if len(ranked) > _SHOWN:
        click.echo(f"… and {len(ranked) - _SHOWN} more in {folder.path / 'training_summary.csv'}")
    if text := verdict(ranked):
        click.echo(text)
    failed = [(t, s, o) for t in trials for s, o in t.outcomes.items() if o.state == "failed"]
    if failed:
        trial, seed, outcome = failed[0]
        click.echo(
            f"{len(failed)} training{'s' if len(failed) > 1 else ''} failed, such as trial {trial.number} seed {seed}: {outcome.reason}",
            err=True,
        )
    click.echo(f"{folder.path / 'report.html'}")
    return 3 if failed else 0
