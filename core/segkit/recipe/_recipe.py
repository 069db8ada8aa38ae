"""`Recipe`: the chosen components and settings, checked and complete."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from segkit.errors import UnknownNameError, UsageError, did_you_mean
from segkit.parameters import bind
from segkit.recipe._settings import SECTIONS, Optimizer, Sampling, Schedule, Split, Training
from segkit.registry import Component, registries

__all__ = ["CHOICES", "Recipe", "Selection", "component_of"]


class Choice(NamedTuple):
    """One table of a recipe that selects components: their kind, and how many there may be."""

    kind: str
    minimum: int
    many: bool


CHOICES: Mapping[str, Choice] = {
    "task": Choice("tasks", 1, False),
    "architecture": Choice("architectures", 1, False),
    "loss": Choice("losses", 1, True),
    "initializer": Choice("initializers", 0, False),
    "augmentation": Choice("augmentations", 0, True),
    "dataset": Choice("datasets", 1, False),
    "validation_dataset": Choice("datasets", 0, False),
}

# What may differ when a run is continued: none of it changes what has been computed already.
FREE_ON_RESUME = (
    "training.steps",
    "training.patience",
    "training.device",
    "training.checkpoint_minutes",
    "sampling.workers",
)


@dataclass(frozen=True)
class Selection:
    """A chosen component.

    Parameters
    ----------
    name
        ``plugin:name``.
    options
        A value for each of its parameters.
    weight
        Share of a loss in the sum of losses; 1 for anything else.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0

    def build(self, kind: str, *wiring: Any) -> Any:
        """Build the component with these options; see `segkit.registry.Component`."""
        return registries[kind][self.name](*wiring, **self.options)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training computes.

    Parameters
    ----------
    seed
        Where all randomness starts.
    task, architecture, initializer, dataset, validation_dataset
        The chosen components; None for an initializer means the one that PyTorch's layers have, and for a validation
        dataset that a part of the training data is held out.
    loss
        Losses, of which the weighted sum is minimised.
    augmentation
        Augmentations, applied in this order.
    split, sampling, optimizer, schedule, training
        Settings.
    """

    task: Selection
    architecture: Selection
    loss: tuple[Selection, ...]
    dataset: Selection
    seed: int = 0
    initializer: Selection | None = None
    augmentation: tuple[Selection, ...] = ()
    validation_dataset: Selection | None = None
    split: Split = field(default_factory=Split)
    sampling: Sampling = field(default_factory=Sampling)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    training: Training = field(default_factory=Training)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], folder: Path | None = None) -> Recipe:
        """Check a recipe given as nested tables, and fill in every default.

        Parameters
        ----------
        data
            The tables, as TOML or JSON gives them.
        folder
            Where relative data locations start; None for the current folder.

        Raises
        ------
        UsageError
            If a key or component is unknown, or a value is missing, of the wrong type or out of range.
        """
        known = ["seed", *CHOICES, *SECTIONS]
        for key in data:
            if key not in known:
                raise UnknownNameError(
                    f"A recipe has no entry `{key}`.{did_you_mean(key, known)} Entries: {', '.join(known)}."
                )
        seed = data.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UsageError(f"`seed` is {seed!r}; it takes a whole number from 0 up.")
        chosen: dict[str, Any] = {}
        for key, choice in CHOICES.items():
            tables = _tables(key, data.get(key), choice)
            selections = tuple(_selection(key, table, choice, folder or Path.cwd()) for table in tables)
            chosen[key] = selections if choice.many else (selections[0] if selections else None)
        sections = {
            key: section(**bind(section, _table(key, data.get(key, {})), key)) for key, section in SECTIONS.items()
        }
        return cls(seed=seed, **chosen, **sections)

    def to_mapping(self) -> dict[str, Any]:
        """Return the recipe as nested tables of plain values."""
        out: dict[str, Any] = {"seed": self.seed}
        for key, choice in CHOICES.items():
            selections = getattr(self, key) if choice.many else [s for s in [getattr(self, key)] if s is not None]
            tables = [
                {"name": s.name, **({"weight": s.weight} if key == "loss" else {}), **_plain(s.options)}
                for s in selections
            ]
            if tables:
                out[key] = tables if choice.many else tables[0]
        return out | {key: _plain(asdict(getattr(self, key))) for key in SECTIONS}

    def to_toml(self) -> str:
        """Return the recipe as the text of a TOML file."""
        import tomli_w

        return tomli_w.dumps(self.to_mapping())

    def differences(self, other: Recipe) -> list[str]:
        """Return the entries in which two recipes compute different things, as ``key: mine -> theirs``."""
        mine, theirs = _flat(self.to_mapping()), _flat(other.to_mapping())
        keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key) and key not in FREE_ON_RESUME]
        return [f"{key}: {mine.get(key)!r} -> {theirs.get(key)!r}" for key in keys]


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    # TOML has no word for None, which is not always the default: it is written, and read again, as "none".
    plain = {key: "none" if value is None else value for key, value in options.items()}
    return {k: list(v) if isinstance(v, tuple) else str(v) if isinstance(v, Path) else v for k, v in plain.items()}


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(data, list) and data and isinstance(data[0], dict):
        data = {str(index): entry for index, entry in enumerate(data)}
    if not isinstance(data, dict):
        return {prefix: data}
    return {k: v for key, value in data.items() for k, v in _flat(value, f"{prefix}.{key}" if prefix else key).items()}


def _table(key: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise UsageError(f"`{key}` is {table!r}; it is a table, written as [{key}] with one 'option = value' a line.")
    return dict(table)


def _tables(key: str, found: Any, choice: Choice) -> list[dict[str, Any]]:
    """Return the tables of one choice; a single one may be written for a list."""
    listed = [] if found is None else list(found) if isinstance(found, list) else [found]
    if len(listed) < choice.minimum:
        raise UsageError(
            f"The recipe has no [{key}]. Name one of the installed {choice.kind}: {', '.join(registries[choice.kind])}."
        )
    if len(listed) > 1 and not choice.many:
        raise UsageError(f"The recipe has {len(listed)} tables [{key}]; there can be one.")
    return [_table(key, table) for table in listed]


def component_of(key: str, table: Mapping[str, Any], choice: Choice) -> Component:
    name = table.get("name")
    if not isinstance(name, str):
        raise UsageError(
            f"`{key}.name` is {name!r}. Name one of the installed {choice.kind}: {', '.join(registries[choice.kind])}."
        )
    return registries[choice.kind][name]


def _selection(key: str, table: dict[str, Any], choice: Choice, folder: Path) -> Selection:
    component = component_of(key, table, choice)
    options = {name: value for name, value in table.items() if name != "name"}
    weight = options.pop("weight", 1.0) if key == "loss" else 1.0
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"`{key}.weight` of {component.name} is {weight!r}; it takes a number above 0.")
    bound = bind(component.factory, options, key)
    for parameter in component.parameters:
        value = bound[parameter.name]
        if parameter.location and value and "://" not in value:
            bound[parameter.name] = str((folder / Path(value).expanduser()).resolve())
    return Selection(component.qualified, bound, float(weight))
