"""Reading recipe files, with changes from the command line."""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.errors import DataError, SegkitWarning, UnknownNameError, did_you_mean
from segkit.parameters import parameters_of, parse_text
from segkit.recipe._changing import choose, table_of
from segkit.recipe._recipe import CHOICES, Recipe, component_of
from segkit.recipe._settings import SECTIONS

__all__ = ["load_recipe"]


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, _ in pairs:
        if sum(key == other for other, _ in pairs) > 1:
            raise ValueError(f"the key {key!r} appears twice")
    return dict(pairs)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number that a recipe can hold")


def load_recipe(path: str | Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe file, TOML or JSON.

    Parameters
    ----------
    path
        The file. Relative data locations in it start from its folder.
    overrides
        Entries to change, as text: ``{"architecture.width": "48", "loss.dice.weight": "2", "seed": "1"}``. Another component,
        ``{"architecture.name": "ffn"}``, keeps the options that it takes as well; a `SegkitWarning` names the others.
        ``"none"`` leaves an optional component out.

    Raises
    ------
    DataError
        If the file is missing or is not TOML or JSON.
    UsageError
        If the recipe or an override does not fit.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        else:
            data = tomllib.loads(text)
    except FileNotFoundError as error:
        raise DataError(
            f"There is no recipe {path}. Check the spelling, or write one (see 'segkit train --help')."
        ) from error
    except (ValueError, OSError) as error:
        raise DataError(f"The recipe {path} cannot be read: {error}. Correct that place in the file.") from error
    if not isinstance(data, dict):
        raise DataError(f"The recipe {path} holds {type(data).__name__}, not tables such as [architecture].")
    for key in sorted(overrides or {}, key=lambda key: not key.endswith(".name")):  # a name decides which options exist
        _override(data, key, (overrides or {})[key])
    return Recipe.from_mapping(data, path.parent)


def _override(data: dict[str, Any], key: str, text: str) -> None:
    """Change one entry of a recipe's tables in place."""
    head, *rest = key.split(".")
    if head == "seed" and not rest:
        data["seed"] = int(text) if text.isdecimal() else text
    elif head in SECTIONS and len(rest) == 1:
        _set_option(data.setdefault(head, {}), SECTIONS[head], rest[0], text, head)
    elif head in CHOICES and rest and rest[-1] == "name":
        _choose(data, key, text)
    elif head in CHOICES and rest:
        table, option = table_of(data, key), rest[-1]
        if option == "weight" and head == "loss":
            try:
                table["weight"] = float(text)
            except ValueError:
                table["weight"] = text
        else:
            _set_option(table, component_of(head, table, CHOICES[head]).factory, option, text, head)
    else:
        known = ["seed", *(f"{name}.…" for name in (*CHOICES, *SECTIONS))]
        raise UnknownNameError(
            f"The option `{key}` names nothing in a recipe.{did_you_mean(head, [*CHOICES, *SECTIONS])} It begins with one of: "
            f"{', '.join(known)}."
        )


def _choose(data: dict[str, Any], key: str, text: str) -> None:
    choice = CHOICES[key.partition(".")[0]]
    leave_out = text.lower() == "none" and choice.minimum == 0 and not choice.many
    lost = choose(data, key, None if leave_out else text)
    if lost:
        options = ", ".join(f"{option} = {value!r}" for option, value in lost.items())
        warnings.warn(
            f"`{key}={text}` leaves out options that {text!r} does not take: {options}.",
            SegkitWarning,
            stacklevel=4,
        )


def _set_option(table: dict[str, Any], factory: Any, option: str, text: str, where: str) -> None:
    records = {parameter.name: parameter for parameter in parameters_of(factory)}
    if option not in records:
        raise UnknownNameError(
            f"There is no option `{where}.{option}`.{did_you_mean(option, records)} Options there: {', '.join(records) or 'none'}."
        )
    table[option] = parse_text(records[option], text)
