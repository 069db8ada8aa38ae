"""Sets of augmentations that go well together, by what people call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["AUGMENTATION_SETS"]

AUGMENTATION_SETS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "EM standard": (
        {"name": "augmentations:flips"},
        {"name": "augmentations:quarter_turns"},
        {"name": "augmentations:intensity"},
    ),
    "EM strong": (
        {"name": "augmentations:flips"},
        {"name": "augmentations:quarter_turns"},
        {"name": "augmentations:deform"},
        {"name": "augmentations:slices"},
        {"name": "augmentations:intensity"},
    ),
    "Light": ({"name": "augmentations:flips"}, {"name": "augmentations:quarter_turns"}),
    "No augmentation": (),
}
