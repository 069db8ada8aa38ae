"""Entries of a recipe by their dotted names: what may be chosen there, and the recipe with other choices."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from segkit.errors import UnknownNameError, UsageError, did_you_mean
from segkit.parameters import Parameter, parameters_of
from segkit.recipe import CHOICES, SECTIONS, Recipe
from segkit.recipe._changing import choose, table_of
from segkit.registry import registries

__all__ = ["changed", "parameter_of"]

Tables = dict[str, Any]

_WEIGHT = Parameter("weight", float, 1.0, float, minimum=0.0, open_minimum=True)


def parameter_of(tables: Tables, key: str, names: Mapping[str, tuple[Any, ...]]) -> Parameter:
    """Return the record of an entry, such as ``optimizer.learning_rate`` or ``loss.0.weight``.

    Parameters
    ----------
    tables
        A complete recipe.
    key
        The entry.
    names
        For each entry ``….name`` that varies, the components it takes: an option may be one of theirs.

    Raises
    ------
    UsageError
        If a recipe has no such entry, or seeds are meant.
    """
    head, *rest = key.split(".")
    if head == "seed" and not rest:
        raise UsageError(
            "`seed` is not a setting that is compared. Say how many seeds each configuration is trained with."
        )
    if head in SECTIONS and len(rest) == 1:
        return _named(parameters_of(SECTIONS[head]), rest[0], key)
    if head not in CHOICES or not rest:
        known = [*CHOICES, *SECTIONS]
        raise UnknownNameError(
            f"The setting `{key}` names nothing in a recipe.{did_you_mean(head, known)} It begins with one of: {', '.join(known)}."
        )
    option, table = rest[-1], table_of(tables, key)
    if option == "name":
        return Parameter(key, str, None, str, choices=(*registries[CHOICES[head].kind],))
    if option == "weight" and head == "loss":
        return _WEIGHT
    own = [table["name"]] if "name" in table else []
    components = [
        registries[CHOICES[head].kind][name] for name in (*own, *names.get(f"{key.rpartition('.')[0]}.name", ()))
    ]
    records = {record.name: record for component in reversed(components) for record in component.parameters}
    return _named(tuple(records.values()), option, key)


def _named(records: tuple[Parameter, ...], option: str, key: str) -> Parameter:
    for record in records:
        if record.name == option:
            return record
    known = [record.name for record in records]
    raise UnknownNameError(
        f"There is no setting `{key}`.{did_you_mean(option, known)} Settings there: {', '.join(known) or 'none'}."
    )


def changed(tables: Tables, values: Mapping[str, Any], seed: int) -> Recipe:
    """Return a recipe with other values at some entries.

    Where another component is chosen, everything else stays as equal as it can: options that both have keep values that
    both take, the others are the new component's defaults.

    Raises
    ------
    UsageError
        If the values do not go together.
    """
    tables = deepcopy(tables) | {"seed": seed}
    for key in sorted(values, key=lambda key: not key.endswith(".name")):  # a name decides which options exist
        head, _, option = key.rpartition(".")
        if option == "name" and head.partition(".")[0] in CHOICES:
            choose(tables, key, values[key])
        elif head in SECTIONS:
            tables[head][option] = _plain(values[key])
        else:
            table_of(tables, key)[option] = _plain(values[key])
    return Recipe.from_mapping(tables)


def _plain(value: Any) -> Any:
    return "none" if value is None else list(value) if isinstance(value, tuple) else value
