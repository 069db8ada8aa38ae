"""``segkit segment`` and ``segkit trace``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from segkit.cli._options import cluster_options, override_option, parse_options, progress_bar

__all__ = ["segment_command", "trace_command"]

_DRAWN = 10  # traces in the picture


@click.command("segment")
@click.argument("prediction")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--with", "segmenter", default="components", show_default=True, help="See 'segkit list segmenters'.")
@override_option("Option of the segmenter; may be repeated.")
@click.option("--min-size", type=click.IntRange(0), default=0, show_default=True, help="Drop objects of fewer voxels.")
@click.option("--block", type=(int, int, int), metavar="Z Y X", help="Voxels cut at once. Default: about 128 each.")
@click.option("--overwrite", is_flag=True, help="Replace another segmentation of the same name.")
@cluster_options
def segment_command(
    prediction: str,
    target: Path,
    segmenter: str,
    pairs: tuple[str, ...],
    min_size: int,
    block: tuple[int, int, int] | None,
    overwrite: bool,
    cluster: str | None,
    workers: int | None,
) -> None:
    """Cut PREDICTION into objects, into TARGET (OME-Zarr, ids from 1).

    Blocks are cut one by one and then stitched; the same command goes on with what was interrupted. Memory does not
    depend on the size of the volume.

    \b
    Examples:
      segkit segment prediction.zarr cells.zarr --min-size 100
      segkit segment prediction.zarr neurons.zarr --with watershed -o neck=0.8 -o halo=16,32,32
      segkit segment prediction.zarr cells.zarr --cluster slurm:workers=8,cores=2,memory=8GB
    """
    from segkit.segmentation import object_count, segment

    with progress_bar("Segmenting") as progress:
        volume = segment(
            prediction,
            segmenter,
            target,
            options=parse_options("segmenters", segmenter, pairs),
            block_shape=block,
            min_size=min_size,
            overwrite=overwrite,
            cluster=cluster,
            workers=workers,
            progress=progress,
        )
    extent = " x ".join(map(str, volume.spatial_shape))
    click.echo(f"{target}: {object_count(target)} objects in {extent} voxels (z, y, x)")


@click.command("trace")
@click.argument("segmentation")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--with", "tracer", default="skeleton", show_default=True, help="See 'segkit list tracers'.")
@override_option("Option of the tracer; may be repeated.")
@click.option("--min-size", type=click.IntRange(0), default=0, show_default=True, help="Skip objects of fewer voxels.")
@click.option(
    "--id", "ids", type=click.IntRange(1), multiple=True, help="Trace this object; can be repeated. Default: all."
)
@click.option("--voxel-size", type=(float, float, float), metavar="Z Y X", help="In nm. Default: what the file says.")
@click.option(
    "--soma",
    type=click.FloatRange(0, min_open=True),
    metavar="NM",
    help="Radius from which a ball is a soma. Default: no somata.",
)
@click.option(
    "--also",
    type=click.Choice(["precomputed", "meshes"]),
    multiple=True,
    help="Skeletons for neuroglancer in FOLDER/skeletons; surfaces in FOLDER/meshes (PLY). Can be repeated.",
)
@click.option("--overwrite", is_flag=True, help="Replace other traces in FOLDER.")
@cluster_options
def trace_command(
    segmentation: str,
    folder: Path,
    tracer: str,
    pairs: tuple[str, ...],
    min_size: int,
    ids: tuple[int, ...],
    voxel_size: tuple[float, float, float] | None,
    soma: float | None,
    also: tuple[Literal["precomputed", "meshes"], ...],
    overwrite: bool,
    cluster: str | None,
    workers: int | None,
) -> None:
    """Draw the skeletons of the objects of SEGMENTATION, into FOLDER: one SWC file an object, table.csv and traces.png.

    Objects are traced one by one, large ones block by block; the same command goes on with what was interrupted. Lengths in
    SWC files are in nm. The picture shows the ten longest traces.

    \b
    Examples:
      segkit trace neurons.zarr traces --min-size 10000
      segkit trace neurons.zarr traces --id 17 --with teasar -o constant=200
      segkit trace neurons.zarr traces --soma 2500 --also precomputed --also meshes
      segkit trace neurons.zarr traces --cluster local:8
    """
    from segkit.durable import replace_file
    from segkit.opening import open_volume
    from segkit.report import draw_traces
    from segkit.tracing import Traces, trace

    volume = open_volume(segmentation, voxel_size=voxel_size)
    with progress_bar("Tracing", "steps") as progress:
        traces = trace(
            volume,
            tracer,
            options=parse_options("tracers", tracer, pairs),
            out_dir=folder,
            min_size=min_size,
            ids=ids or None,
            soma=soma,
            also=also,
            overwrite=overwrite,
            cluster=cluster,
            workers=workers,
            progress=progress,
        )
    if isinstance(traces, Traces) and len(traces):
        longest = sorted(range(len(traces)), key=lambda place: -traces.lengths[place])[:_DRAWN]
        shown = [traces[place] for place in longest]
        replace_file(folder / "traces.png", draw_traces(shown, largest=_DRAWN, of=len(traces)))
    length = sum(traces.lengths) if isinstance(traces, Traces) else 0.0
    cable = f"{length / 1000:.6g} um" if volume.unit == "nm" else f"{length:.6g} voxels"
    click.echo(f"{folder}: {len(traces)} objects traced, {cable} of cable in all")
