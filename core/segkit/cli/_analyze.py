"""``segkit analyze``."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.cli._dataset import NamedData, dataset_options
from segkit.cli._options import override_option, progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segkit.analysis import AxisCorrelation, Finding, Intensity, Leakage, Parts, Spread, Survey
    from segkit.contracts import Sample
    from segkit.recipe import Recipe, Split

__all__ = ["analyze_command"]

_MEMORY = 2**29  # bytes of decoded voxels that are kept between the passes


@click.command("analyze")
@dataset_options
@override_option(
    "Change an entry of the recipe; for images, split.by=random and the like, or an option of the dataset 'files'."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="What is read of large data.")
@click.option(
    "--to",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("analysis"),
    show_default=True,
    help="Folder for the page, the pictures and the numbers.",
)
@click.option("--overwrite", is_flag=True, help="Replace an analysis that is there.")
def analyze_command(
    data: NamedData,
    objects: bool | None,
    pairs: tuple[str, ...],
    seed: int,
    out: Path,
    overwrite: bool,
) -> int:
    """Say what DATA are like, what is wrong with them, and whether their split leaks.

    DATA are a recipe (its dataset and split) or images: a file, a folder of slices, a store, or a pattern such as
    'images/*.tif', with their --labels. Up to 2 GiB are read whole, of more a part; nothing is changed.

    \b
    Examples:
      segkit analyze mitochondria.toml --to analysis
      segkit analyze "images/*.tif" --labels "labels/*.tif" -o split.by=density
      segkit analyze "scenes/*.tif" --labels "classes/*.tif" --unlabelled 0 -o split.by=groups -o "split.groups=^(S2_[^_]+)"
    """
    from segkit.analysis import autocorrelation, draw_distributions, draw_samples, draw_split, find, survey
    from segkit.durable import make_dirs, replace_file
    from segkit.errors import OutputExistsError
    from segkit.sampling import keep_decoded

    if (out / "summary.json").exists() and not overwrite:
        raise OutputExistsError(
            f"There is an analysis in {out} already. Name another folder with --to, or add --overwrite."
        )
    splitting = tuple(pair for pair in pairs if pair.strip().startswith(("split.", "sampling.patch_shape")))
    recipe, dataset = data.dataset(pairs if data.is_recipe else tuple(pair for pair in pairs if pair not in splitting))
    samples, _ = keep_decoded(list(dataset.build("datasets")), _MEMORY)
    with progress_bar("Reading the data", "samples") as move:
        found = survey(samples, objects=objects, seed=seed, progress=move)
    findings = find(found)
    correlation = autocorrelation(samples, seed=seed)
    parts = _split(samples, recipe, splitting, found, correlation, seed)
    make_dirs(out)
    pictures = {
        "samples.png": draw_samples(found, findings),
        "distributions.png": draw_distributions(found),
        "split.png": draw_split(parts.compared, correlation),
    }
    for name, picture in pictures.items():
        if picture:
            replace_file(out / name, picture)
    replace_file(out / "samples.csv", _table(found).encode())
    summary = {
        "fingerprint": found.fingerprint.as_dict(),
        "findings": [asdict(finding) for finding in findings],
        "correlation": [asdict(axis) for axis in correlation],
        "split": parts.as_dict(),
    }
    replace_file(out / "summary.json", (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    lines = _lines(found, correlation)
    _write_page(out / "index.html", data.place, lines, findings, parts, pictures)
    _print(lines, findings, parts)
    click.echo(f"written: {out / 'index.html'}")
    return 0


class _Split:
    """The two parts, what leaks between them, and how they compare; or why there are none."""

    def __init__(self, by: str, leaks: Leakage | None, compared: Parts | None, why_not: str = "") -> None:
        self.by, self.leaks, self.compared, self.why_not = by, leaks, compared, why_not

    def as_dict(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "why_not": self.why_not,
            "leakage": None if self.leaks is None else self.leaks.as_dict(),
            "parts": None if self.compared is None else self.compared.as_dict(),
        }

    def sentences(self) -> list[str]:
        if self.leaks is None or self.compared is None:
            return [self.why_not]
        return [*self.leaks.sentences(), *self.compared.sentences()]


def _split(
    samples: Sequence[Sample],
    recipe: Recipe | None,
    pairs: tuple[str, ...],
    found: Survey,
    correlation: Sequence[AxisCorrelation],
    seed: int,
) -> _Split:
    from segkit.analysis import compare_parts, leakage
    from segkit.errors import DataError, UsageError
    from segkit.sampling import split_samples

    if recipe is not None:
        split, patch = recipe.split, recipe.sampling.patch_shape
    else:
        split, patch = _settings(pairs, samples)
    by = f"{split.by}, share {split.share:g}" + (f", gap {split.gap}" if split.gap else "")
    try:
        if recipe is not None and recipe.validation_dataset is not None:
            by = "a validation dataset of its own"
            train, held_out = list(samples), list(recipe.validation_dataset.build("datasets"))
        else:
            train, held_out = split_samples(samples, split, patch)
    except (UsageError, DataError) as error:
        return _Split(by, None, None, f"There is no split to look at: {error}")
    if not held_out or not train:
        return _Split(by, None, None, "There is no split to look at: nothing is held out.")
    kind = found.fingerprint.labels.kind
    with progress_bar("Comparing the parts", "samples") as move:
        leaks = leakage(train, held_out, known=found, correlation=correlation, seed=seed, progress=move)
    ids = kind == "objects" if kind in ("objects", "classes") else None
    return _Split(by, leaks, compare_parts(train, held_out, patch, objects=ids, known=found, seed=seed))


def _settings(pairs: tuple[str, ...], samples: Sequence[Sample]) -> tuple[Split, tuple[int, int, int]]:
    """Return the split that was asked for without a recipe, and a patch that fits the smallest sample."""
    from segkit.cli._options import parse_overrides
    from segkit.parameters import bind, parameters_of, parse_text
    from segkit.recipe import Sampling, Split

    chosen: dict[str, dict[str, Any]] = {"split": {}, "sampling": {}}
    for key, text in parse_overrides(pairs).items():
        section, _, name = key.partition(".")
        kind: type = Split if section == "split" else Sampling
        records = {parameter.name: parameter for parameter in parameters_of(kind)}
        chosen[section][name] = parse_text(records[name], text) if name in records else text
    split = Split(**bind(Split, chosen["split"], "split"))
    patch = Sampling(**bind(Sampling, chosen["sampling"], "sampling")).patch_shape
    smallest = [min(sample.raw.spatial_shape[axis] for sample in samples) for axis in range(3)]
    return split, (min(patch[0], smallest[0]), min(patch[1], smallest[1]), min(patch[2], smallest[2]))


def _table(found: Survey) -> str:
    text = io.StringIO()
    rows = [asdict(row) for row in found.fingerprint.rows]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        triples = {key: " ".join(map(str, row[key])) for key in ("start", "shape")}
        writer.writerow(row | triples)
    return text.getvalue()


def _lines(surveyed: Survey, correlation: Sequence[AxisCorrelation]) -> list[tuple[str, str]]:
    """Return the fingerprint as a short table."""
    from segkit.analysis import telling_channels

    found = surveyed.fingerprint
    labels = found.labels
    shapes = [" x ".join(map(str, shape)) for shape in found.shape]
    size = "not known" if found.voxel_size is None else _length(found.voxel_size)
    channels = [found.intensity[number] for number in telling_channels(surveyed)]
    out = [
        (
            "samples",
            f"{found.samples}, {found.voxels:,} voxels" + (f", {found.read:.2%} read" if found.read < 1 else ""),
        ),
        ("extent (z, y, x)", shapes[1] if shapes[0] == shapes[2] else f"{shapes[0]} to {shapes[2]}"),
        ("voxel", f"{size}; {found.channels} channel{'s' * (found.channels > 1)} of {found.dtype}"),
        *((f"values{f' of channel {c.name}' if len(channels) > 1 else ''}", _values(c)) for c in channels[:12]),
    ]
    if labels.kind != "none":
        out.append(
            (
                "labels",
                f"{labels.kind}; {labels.labelled:.2%} of the voxels labelled, {labels.positive:.2%} of these foreground",
            )
        )
    if labels.objects is not None:
        out.append(("objects a sample", _spread(labels.objects)))
    if labels.object_voxels is not None and labels.object_diameter is not None:
        out.append(("voxels of an object", _spread(labels.object_voxels)))
        out.append(("diameter of an object", f"{_spread(labels.object_diameter)} voxels"))
        out.append(("objects that touch", f"{labels.touching:.0%}" if labels.kind == "objects" else "not told apart"))
    if labels.classes:
        total = sum(count.voxels for count in labels.classes)
        out.append(("classes", ", ".join(f"{c.id}: {c.voxels / total:.2%} in {c.samples}" for c in labels.classes)))
    for axis in correlation:
        reach = f"below 0.5 at {axis.half or 'no distance'}, below 0.1 at {axis.tenth or 'no distance'}"
        out.append((f"correlation along {axis.axis}", f"{reach} (voxels; looked up to {axis.distances[-1]})"))
    return out


def _length(sizes: Sequence[float]) -> str:
    """Return lengths in the unit that suits them."""
    unit, nm = next(((u, n) for u, n in (("m", 1e9), ("mm", 1e6), ("um", 1e4)) if max(sizes) >= n), ("nm", 1.0))
    scale = 1e3 if unit == "um" else nm
    return " x ".join(f"{size / scale:g}" for size in sizes) + f" {unit}"


def _values(channel: Intensity) -> str:
    text = f"{channel.mean:.4g} +- {channel.sd:.4g}, 0.5 to 99.5 % {channel.p0_5:.4g} to {channel.p99_5:.4g}"
    return text + (f", {channel.not_finite:.2%} not finite" if channel.not_finite else "")


def _spread(spread: Spread) -> str:
    if spread.count == 1:
        return f"{spread.mean:.4g}"
    return f"{spread.mean:.4g} +- {spread.sd:.4g}, {spread.minimum:.4g} to {spread.maximum:.4g}, median {spread.median:.4g}"


def _write_page(
    path: Path,
    data: str,
    lines: Sequence[tuple[str, str]],
    findings: Sequence[Finding],
    parts: _Split,
    pictures: dict[str, bytes],
) -> None:
    from segkit.report import Section, write_page

    told: list[tuple[str, str]] = [(finding.level, finding.text) for finding in findings]
    sections = [
        Section("What to know", rows=told or [("note", "Nothing stands out.")]),
        Section("The data", rows=lines),
        Section("Samples", "Outlines are what is labelled.", pictures["samples.png"]),
        Section("How they are spread", "", pictures["distributions.png"]),
        Section(f"The split: {parts.by}", " ".join(parts.sentences()), pictures["split.png"]),
    ]
    if parts.leaks is not None and parts.leaks.twins:
        rows = [(t.held_out, t.train, t.correlation, t.turned) for t in parts.leaks.twins[:20]]
        sections.append(Section("Held-out samples and their twins in training", rows=rows))
    warnings = sum(finding.level == "warning" for finding in findings)
    verdict = f"; leakage between the parts of the split: {parts.leaks.verdict}" if parts.leaks is not None else ""
    summary = f"{Path(data).name or data}: {warnings} warning{'s' * (warnings != 1)}, {len(findings) - warnings} notes{verdict}."
    write_page(path, "Analysis of the data", summary, sections)


def _print(lines: Sequence[tuple[str, str]], findings: Sequence[Finding], parts: _Split) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, Text(value))
    console.print(table)
    for finding in findings:
        style = "yellow" if finding.level == "warning" else "dim"
        console.print(Text.assemble((f"{finding.level}: ", style), finding.text), soft_wrap=True)
    verdict = f", leakage {parts.leaks.verdict}" if parts.leaks is not None else ""
    console.print(Text.assemble(("split: ", "cyan"), f"{parts.by}{verdict}"), soft_wrap=True)
    for sentence in parts.sentences():
        console.print(Text(f"  {sentence}"), soft_wrap=True)
