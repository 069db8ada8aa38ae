"""``segkit mend``."""

from __future__ import annotations

from pathlib import Path

import click

from segkit.cli._options import cluster_options, progress_bar

__all__ = ["mend_command"]


@click.command("mend")
@click.argument("segmentation")
@click.argument("traces", type=click.Path(path_type=Path, file_okay=False))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--voxel-size", type=(float, float, float), metavar="Z Y X", help="In nm. Default: what the file says.")
@click.option("--overwrite", is_flag=True, help="Replace what is at TARGET, if segkit wrote it.")
@cluster_options
def mend_command(
    segmentation: str,
    traces: Path,
    target: Path,
    voxel_size: tuple[float, float, float] | None,
    overwrite: bool,
    cluster: str | None,
    workers: int | None,
) -> None:
    """Write SEGMENTATION to TARGET with the merges and splits that were made by hand in TRACES.

    TRACES is the folder of traces of SEGMENTATION, with edits.jsonl in it. Merged objects get one id, exactly. An object
    whose trace was cut is divided among the parts: a voxel goes to the part whose node is nearest.

    \b
    Example:
      segkit mend neurons.zarr traces mended.zarr
    """
    from segkit.opening import open_volume
    from segkit.tracing import EditLog, apply_edits

    volume = open_volume(segmentation, voxel_size=voxel_size)
    with progress_bar("Mending") as progress:
        apply_edits(volume, traces, target, overwrite=overwrite, cluster=cluster, workers=workers, progress=progress)
    edits = EditLog(traces).edits
    merges = sum(edit.kind == "merge" for edit in edits)
    click.echo(f"{target}: {merges} merges and {len(edits) - merges} splits applied")
