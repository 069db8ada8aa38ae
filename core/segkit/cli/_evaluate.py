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
    from collections.abc import Iterable, Mapping

    from segkit.evaluation import Compare, Evaluation
    from segkit.tracing import TraceEvaluation

__all__ = ["evaluate_command"]


_COUNTS = ("segments", "objects", "splits", "split_edges", "mergers", "merging_segments", "skeletons")
_REGRESSION = ("mse", "mae", "psnr", "correlation")
_ERRORS = _REGRESSION[:2]  # of any size, as the numbers are


def _read_ids(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"The option --class-ids {text!r} is not a list of whole numbers, such as '1,2,5'.") from None


@click.command("evaluate")
@click.argument("result")
@click.argument("labels", required=False)
@click.option("--skeletons", metavar="PATH", help="Skeletons of the truth: a folder of SWC files, or one such file.")
@click.option("--mask", help="Volume that is not 0 where the labels are known. Default: known everywhere.")
@click.option("--unlabelled", type=int, metavar="ID", help="The id in the labels that means 'not annotated'.")
@click.option("--region", default="", help="Part of the result, such as 'z0:100, x-512:'. Default: all both cover.")
@click.option(
    "--compare",
    type=click.Choice(["auto", "objects", "points", "classes", "foreground", "regression"]),
    default="auto",
    show_default=True,
    help="What the ids are. auto: foreground for a prediction, objects for whole numbers. points: where objects are. "
    "regression: numbers, such as an image without noise.",
)
@click.option(
    "--threshold", type=float, default=0.5, show_default=True, help="Value above which a prediction is foreground."
)
@click.option("--channel", type=int, help="Channel of the prediction that is compared, counted from 0.")
@click.option(
    "--class-ids", default="", callback=_read_ids, metavar="ID,ID,…", help="The id of each channel. Default: 0,1,2…"
)
@click.option(
    "--ignore-background", is_flag=True, help="Leave out voxels labelled 0, as CREMI and SNEMI3D do between neurons."
)
@click.option(
    "--radius",
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    help="With points: how far apart two centres may be and still match, in voxels of the finest axis.",
)
@click.option("--in-plane", "in_plane_only", is_flag=True, help="With points: only centres in the same z slice match.")
@click.option(
    "--data-range",
    type=click.FloatRange(0, min_open=True),
    metavar="SPAN",
    help="With regression: the peak of the signal-to-noise ratio. Default: largest minus smallest known label.",
)
@click.option(
    "--confusion",
    "matrix",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="With classes: also write which is taken for which.",
)
@click.option(
    "--merge-nodes",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Nodes of a skeleton that a segment must hold to be merged with it.",
)
@click.option(
    "--trim",
    type=click.FloatRange(0),
    default=0.0,
    metavar="NM",
    help="Cut ends of skeletons back to where their radius is this: drawn ones end at the surface. Two voxels do well.",
)
@click.option("--scale", type=float, default=1.0, help="One unit of SWC files, in nm, where they do not say it.")
@click.option(
    "--errors",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write errors.csv and errors.png here: where skeletons are split, merged or left out.",
)
@click.option("--json", "target", type=click.Path(path_type=Path), help="Also write the scores to this .json file.")
def evaluate_command(
    result: str,
    labels: str | None,
    skeletons: str | None,
    mask: str | None,
    unlabelled: int | None,
    region: str,
    compare: Compare | Literal["auto"],
    threshold: float,
    channel: int | None,
    class_ids: tuple[int, ...],
    ignore_background: bool,
    radius: float,
    in_plane_only: bool,
    data_range: float | None,
    matrix: Path | None,
    merge_nodes: int,
    trim: float,
    scale: float,
    errors: Path | None,
    target: Path | None,
) -> None:
    """Compare RESULT (a segmentation, class map or prediction) with the ground truth: LABELS, skeletons or both.

    Where both files say their voxel size and offset they are aligned by position, so that the prediction of a crop can
    be compared with labels of the whole. Memory does not depend on the size of the volumes.

    \b
    Examples:
      segkit evaluate segmentation.zarr labels.h5:stack --ignore-background
      segkit evaluate beads.zarr marks.tif --compare points --radius 3
      segkit evaluate prediction.zarr labels.tif --channel 0 --json scores.json
      segkit evaluate prediction.zarr classes.tif --compare classes --confusion confusion.csv
      segkit evaluate restored.zarr clean.tif --compare regression
      segkit evaluate segmentation.zarr --skeletons traces --trim 20 --errors errors
    """
    from segkit.durable import replace_file
    from segkit.evaluation import evaluate
    from segkit.tracing import evaluate_traces

    if labels is None and skeletons is None:
        raise UsageError("There is nothing to compare with. Name LABELS, or skeletons of the truth with --skeletons.")
    if errors is not None and skeletons is None:
        raise UsageError(f"The option --errors {errors} is for errors along skeletons. Name these with --skeletons.")
    if matrix is not None and (compare != "classes" or labels is None):
        raise UsageError(f"The option --confusion {matrix} is for classes. Name LABELS, and add --compare classes.")
    _check_target("--json", target, ".json")
    _check_target("--confusion", matrix, ".csv")
    found: dict[str, object] = {}
    if labels is not None:
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
                radius=radius,
                in_plane_only=in_plane_only,
                data_range=data_range,
                region=region,
                progress=progress,
            )
        _show(evaluation)
        found.update(evaluation.as_dict())
        if matrix is not None and evaluation.confusion is not None:
            replace_file(matrix, evaluation.confusion.as_csv().encode())
            click.echo(f"written to {matrix}")
    if skeletons is not None:
        with progress_bar("Comparing with skeletons") as progress:
            along = evaluate_traces(
                result,
                skeletons,
                merge_nodes=merge_nodes,
                trim=trim,
                scale=scale,
                region=region,
                progress=progress,
            )
        _show_traces(along)
        found["traces"] = along.as_dict()
        if errors is not None:
            _write_errors(along, errors)
    if target is not None:
        replace_file(target, (json.dumps(found, indent=2, allow_nan=False) + "\n").encode())
        click.echo(f"written to {target}")


