"""``segkit plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segkit.cli._dataset import NamedData, dataset_options
from segkit.cli._options import override_option, progress_bar

if TYPE_CHECKING:
    from segkit.planning import Plan
    from segkit.recipe import Recipe

__all__ = ["plan_command"]


@click.command("plan")
@dataset_options
@override_option("Another option of the dataset `files`, such as region=z:120.")
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Minutes of training.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to train.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="The recipe's seed.")
@click.option("--no-measure", is_flag=True, help="Measure no step and no learning rate: takes the usual ones.")
@click.option(
    "--to", "out", type=click.Path(path_type=Path), help="Write the recipe there, and lr_range.png beside it."
)
def plan_command(
    data: NamedData,
    objects: bool | None,
    pairs: tuple[str, ...],
    budget: float,
    device: str,
    seed: int,
    no_measure: bool,
    out: Path | None,
) -> int:
    """Write a recipe that suits DATA, with a reason beside each choice.

    DATA are images (a file, a folder of slices, a store, or a pattern such as 'images/*.tif') with their --labels, or a recipe
    whose dataset is to be planned anew. The images are read once; then a training step and, briefly, learning rates are tried on
    them. Nothing is kept but the recipe.

    \b
    Examples:
      segkit plan "images/*.tif" --labels "labels/*.tif" --to nuclei.toml
      segkit plan tissue.h5:raw --labels tissue.h5:bodies --voxel-size 30 8 8 --budget 120 --to bodies.toml
      segkit plan old.toml --to new.toml
    """
    from segkit.analysis import fingerprint
    from segkit.errors import OutputExistsError
    from segkit.planning import plan

    if out is not None and out.exists():
        raise OutputExistsError(f"The file {out} exists already. Name another one with --to, or remove it.")
    before, dataset = data.dataset(pairs)
    samples = dataset.build("datasets")
    with progress_bar("Reading the data", "samples") as move:
        found = fingerprint(samples, objects=objects, progress=move)
    with progress_bar("Measuring", "steps") as move:
        made = plan(
            found,
            samples,
            dataset=dataset,
            validation_dataset=None if before is None else before.validation_dataset,
            minutes=budget,
            device=device,
            seed=seed if before is None else before.seed,
            measure=not no_measure,
            progress=lambda _, done, total: move(done, total),
        )
    _print(made, before)
    if out is not None:
        from segkit.durable import make_dirs, replace_file

        make_dirs(out.parent)
        replace_file(out, made.to_toml().encode())
        click.echo(f"written: {out}")
        if made.range_test is not None:
            made.range_test.draw(out.with_name("lr_range.png"))
        click.echo(f"next: segkit train {out}")
    return 0


def _print(made: Plan, before: Recipe | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True, style="cyan")
    table.add_column("value", overflow="fold")
    table.add_column("because", overflow="fold", ratio=1)
    for choice in made.choices:
        table.add_row(choice.key, Text(choice.text), Text(choice.reason))
    console.print(table)
    for note in made.notes:
        console.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)
    if before is not None:
        differences = before.differences(made.recipe)
        console.print(Text(f"{len(differences)} entries differ from the recipe before:"))
        for difference in differences:
            console.print(Text(f"  {difference}"), soft_wrap=True)
