"""``segkit evaluate``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from segkit.cli._options import progress_bar
from segkit.errors import UsageError

if TYPE_CHECKING:
    from segkit.evaluation import Compare, Evaluation

__all__ = ["evaluate_command"]


def _read_ids(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"The option --class-ids {text!r} is not a list of whole numbers, such as '1,2,5'.") from None


@click.command("evaluate")
@click.argument("result")
@click.argument("labels")
@click.option("--mask", help="Volume that is not 0 where the labels are known. Default: known everywhere.")
@click.option("--unlabelled", type=int, metavar="ID", help="The id in the labels that means 'not annotated'.")
@click.option("--region", default="", help="Part of the result, such as 'z0:100, x-512:'. Default: all both cover.")
@click.option(
    "--compare",
    type=click.Choice(["auto", "objects", "classes", "foreground"]),
    default="auto",
    show_default=True,
    help="What the ids are. auto: foreground for a prediction, objects for whole numbers.",
)
@click.option(
    "--threshold", type=float, default=0.5, show_default=True, help="Value above which a prediction is foreground."
)
@click.option("--channel", type=int, help="Channel of the prediction that is the foreground, counted from 0.")
@click.option(
    "--class-ids", default="", callback=_read_ids, metavar="ID,ID,…", help="The id of each channel. Default: 0,1,2…"
)
@click.option(
    "--ignore-background", is_flag=True, help="Leave out voxels labelled 0, as CREMI and SNEMI3D do between neurons."
)
@click.option("--json", "target", type=click.Path(path_type=Path), help="Also write the scores to this .json file.")
def evaluate_command(
    result: str,
    labels: str,
    mask: str | None,
    unlabelled: int | None,
    region: str,
    compare: Compare | Literal["auto"],
    threshold: float,
    channel: int | None,
    class_ids: tuple[int, ...],
    ignore_background: bool,
    target: Path | None,
) -> None:
    """Compare RESULT (a segmentation, class map or prediction) with the ground truth LABELS.

    Where both files say their voxel size and offset they are aligned by position, so that the prediction of a crop can
    be compared with labels of the whole. Memory does not depend on the size of the volumes.

    \b
    Examples:
      segkit evaluate segmentation.zarr labels.h5:stack --ignore-background
      segkit evaluate prediction.zarr labels.tif --channel 0 --json scores.json
    """
    from segkit.durable import replace_file
    from segkit.evaluation import evaluate

    if target is not None and target.suffix != ".json":
        # Anything else could be one of the volumes, given by mistake, and it would be replaced.
        raise UsageError(f"The option --json is {target}; the file must be called something.json.")
    if target is not None and not target.absolute().parent.is_dir():
        raise UsageError(f"The folder of --json {target} does not exist. Make it first, or choose another.")
    with progress_bar("Comparing") as progress:
        evaluation = evaluate(
            result,
            labels,
            compare=compare,
            mask=mask,
            unlabelled=unlabelled,
            threshold=threshold,
            channel=channel,
            class_ids=class_ids,
            ignore_background=ignore_background,
            region=region,
            progress=progress,
        )
    _show(evaluation)
    if target is not None:
        replace_file(target, (json.dumps(evaluation.as_dict(), indent=2, allow_nan=False) + "\n").encode())
        click.echo(f"written to {target}")


def _show(evaluation: Evaluation) -> None:
    """Print the scores, with what each of them says, and those of single classes in a table of their own."""
    from rich.console import Console
    from rich.table import Table

    from segkit.metrics import EXPLANATIONS, SCORES

    console = Console(highlight=False)
    console.print(f"compared as {evaluation.compare}: {evaluation.voxels} voxels of {evaluation.region}")
    table = Table(box=None, pad_edge=False)
    for header in ("score", "value", "better", "meaning"):
        table.add_column(header, justify="right" if header == "value" else "left", no_wrap=header != "meaning")
    overall = [*SCORES, "best_threshold", "best_jaccard"]  # the names of classes could make up any other
    for name in EXPLANATIONS if evaluation.compare == "objects" else overall:
        if name in evaluation.scores:
            explanation = EXPLANATIONS[name]
            count = name in ("segments", "objects")
            table.add_row(name, _number(evaluation.scores[name], count), explanation.better, explanation.meaning)
    console.print(table)
    parts = [name.removeprefix(f"{SCORES[0]}_") for name in evaluation.scores if name.startswith(f"{SCORES[0]}_")]
    if parts and evaluation.compare != "objects":
        each = Table(box=None, pad_edge=False)
        each.add_column("channel" if evaluation.compare == "foreground" else "class")
        for score in SCORES:
            each.add_column(score, justify="right", no_wrap=True)
        for part in parts:
            each.add_row(part, *(_number(evaluation.scores[f"{score}_{part}"]) for score in SCORES))
        console.print()
        console.print(each)


def _number(value: float, count: bool = False) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.0f}" if count else f"{value:.4f}"
