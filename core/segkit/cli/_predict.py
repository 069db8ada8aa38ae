"""``segkit predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.cli._options import cluster_options, progress_bar

if TYPE_CHECKING:
    from segkit.volume import Volume

__all__ = ["predict_command"]

_TRIPLE: dict[str, Any] = {"type": (int, int, int), "metavar": "Z Y X"}


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--region", default="", help="Part of the image, such as 'z0:100, x-512:'. Default: all of it.")
@click.option(
    "--block", "block_shape", **_TRIPLE, help="Voxels computed at once. Default: the fewest voxels for the network."
)
@click.option("--halo", **_TRIPLE, help="Voxels of context around a block. Default: what the network needs.")
@click.option(
    "--blend",
    type=click.Choice(["none", "linear", "gaussian"]),
    default="none",
    show_default=True,
    help="How neighbouring tiles fade into each other.",
)
@click.option(
    "--augmentation",
    type=click.Choice(["none", "flips", "turns"]),
    default="none",
    show_default=True,
    help="Average over mirror images, or also over quarter turns in the plane.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Arithmetic of the network; auto measures the fastest. Default: as it was trained.",
)
@click.option(
    "--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True, help="What is written."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads for a block; last bits depend on it. Default: all cores, or those of a block on a cluster.",
)
@click.option("--overwrite", is_flag=True, help="Replace a finished prediction of the same name.")
@cluster_options
@click.option("--dry-run", is_flag=True, help="Only say how long it will take, and how much memory and disk.")
@click.option("--seams", is_flag=True, help="Only compare two tilings of a region, and write seams.json and seams.png.")
def predict_command(
    model: Path, source: str, target: Path, region: str, overwrite: bool, dry_run: bool, seams: bool, **options: Any
) -> None:
    """Predict SOURCE with MODEL (a run folder or model package), into TARGET (OME-Zarr).

    Blocks are written as they are computed; the same command goes on with a prediction that was interrupted, and
    computes no finished block again. Memory does not depend on the size of the image.

    With --seams, TARGET is a folder for the report.

    \b
    Examples:
      segkit predict runs/first brain.zarr prediction.zarr --region "z0:500"
      segkit predict runs/first brain.zarr prediction.zarr --cluster slurm:workers=8,cores=4,memory=16GB,queue=gpu
    """
    from segkit.model import Model, preflight
    from segkit.prediction import plan_prediction, predict

    chosen = {name: value for name, value in options.items() if name not in ("cluster", "workers")}
    if seams:
        _report_seams(plan_prediction(model, source, region=region, **chosen)[0], target, whole=bool(region))
        return
    if dry_run or not target.exists():
        loaded = Model.load(model, device=options["device"])
        lazy, _ = plan_prediction(loaded, source, region=region, **chosen)
        estimate = preflight(lazy, target)
        click.echo(str(estimate), err=not dry_run)
        estimate.check()
        if dry_run:
            return
    with progress_bar("Predicting") as progress:
        volume = predict(model, source, target, region=region, overwrite=overwrite, progress=progress, **options)
    click.echo(f"{target}: {' x '.join(map(str, volume.shape))} ({', '.join(volume.channel_names) or 'one channel'})")


def _report_seams(prediction: Volume, folder: Path, *, whole: bool) -> None:
    """Compare two tilings, print the numbers, and write them with a picture of the slice where they differ most."""
    import json

    import numpy as np

    from segkit.durable import make_dirs, replace_file
    from segkit.model import seam_report
    from segkit.report import draw_slices

    report = seam_report(prediction, prediction.box if whole else None)
    click.echo(str(report))
    most = report.difference.max(axis=(2, 3)).argmax()
    channel, z = np.unravel_index(most, report.difference.shape[:2])
    scale = max(float(report.difference[channel, z].max()), 1e-12)
    picture = draw_slices(
        [
            ("prediction", report.prediction[channel, z]),
            (f"difference, brightest {scale:.2g}", report.difference[channel, z] / scale),
        ],
        report.prediction[channel, z],
    )
    make_dirs(folder.absolute())
    replace_file(folder / "seams.json", json.dumps(report.as_dict(), indent=1).encode())
    replace_file(folder / "seams.png", picture)
    click.echo(f"{folder / 'seams.json'}, {folder / 'seams.png'}")
