"""Entries of a recipe's tables by their dotted names, and the choice of another component there."""

from __future__ import annotations

from typing import Any

from segkit.errors import UsageError
from segkit.parameters import check
from segkit.recipe._recipe import CHOICES
from segkit.registry import Component, registries

__all__ = ["choose", "table_of"]

Tables = dict[str, Any]


def table_of(tables: Tables, key: str) -> Tables:
    """Return the table of a chosen component that an entry is in; one that is not there yet is made.

    Parameters
    ----------
    tables
        A recipe.
    key
        The entry, such as ``architecture.width``, ``loss.0.weight`` or ``loss.dice.weight``.

    Raises
    ------
    UsageError
        If there are several and the entry does not say which, or no such one, or something else than tables.
    """
    head, *rest = key.split(".")
    found = tables.setdefault(head, [] if CHOICES[head].many else {})
    if found == [] and rest[-1] == "name":
        found.append({})
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(table, dict) for table in listed):
        raise UsageError(f"`{head}` is {found!r}; it is a table, written as [{head}] with one 'option = value' a line.")
    wanted = rest[0] if len(rest) > 1 else ""
    matches: list[Tables] = [
        table
        for index, table in enumerate(listed)
        if not wanted or wanted in (str(index), table.get("name"), str(table.get("name")).rpartition(":")[2])
    ]
    if len(matches) != 1:
        names = ", ".join(str(table.get("name")) for table in listed) or "none"
        raise UsageError(
            f"The entry `{key}` must say which {head} it means, such as `{head}.0.{rest[-1]}` or `{head}.NAME.{rest[-1]}`; "
            f"the recipe has: {names}."
        )
    return matches[0]


def choose(tables: Tables, key: str, name: str | None) -> Tables:
    """Choose a component at an entry ``….name``, and keep everything else as equal as it can be.

    Options that the new component has as well, and whose values it takes, stay; others become its defaults. The weight of
    a loss stays. None leaves an optional component out.

    Returns
    -------
    dict
        The options that did not stay; empty where the same component is chosen again, or none.

    Raises
    ------
    UsageError
        If there is no such component or no such table.
    """
    head = key.partition(".")[0]
    if name is None:
        tables.pop(head, None)
        return {}
    table = table_of(tables, key)
    component = registries[CHOICES[head].kind][name]
    if table.get("name") in (component.name, component.qualified):
        return {}
    old = {option: value for option, value in table.items() if option != "name"}
    kept = {
        option: value
        for option, value in old.items()
        if (option == "weight" and head == "loss") or _takes(component, option, value)
    }
    table.clear()
    table.update(kept, name=component.qualified)
    return {option: value for option, value in old.items() if option not in kept}


def _takes(component: Component, option: str, value: Any) -> bool:
    for record in component.parameters:
        if record.name == option:
            try:
                check(record, value, option)
            except UsageError:
                return False
            return True
    return False