def _check_target(option: str, target: Path | None, suffix: str) -> None:
    if target is not None and target.suffix != suffix:
        # Anything else could be one of the volumes, given by mistake, and it would be replaced.
        raise UsageError(f"The option {option} is {target}; the file must be called something{suffix}.")
    if target is not None and not target.absolute().parent.is_dir():
        raise UsageError(f"The folder of {option} {target} does not exist. Make it first, or choose another.")


def _show(evaluation: Evaluation) -> None:
    """Print the scores, with what each of them says, and those of single classes in a table of their own."""
    from rich.console import Console
    from rich.table import Table

    from segkit.metrics import EXPLANATIONS, SCORES

    console = Console(highlight=False)
    console.print(f"compared as {evaluation.compare}: {evaluation.voxels} voxels of {evaluation.region}")
    scores = _REGRESSION if evaluation.compare == "regression" else SCORES
    overall = [*scores, "best_threshold", "best_jaccard"]  # the names of classes could make up any other
    _print_scores(evaluation.scores, EXPLANATIONS if evaluation.compare in ("objects", "points") else overall)
    parts = [name.removeprefix(f"{scores[0]}_") for name in evaluation.scores if name.startswith(f"{scores[0]}_")]
    if parts and evaluation.compare != "objects":
        each = Table(box=None, pad_edge=False)
        each.add_column("class" if evaluation.compare == "classes" else "channel")
        for score in scores:
            each.add_column(score, justify="right", no_wrap=True)
        for part in parts:
            each.add_row(part, *(_number(evaluation.scores[f"{score}_{part}"], score) for score in scores))
        console.print()
        console.print(each)


def _show_traces(evaluation: TraceEvaluation) -> None:
    """Print the scores along skeletons, and the errors that cost the most."""
    from rich.console import Console
    from rich.table import Table

    console, unit = Console(highlight=False), evaluation.unit
    outside = f"; {evaluation.outside} more are outside" if evaluation.outside else ""
    console.print(f"compared along skeletons: {evaluation.nodes} nodes{outside}; lengths in {unit}")
    _print_scores(evaluation.scores, evaluation.scores)
    if evaluation.errors:
        worst = Table(box=None, pad_edge=False)
        for header in ("error", f"z, y, x ({unit})", "erl lost", "skeletons", "segments"):
            worst.add_column(header, justify="right" if header == "erl lost" else "left")
        for error in evaluation.errors[:10]:
            place = ", ".join(f"{value:.0f}" for value in error.position)
            ids = (" ".join(map(str, ids)) for ids in (error.skeletons, error.segments))
            worst.add_row(error.kind, place, f"{error.lost:.4g}", *ids)
        console.print()
        console.print(worst)


def _write_errors(evaluation: TraceEvaluation, folder: Path) -> None:
    from segkit.durable import make_dirs, replace_file
    from segkit.report import draw_errors

    make_dirs(folder)
    evaluation.write_errors(folder / "errors.csv")
    replace_file(folder / "errors.png", draw_errors(evaluation))
    click.echo(
        f"{len(evaluation.errors)} errors written to {folder / 'errors.csv'}, and drawn in {folder / 'errors.png'}"
    )


def _print_scores(scores: Mapping[str, float], names: Iterable[str]) -> None:
    """Print those scores that there are, with what each says."""
    from rich.console import Console
    from rich.table import Table

    from segkit.metrics import EXPLANATIONS

    table = Table(box=None, pad_edge=False)
    for header in ("score", "value", "better", "meaning"):
        table.add_column(header, justify="right" if header == "value" else "left", no_wrap=header != "meaning")
    for name in names:
        if name in scores:
            explanation = EXPLANATIONS[name]
            table.add_row(name, _number(scores[name], name), explanation.better, explanation.meaning)
    Console(highlight=False).print(table)


def _number(value: float, score: str) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.0f}" if score in _COUNTS else f"{value:.5g}" if score in _ERRORS else f"{value:.4f}"
