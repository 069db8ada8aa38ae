"""Groups of runs that differ in nothing but their seed: finding them below folders, and naming them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from segkit.errors import DataError, SegkitError
from segkit.recipe import CHOICES, Recipe
from segkit.report._estimates import Estimate, estimate
from segkit.report._summary import RunSummary, summarize

__all__ = ["Group", "component_entry", "entries_of", "gather"]

# They change where and how fast a run is computed, not what.
_NO_DIFFERENCE = ("seed", "training.device", "training.checkpoint_minutes", "sampling.workers")
_DEEPEST = 4
_LONGEST = 64


@dataclass(frozen=True)
class Group:
    """Runs of one recipe on the same data, each with a seed of its own.

    Parameters
    ----------
    name
        What it is called in tables and pictures.
    runs
        The runs, in the order of their seeds; at least one.
    repeats
        Names of further runs with a seed that is among them already. They repeat one of them and say nothing new.
    """

    name: str
    runs: tuple[RunSummary, ...]
    repeats: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """What was asked; all but the seed is the same in all runs."""
        return self.runs[0].recipe

    @property
    def best(self) -> Estimate | None:
        """Best validation score; None where no run has one."""
        return estimate([run.best for run in self.runs if run.best is not None])

    @property
    def final(self) -> Estimate | None:
        """Last validation score; None where no run has one."""
        return estimate([run.final for run in self.runs if run.final is not None])

    @property
    def stability(self) -> float | None:
        """Mean over runs of the standard deviation of their last validation losses; None where none is known."""
        known = [run.stability for run in self.runs if run.stability is not None]
        return sum(known) / len(known) if known else None

    @property
    def seconds(self) -> float:
        """Mean time of a run, in seconds."""
        return sum(run.seconds for run in self.runs) / len(self.runs)


def gather(places: Sequence[str | Path | tuple[str, str | Path]]) -> tuple[Group, ...]:
    """Find runs below folders, and put those that differ only in their seed into one group.

    Parameters
    ----------
    places
        Run folders, and folders with several runs, such as one a seed, or a sweep, in the order in which they are shown;
        as a pair, with the name that a group is to have.

    Returns
    -------
    tuple of Group
        In the order of `places`, below one place in the order of the names of folders. Runs of the same recipe on other
        data are a group of their own.

    Raises
    ------
    DataError
        If there is no run in a place, or one cannot be read.
    """
    listed = [(str(p[0]), Path(p[1])) if isinstance(p, tuple) else ("", Path(p)) for p in places]
    found: dict[tuple[str, str], list[tuple[int, RunSummary]]] = {}
    seen: set[Path] = set()
    for number, (_, place) in enumerate(listed):
        for run in _runs_below(place):
            if run.folder.resolve() not in seen:
                seen.add(run.folder.resolve())
                found.setdefault((repr(entries_of(run.recipe)), run.data), []).append((number, run))
    groups = [list(members) for members in found.values()]
    # What has been in one place together is called after it; a place that holds several groups cannot name them.
    alone = {n for n in range(len(listed)) if sum(any(at == n for at, _ in group) for group in groups) == 1}
    names = []
    for group in groups:
        at = sorted({number for number, _ in group})
        given = [listed[n][0] or _name_of(listed[n][1]) for n in at if n in alone]
        label = _common(given) if len(given) == len(at) else _settings_label(group, groups)
        names.append(label or _path_label(group, listed) or _common([run.name for _, run in group]) or group[0][1].name)
    return tuple(
        _group(_distinct(name, names, index), [run for _, run in group])
        for index, (name, group) in enumerate(zip(names, groups, strict=True))
    )


def entries_of(recipe: Recipe) -> dict[str, Any]:
    """Return the entries of a recipe that change what it computes, but for the seed: ``optimizer.learning_rate`` and so on."""
    return {key: value for key, value in _flat(recipe.to_mapping(), "") if key not in _NO_DIFFERENCE}


def component_entry(key: str) -> str:
    """Return the entry that names the component an option belongs to, such as ``loss.0.name``; empty for a setting."""
    return f"{key.rpartition('.')[0]}.name" if key.partition(".")[0] in CHOICES else ""


def _flat(data: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, list) and data and isinstance(data[0], dict):
        data = {str(index): entry for index, entry in enumerate(data)}
    if not isinstance(data, dict):
        yield prefix, data
        return
    for key, value in data.items():
        yield from _flat(value, f"{prefix}.{key}" if prefix else key)


def _runs_below(place: Path) -> list[RunSummary]:
    folders = list(_run_folders(place, 0))
    if not folders:
        raise DataError(
            f"There is no run in {place}. Name a run folder (it holds run.json), or a folder with runs, such as a sweep."
        )
    summaries = []
    for folder in folders:
        try:
            summaries.append(summarize(folder))
        except SegkitError as error:
            raise DataError(f"The run {folder} cannot be compared: {error}") from error
    return summaries


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "run.json").is_file():
        yield folder
    elif depth < _DEEPEST and folder.is_dir():
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.name.startswith(".") and inner.suffix != ".zarr":
                yield from _run_folders(inner, depth + 1)


def _group(name: str, runs: list[RunSummary]) -> Group:
    first: dict[int, RunSummary] = {}
    repeats = []
    for run in runs:
        if first.setdefault(run.recipe.seed, run) is not run:
            repeats.append(str(run.folder))
    return Group(name, tuple(first[seed] for seed in sorted(first)), tuple(repeats))


def _settings_label(group: list[tuple[int, RunSummary]], groups: list[list[tuple[int, RunSummary]]]) -> str:
    """Return what sets a group off from those of the same place, such as ``learning_rate=0.001, width=16``."""
    places = {number for number, _ in group}
    beside = [entries_of(g[0][1].recipe) for g in groups if places & {number for number, _ in g}]
    mine = entries_of(group[0][1].recipe)

    def differs(key: str) -> bool:
        name = component_entry(key)
        # Another component has other options; its name says it all.
        alike = [other for other in beside if other.get(name) == mine.get(name)] if name and name != key else beside
        return any(other.get(key) != mine[key] for other in alike)

    keys = [key for key in mine if differs(key)]
    short = [key.rpartition(".")[2] for key in keys]
    label = ", ".join(
        _value(mine[key]) if key.endswith(".name") else f"{name}={_value(mine[key])}"
        for key, name in zip(keys, short, strict=True)
    )
    return label if len(label) <= _LONGEST else ""


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).rpartition(":")[2]


def _path_label(group: list[tuple[int, RunSummary]], listed: list[tuple[str, Path]]) -> str:
    """Return where the runs of a group are below their place, such as ``003`` of a sweep."""
    parts = [run.folder.relative_to(listed[number][1]).parts for number, run in group]
    shared = [same[0] for same in takewhile(lambda each: len(set(each)) == 1, zip(*parts, strict=False))]
    return "/".join(part for part in shared if part != "trials")


def _common(names: list[str]) -> str:
    """Return what names begin with, without a number or the word seed at its end."""
    if len(names) == 1:
        return names[0]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in alike)
    return shared.rstrip("0123456789-_. ").removesuffix("seed").rstrip("-_. ")


def _name_of(place: Path) -> str:
    return place.resolve().name


def _distinct(name: str, names: list[str], index: int) -> str:
    return name if names.count(name) == 1 else f"{name} ({names[:index].count(name) + 1})"
