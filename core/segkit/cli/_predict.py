"""``segkit predict``."""

from __future__ import annotations

from pathlib import Path

import click

from segkit.cli._options import progress_bar

__all__ = ["predict_command"]


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--region", default="", help="Part of the image, such as 'z0:100, x-512:'. Default: all of it.")
@click.option(
    "--block", type=(int, int, int), metavar="Z Y X", help="Voxels computed at once. Default: chosen by memory."
)
@click.option(
    "--halo",
    type=(int, int, int),
    metavar="Z Y X",
    help="Voxels of context around a block. Default: what the network needs.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--overwrite", is_flag=True, help="Replace a finished prediction of the same name.")
def predict_command(
    model: Path,
    source: str,
    target: Path,
    region: str,
    block: tuple[int, int, int] | None,
    halo: tuple[int, int, int] | None,
    device: str,
    overwrite: bool,
) -> None:
    """Predict SOURCE with MODEL (a run folder or model package), into TARGET (OME-Zarr).

    Blocks are written as they are computed; the same command goes on with a prediction that was interrupted, and
    computes no finished block again. Memory does not depend on the size of the image.

    \b
    Example:
      segkit predict runs/first brain.zarr prediction.zarr --region "z0:500"
    """
    from segkit.prediction import predict

    with progress_bar("Predicting") as progress:
        volume = predict(
            model,
            source,
            target,
            region=region,
            block_shape=block,
            halo=halo,
            device=device,
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(f"{target}: {' x '.join(map(str, volume.shape))} ({', '.join(volume.channel_names) or 'one channel'})")
