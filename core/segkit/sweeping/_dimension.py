"""One setting that varies: the values it takes, or the range they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.parameters import Parameter, check, parse_text
from segkit.recipe import CHOICES
from segkit.registry import registries
from segkit.sweeping._entries import Tables, parameter_of

__all__ = ["Dimension", "dimensions_of", "short"]

_DECADE = 10.0
_POINTS = 4  # of a range, in a grid, where nobody said
_OPEN = 1e-3  # of a range that is kept from a bound that is itself excluded


@dataclass(frozen=True, slots=True)
class Dimension:
    """A setting that varies.

    Parameters
    ----------
    key
        Entry of the recipe, such as ``optimizer.learning_rate``.
    values
        The values it takes; empty for a range.
    low, high
        Ends of the range, both included.
    log
        Whether the range is even in its logarithm.
    whole
        Whether it holds whole numbers only.
    points
        Values of the range that a grid takes.
    """

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    points: int = _POINTS

    @property
    def grid(self) -> tuple[Any, ...]:
        """The values that a grid takes."""
        if self.values:
            return self.values
        if self.whole and self.high - self.low < self.points:
            return tuple(range(int(self.low), int(self.high) + 1))
        shares = [number / (self.points - 1) for number in range(self.points)]
        if self.log:
            spread = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            spread = [self.low + (self.high - self.low) * share for share in shares]
        spread = [self.low, *spread[1:-1], self.high]  # the ends exactly
        if self.whole:
            return tuple(sorted({round(value) for value in spread}))
        return tuple(float(f"{value:.6g}") for value in spread)

    @property
    def text(self) -> str:
        """What it takes, for people."""
        if self.values:
            return ", ".join(short(value) for value in self.values)
        return f"{short(self.low)} to {short(self.high)}{' (log)' if self.log else ''}"


def short(value: Any) -> str:
    """Return a value as people write it: a component without its plugin, a number without noise."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        return "x".join(short(entry) for entry in value)
    return "none" if value is None else str(value).rpartition(":")[2] or str(value)


def dimensions_of(tables: Tables, vary: Mapping[str, Any], folder: Path) -> tuple[Dimension, ...]:
    """Read what varies.

    Parameters
    ----------
    tables
        The recipe, complete.
    vary
        For each entry its values as a list, or text: ``"1e-4,1e-3"``, ``"1e-4..5e-3"``, ``"2..64:6"`` for six of that
        range in a grid, or nothing for all that its component allows.
    folder
        Where relative data locations start.

    Raises
    ------
    UsageError
        If an entry is unknown, a value does not fit, or there is nothing to choose from.
    """
    if not vary:
        raise UsageError("Nothing varies. Name a setting and its values, such as optimizer.learning_rate=1e-4,1e-3.")
    tables = deepcopy(tables)  # an optional table is made where one of its entries varies
    names: dict[str, tuple[Any, ...]] = {}
    found = {}
    for key in sorted(vary, key=lambda key: not key.endswith(".name")):
        record = parameter_of(tables, key, names)
        if key.endswith(".name") and key.partition(".")[0] in CHOICES:
            found[key] = Dimension(key, _components(key, vary[key]))
            names[key] = tuple(name for name in found[key].values if name is not None)
        else:
            found[key] = _read(record, key, vary[key], folder)
        if found[key].values and len(set(found[key].values)) < max(2, len(found[key].values)):
            raise UsageError(f"`{key}` varies over {found[key].text}; it takes two or more values, each once.")
    return tuple(found[key] for key in vary)


def _components(key: str, given: Any) -> tuple[Any, ...]:
    head = key.partition(".")[0]
    choice = CHOICES[head]
    wanted = [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else list(given)
    if not wanted:
        raise UsageError(
            f"Say which {choice.kind} `{key}` takes, such as {key}={','.join([*registries[choice.kind]][:2])}."
        )
    optional = choice.minimum == 0 and not choice.many
    return tuple(
        None if name == "none" and optional else registries[choice.kind][str(name)].qualified for name in wanted
    )


def _read(record: Parameter, key: str, given: Any, folder: Path) -> Dimension:
    if isinstance(given, str):
        given = given.strip()
        if not given:
            return _allowed(record, key)
        if ".." in given and record.type in (int, float) and not record.length:
            return _range(record, key, given)
        parts = [part.strip() for part in given.split(";" if record.length else ",") if part.strip()]
        given = [parse_text(record, part) for part in parts]
    elif not isinstance(given, list | tuple):
        raise UsageError(f"`{key}` varies over {given!r}; it takes a list of values, or text such as '1e-4..5e-3'.")
    values = tuple(check(record, value, key) for value in given)
    if record.location:
        values = tuple(v if "://" in v else str((folder / Path(v).expanduser()).resolve()) for v in values)
    return Dimension(key, values)


def _allowed(record: Parameter, key: str) -> Dimension:
    """Return everything that a parameter allows."""
    if record.length or (record.type not in (bool, int, float) and not record.choices):
        raise UsageError(f"`{key}` takes {record.type_text}, of which there is no end. Name its values: {key}=…")
    if record.choices or record.type is bool:
        return Dimension(key, ((None,) if record.optional else ()) + (record.choices or (False, True)))
    if record.minimum is None or record.maximum is None:
        raise UsageError(f"`{key}` takes {record.type_text}, which has no end. Name its range, such as {key}=1..8.")
    whole = record.type is int
    low, high = record.minimum, record.maximum
    margin = 1 if whole else _OPEN * (high - low)
    low, high = low + record.open_minimum * margin, high - record.open_maximum * margin
    return _spread(key, low, high, whole)


def _range(record: Parameter, key: str, text: str) -> Dimension:
    ends, colon, points = text.partition(":")
    low, high = (parse_text(record, end.strip()) for end in ends.split("..", 1))
    low, high = check(record, low, key), check(record, high, key)
    if not low < high:
        raise UsageError(f"`{key}` varies over {text!r}, which holds nothing. Write the smaller end first.")
    if colon and (not points.strip().isdecimal() or int(points) < 2):
        raise UsageError(
            f"`{key}` varies over {text!r}; behind the colon stands how many values a grid takes, at least 2."
        )
    return _spread(key, low, high, record.type is int, int(points) if colon else _POINTS)


def _spread(key: str, low: float, high: float, whole: bool, points: int = _POINTS) -> Dimension:
    log = low > 0 and math.isfinite(high) and high / low >= _DECADE
    return Dimension(key, (), low, high, log, whole, points)
