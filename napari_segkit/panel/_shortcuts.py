"""The keys of the dock: only letters that napari leaves free, given back when it closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["SHORTCUTS", "Shortcut", "bind", "release"]


@dataclass(frozen=True)
class Shortcut:
    """One key.

    Parameters
    ----------
    key
        The letter.
    page
        Title of the page whose method is called; empty for the dock itself.
    method
        Its name.
    text
        What it does, for people.
    """

    key: str
    page: str
    method: str
    text: str


SHORTCUTS = (
    Shortcut("H", "", "show_help", "Show this list"),
    Shortcut("G", "Predict", "toggle_overlay", "Show or hide the prediction"),
    Shortcut("U", "Traces", "focus", "Focus the selected neuron"),
    Shortcut("W", "Traces", "cycle_shown", "Show all neurons, the neighbours, or only the selected ones"),
    Shortcut("J", "Traces", "previous_branch", "Go to the previous branch point"),
    Shortcut("K", "Traces", "next_branch", "Go to the next branch point"),
    Shortcut("N", "Traces", "next_tip", "Go to the next tip"),
    Shortcut("Q", "Traces", "toggle_plane", "Show or hide the image plane in 3D"),
)


def bind(viewer: Any, act: Callable[[Shortcut], None]) -> None:
    """Bind all keys that nobody has taken before."""
    taken = {str(key) for key in viewer.keymap}
    for shortcut in SHORTCUTS:
        if shortcut.key not in taken:

            def pressed(_: Any, shortcut: Shortcut = shortcut) -> None:
                act(shortcut)

            pressed.__doc__ = shortcut.text
            viewer.bind_key(shortcut.key, pressed)


def release(viewer: Any) -> None:
    """Give the keys back, but for those that somebody else has bound."""
    ours = {str(key) for key, bound in viewer.keymap.items() if getattr(bound, "__module__", "") == __name__}
    for shortcut in SHORTCUTS:
        if shortcut.key in ours:
            viewer.bind_key(shortcut.key, None)
