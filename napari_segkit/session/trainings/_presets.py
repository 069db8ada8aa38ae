"""Three starting points for a training: one to look at quickly, one for most work, one for a long night.

A preset is what it changes of the defaults. What a component does not have is passed over, so that any network will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AUTOMATIC", "PRESETS", "Preset"]

AUTOMATIC = None


@dataclass(frozen=True)
class Preset:
    """One starting point.

    Parameters
    ----------
    name, tip
        What it is called, and what it is for.
    architecture
        Options of the network.
    sampling, optimizer, schedule, training
        Entries of these sections.
    patch
        Patch shape (z, y, x) for volumes; None for the largest that a step can be tried with.
    """

    name: str
    tip: str
    architecture: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    patch: tuple[int, int, int] | None = AUTOMATIC

    def options(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the options of a network that has these parameters."""
        known = set(names)
        return {name: value for name, value in self.architecture.items() if name in known}

    def section(self, key: str) -> Mapping[str, Any]:
        """Return the entries of a section; none of one that the preset leaves alone."""
        found: Mapping[str, Any] = getattr(self, key, {})
        return found


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "Quick look",
            "A small network and 200 steps: in a minute or so it is clear whether the data and the task fit together",
            architecture={"width": 12, "depth": 1},
            sampling={"batch_size": 4},
            optimizer={"learning_rate": 1e-2},
            schedule={"warmup": 10},
            training={"steps": 200, "validate_every": 50},
            patch=(16, 32, 32),
        ),
        Preset("Balanced", "The defaults, with the largest patch that fits: good for most data"),
        Preset(
            "Thorough",
            "A wide network, many steps and averaged weights: for a final result, over hours and best on a GPU",
            architecture={"width": 48},
            schedule={"warmup": 500},
            training={"steps": 30_000, "validate_every": 500, "ema": 0.999},
        ),
    )
}
