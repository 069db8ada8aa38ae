"""``segkit info`` and ``segkit convert``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.cli._options import cluster_options, override_option, parse_options, progress_bar
from segkit.cli._traces import convert_traces, describe_traces, holds_traces, rows_of_traces
from segkit.errors import DataError, OutputExistsError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from segkit.volume import Volume

__all__ = ["convert_command", "info_command"]


@click.command("info")
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def info_command(source: str, as_json: bool) -> None:
    """Show what SOURCE holds, without reading its voxels.

    SOURCE is an image or label volume in any format (a file, a folder of slices, a store, file.h5:dataset), a run
    folder or a trained model.

    \b
    Examples:
      segkit info brain.zarr
      segkit info "slices/*.png"
      segkit info runs/first
    """
    found = _describe(source)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _print_card(source, found["kind"], _rows(found))


@click.command("convert")
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--voxel-size", type=(float, float, float), metavar="Z Y X", help="In nm. Default: what SOURCE says.")
@click.option("--region", default="", help="Part of the image, such as 'z0:100, x-512:'. Default: all of it.")
@click.option("--block", type=(int, int, int), metavar="Z Y X", help="Voxels in one file. Default: chosen for SOURCE.")
@click.option(
    "--chunk", type=(int, int, int), metavar="Z Y X", help="Voxels compressed at once. Default: about 64 each."
)
@click.option("--levels", type=click.IntRange(1), help="Resolutions in all. Default: until 256 voxels are the longest.")
@click.option(
    "--labels/--image", default=None, help="Whether the voxels are ids. Default: 32- and 64-bit integers are."
)
@click.option(
    "--coarser", type=click.IntRange(1), help="How often to halve the voxels first, for a small copy to look at."
)
@click.option("--format", "format", metavar="NAME", help="Format of TARGET, if it is a file. Default: by its name.")
@click.option("--overwrite", is_flag=True, help="Replace what segkit wrote to TARGET before, or a file.")
@override_option("Option of the importer of a model.")
@cluster_options
def convert_command(
    source: str,
    target: Path,
    voxel_size: tuple[float, float, float] | None,
    region: str,
    block: tuple[int, int, int] | None,
    chunk: tuple[int, int, int] | None,
    levels: int | None,
    labels: bool | None,
    coarser: int | None,
    format: str | None,
    overwrite: bool,
    pairs: tuple[str, ...],
    cluster: str | None,
    workers: int | None,
) -> None:
    """Write SOURCE at TARGET: as OME-Zarr, or as a file such as a TIFF where TARGET is named like one.

    OME-Zarr is compressed and checksummed and has coarser levels for viewers; the same command goes on with a conversion
    that was interrupted. A file is written from its beginning, and appears when it is complete. Memory does not depend on
    the size of the image.

    Traces are converted too: SWC files (one, or a folder of them; --voxel-size says what a unit is) to precomputed skeletons
    for neuroglancer, and such skeletons to a folder of SWC files. Trained weights of another program become a model folder, if an importer knows them ('segkit list importers').

    \b
    Examples:
      segkit convert stack.tif stack.zarr --voxel-size 30 8 8
      segkit convert "slices/*.png" volume.zarr --region "z0:500"
      segkit convert brain.zarr overview.zarr --coarser 4
      segkit convert segmentation.zarr segmentation.tif
      segkit convert model.ckpt-27465036.index model
      segkit convert traces/ skeletons
    """
    from segkit.geometry import Box
    from segkit.opening import export_volume, open_volume
    from segkit.store import coarser as halved
    from segkit.writing import write_volume

    about_images = {"--voxel-size": voxel_size, "--region": region or None, "--format": format}
    stores_only: dict[str, object] = {"--block": block, "--chunk": chunk, "--levels": levels}
    stores_only |= {"--labels/--image": labels, "--coarser": coarser, "--cluster": cluster, "--workers": workers}
    if holds_traces(source):
        others = {**about_images, **stores_only, "--voxel-size": None, "-o": pairs or None}
        if given := [name for name, value in others.items() if value is not None]:
            raise UsageError(f"{', '.join(given)} are about images, but {source} holds traces. Leave them out.")
        convert_traces(source, target, voxel_size, overwrite=overwrite)
        return
    try:
        volume = open_volume(source, voxel_size=voxel_size)
    except UnknownNameError:
        given = [name for name, value in (about_images | stores_only).items() if value is not None]
        if not _convert_model(source, target, given, pairs, overwrite=overwrite):
            raise
        return
    if pairs:
        raise UsageError(f"-o is for importers of models, but {source} is an image. Leave it out.")
    volume = volume.crop(Box.parse(region, volume.box))
    if format is not None or (target.suffix not in ("", ".zarr") and not target.is_dir()):
        if given := [name for name, value in stores_only.items() if value is not None]:
            raise UsageError(f"{', '.join(given)} are about writing OME-Zarr, but {target} is a file. Leave them out.")
        with progress_bar("Converting") as progress:
            export_volume(volume, target, format=format, overwrite=overwrite, progress=progress)
        _print_card(str(target), "volume", _rows(_describe_volume(open_volume(target))))
        return
    plan = {"kind": "conversion", "region": region or str(volume.box), **_fingerprint(source)}
    if coarser is not None:
        ids = volume.dtype.kind == "b" or (volume.dtype.kind in "iu" and volume.dtype.itemsize >= 4)
        volume = halved(volume, coarser, labels=ids if labels is None else labels)
        plan |= {"coarser": coarser}
    with progress_bar("Converting") as progress:
        written = write_volume(
            volume,
            target,
            block_shape=block,
            chunk_shape=chunk,
            pyramid=levels,
            labels=labels,
            plan=plan,
            overwrite=overwrite,
            cluster=cluster,
            workers=workers,
            progress=progress,
        )
    _print_card(str(target), "volume", _rows(_describe_volume(written)))


def _convert_model(source: str, target: Path, given: list[str], pairs: tuple[str, ...], *, overwrite: bool) -> bool:
    """Write what an importer makes of trained weights; return whether there is one that accepts them."""
    from segkit.model import find_importer, import_model

    importer = find_importer(source)
    if importer is None:
        return False
    if given:
        raise UsageError(f"{', '.join(given)} are about images, but {source} holds trained weights. Leave them out.")
    options = parse_options("importers", importer.qualified, pairs)
    if target.exists() and not (overwrite and (target / "model.json").is_file()):
        raise OutputExistsError(
            f"There is something at {target} already. Choose another path, or overwrite a model folder (--overwrite)."
        )
    import_model(source, importer=importer.qualified, options=options).save(target)
    _print_card(str(target), "model", _rows(_describe_model(target)))
    return True


def _fingerprint(source: str) -> dict[str, Any]:
    """Say which state of a source is converted, from size and time of its file or folder."""
    if "://" in source:
        return {"source": source}
    path = Path(source)
    if not path.exists():
        path = Path(source.rpartition("#")[0] or source)
    if not path.exists():
        path = Path(str(path).rpartition(":")[0])
    stat = path.stat() if path.exists() and path.name else None
    return {"source": str(Path(source).absolute())} | (
        {"bytes": stat.st_size, "changed": stat.st_mtime} if stat else {}
    )


def _describe(source: str) -> dict[str, Any]:
    folder = Path(source)
    if (folder / "run.json").is_file():
        return _describe_run(folder)
    if (folder / "model.json").is_file():
        return _describe_model(folder)
    if holds_traces(source):
        return describe_traces(source)
    from segkit.opening import open_volume

    return _describe_volume(open_volume(source))


def _describe_volume(volume: Volume) -> dict[str, Any]:
    metadata = {}
    for key, value in volume.metadata.items():
        try:
            metadata[key] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            metadata[key] = str(value)
    return {
        "kind": "volume",
        "source": volume.source,
        "axes": volume.axes,
        "shape": list(volume.shape),
        "dtype": volume.dtype.name,
        "voxel_size": list(volume.voxel_size),
        "offset": list(volume.offset),
        "unit": volume.unit,
        "extent": [n * v for n, v in zip(volume.spatial_shape, volume.voxel_size, strict=True)],
        "chunks": None if volume.chunks is None else list(volume.chunks),
        "levels": [{"shape": list(v.shape), "voxel_size": list(v.voxel_size)} for v in volume.levels],
        "channel_names": list(volume.channel_names),
        "bytes": volume.nbytes,
        "metadata": metadata,
    }


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}). It is damaged; copy the folder again, whole.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no description. It is damaged; copy the folder again, whole.")
    return content


def _describe_run(folder: Path) -> dict[str, Any]:
    checkpoints = sorted(int(p.name) for p in folder.glob("checkpoints/*") if p.name.isdecimal())
    model = _describe_model(folder / "model") if (folder / "model" / "model.json").is_file() else None
    return {
        "kind": "run",
        "source": str(folder),
        **_load(folder / "run.json"),
        "checkpoints": checkpoints,
        "model": model,
    }


def _describe_model(folder: Path) -> dict[str, Any]:
    weights = folder / "weights.safetensors"
    size = weights.stat().st_size if weights.is_file() else None
    return {"kind": "model", "source": str(folder), **_load(folder / "model.json"), "weights_bytes": size}


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a card shows."""
    if found["kind"] == "volume":
        return _volume_rows(found)
    if found["kind"] == "model":
        return _model_rows(found)
    if found["kind"] == "traces":
        return rows_of_traces(found)
    steps = ", ".join(str(step) for step in found["checkpoints"])
    plugins = found.get("plugins")
    rows = [
        ("written by", f"segkit {found.get('segkit', '?')}"),
        ("checkpoints", f"steps {steps}" if steps else "none"),
    ]
    if isinstance(plugins, dict) and plugins:
        rows.append(("plugins", ", ".join(sorted(plugins))))
    return rows + (_model_rows(found["model"]) if found["model"] else [("model", "none yet")])


