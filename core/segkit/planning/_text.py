"""A plan as the text of a TOML file: tomli_w writes no comments, and the reasons are the point."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from segkit.parameters import parameters_of
from segkit.recipe import CHOICES, Selection
from segkit.registry import registries

if TYPE_CHECKING:
    from segkit.planning._choices import Choice
    from segkit.planning._plan import Plan

__all__ = ["as_toml"]

_WIDTH = 118
_LISTS = tuple(key for key, choice in CHOICES.items() if choice.many)
_ORDER = (*CHOICES, "split", "sampling", "optimizer", "schedule", "training")


def as_toml(plan: Plan) -> str:
    """Return the text; what it does not say is as it is by default, and it loads as the plan's recipe."""
    lines = ["# Planned from the data by 'segkit plan'. Above each entry is why it is so."]
    for note in plan.notes:
        lines += ["#", *_comment(note)]
    lines += ["", f"seed = {plan.recipe.seed}"]
    for section in _ORDER:
        found = [choice for choice in plan.choices if choice.key.partition(".")[0] == section]
        if section in ("dataset", "validation_dataset"):
            selection = getattr(plan.recipe, section)
            lines += ["", f"[{section}]", *_entries(_dataset(selection))] if selection is not None else []
        elif section in _LISTS:
            for choice in found:
                lines += ["", *_comment(choice.reason), f"[[{section}]]"]
                lines += _entries({"name": choice.key.partition(".")[2], **choice.value})
        else:
            entries = [line for choice in found for line in _entry(choice)]
            if section == "training" and plan.recipe.training.device != "auto":
                entries += _entries({"device": plan.recipe.training.device})
            if entries:
                lines += ["", f"[{section}]", *entries]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _entry(choice: Choice) -> list[str]:
    return [*_comment(choice.reason), *_entries({choice.key.partition(".")[2]: choice.value})]


def _entries(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in values.items()]


def _value(value: Any) -> str:
    import tomli_w

    if isinstance(value, list | tuple):  # tomli_w puts each element on a line of its own
        return f"[{', '.join(map(_value, value))}]"
    return tomli_w.dumps({"_": value}).removeprefix("_ = ").rstrip()


def _dataset(chosen: Selection) -> dict[str, Any]:
    """Return what is not the default of a dataset."""
    factory = registries["datasets"][chosen.name].factory
    defaults = {parameter.name: parameter.default for parameter in parameters_of(factory)}
    options = {key: value for key, value in chosen.options.items() if value != defaults[key]}
    return {"name": chosen.name, **{key: "none" if value is None else value for key, value in options.items()}}
