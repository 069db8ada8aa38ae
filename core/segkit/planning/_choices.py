"""`Choice`: an entry of a recipe with the reason for it; and the list that choices are gathered in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segkit.recipe import CHOICES

__all__ = ["Choice", "Draft"]

_LISTS = tuple(key for key, choice in CHOICES.items() if choice.many)


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a recipe, and why it is so.

    Parameters
    ----------
    key
        Which entry, such as ``sampling.batch_size``; for a loss or an augmentation its name, as in ``loss.dice``.
    value
        What was chosen; the options of a loss or an augmentation.
    reason
        Why, in a sentence or two.
    """

    key: str
    value: Any
    reason: str

    @property
    def text(self) -> str:
        """The value as people read it."""
        if isinstance(self.value, Mapping):
            return ", ".join(f"{key} {_short(value)}" for key, value in self.value.items()) or "yes"
        return _short(self.value)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        text = ", ".join(_short(part) for part in value[:8])
        return f"{text}, ... ({len(value)})" if len(value) > 8 else text
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass
class Draft:
    """Choices in the order in which they were made; a later one on the same entry replaces the earlier."""

    chosen: dict[str, Choice] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def choose(self, key: str, value: Any, reason: str) -> None:
        """Take a choice."""
        self.chosen[key] = Choice(key, value, reason)

    def note(self, text: str) -> None:
        """Keep something that whoever reads the plan should know."""
        self.notes.append(text)

    def __getitem__(self, key: str) -> Any:
        return self.chosen[key].value

    def get(self, key: str, default: Any) -> Any:
        """Return what was chosen for an entry, or something else where nothing was."""
        return self.chosen[key].value if key in self.chosen else default

    def tables(self) -> dict[str, Any]:
        """Return the choices as the nested tables of a recipe."""
        out: dict[str, Any] = {}
        for choice in self.chosen.values():
            section, _, option = choice.key.partition(".")
            if section in _LISTS:
                out.setdefault(section, []).append({"name": option, **choice.value})
            elif option:
                out.setdefault(section, {})[option] = choice.value
            else:
                out[section] = choice.value
        return out