def _model_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key in ("task", "architecture"):
        choice = found.get(key)
        if isinstance(choice, dict):
            options = ", ".join(f"{name}={value}" for name, value in (choice.get("options") or {}).items())
            rows.append((key, f"{choice.get('name')}" + (f" ({options})" if options else "")))
    for key, title in (("in_channels", "channels"), ("patch_shape", "patch"), ("voxel_size", "voxel size")):
        value = found.get(key)
        if value is not None:
            rows.append((title, _times(value) if isinstance(value, list) else str(value)))
    details = found.get("details")
    if isinstance(details, dict):
        rows += [(key, str(details[key])) for key in ("source", "step", "licence") if key in details]
    size = found["weights_bytes"]
    return [*rows, ("weights", "missing" if size is None else _bytes(size))]


def _volume_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    count = len(found["levels"])
    known = found["unit"] == "nm"
    rows = [
        ("shape", f"{_times(found['shape'])}  ({', '.join(found['axes'])})"),
        ("voxels", f"{found['dtype']}, {_bytes(found['bytes'])} uncompressed"),
        ("voxel size", _lengths(found["voxel_size"]) if known else f"unknown ({_times(found['voxel_size'])})"),
    ]
    if known:
        unit, length = ("m", 1e9) if min(found["extent"]) > 1e9 else ("µm", 1e3)
        rows.append(("extent", f"{_times([round(e / length, 3) for e in found['extent']])} {unit}"))
        if any(found["offset"]):
            rows.append(("offset", f"{', '.join(f'{o:g}' for o in found['offset'])} nm"))
    place = found["metadata"].get("georeference")
    if isinstance(place, dict):
        _, _, named = str(place.get("crs", "")).partition('"')  # WKT begins with the kind and the name of the system
        rows.append(("map", named.partition('"')[0] or "no coordinate reference system"))
    if found["channel_names"]:
        rows.append(("channels", ", ".join(found["channel_names"])))
    rows.append(("chunks", _times(found["chunks"]) if found["chunks"] else "none: any part is read directly"))
    rows.append(("levels", f"{count + 1}" + "".join(f"; {_times(level['shape'])}" for level in found["levels"])))
    if "complete" in found["metadata"]:
        rows.append(
            ("complete", "yes" if found["metadata"]["complete"] else "no: run the command that writes it again")
        )
    others = [key for key in found["metadata"] if key not in ("complete", "georeference")]
    return rows + ([("metadata", ", ".join(others))] if others else [])


def _lengths(nanometres: list[float]) -> str:
    metres = min(nanometres) >= 1e9
    return f"{_times([n / 1e9 for n in nanometres])} m" if metres else f"{_times(nanometres)} nm"


def _times(numbers: list[float]) -> str:
    return " x ".join(str(n) if isinstance(n, int) else f"{n:g}" for n in numbers)


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 100 or unit == "bytes" else f"{count:.1f} {unit}"


def _print_card(source: str, kind: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    console.print(Text.assemble((source, "bold"), f"  {kind}"), soft_wrap=True)
    console.print(table)
