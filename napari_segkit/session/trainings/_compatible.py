"""Which components go together, as far as that can be said without building them.

Only what is known not to fit is refused; a component of a plugin that is not named here is always offered.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LOSS_OF_TASK", "NETWORK_OF_TASK", "SECOND_LOSS_OF_TASK", "misfit"]

_NUMBERS = ("losses:l1", "losses:mse")
_PROBABILITIES = tuple(f"losses:{name}" for name in ("bce", "cross_entropy", "dice", "focal", "jaccard", "tversky"))
_LEARN_PROBABILITIES = ("tasks:affinities", "tasks:boundaries", "tasks:semantic", "ffn:flood_filling")
_POINTS = ("mlp:simple_fc", "mlp:deep_fc")

NETWORK_OF_TASK: Mapping[str, str] = {"ffn:flood_filling": "ffn:ffn"}
"""The network to choose with a task that nearly always has this one."""

LOSS_OF_TASK: Mapping[str, str] = {"tasks:regression": "losses:l1", "tasks:distances": "losses:mse"}
"""Likewise the loss."""

SECOND_LOSS_OF_TASK: Mapping[str, str] = dict.fromkeys(
    ("tasks:affinities", "tasks:boundaries", "tasks:semantic"), "losses:dice"
)
"""A loss to add: thin boundaries are few voxels, which an overlap weighs as much as all others."""


def misfit(kind: str, name: str, task: str) -> str:
    """Return why a component does not go together with a task, in a sentence; empty where it may.

    Parameters
    ----------
    kind
        ``architectures`` or ``losses``.
    name, task
        Qualified names, such as ``"unet:unet"``.
    """
    if kind == "losses" and task == "tasks:regression" and name in _PROBABILITIES:
        return "It compares probabilities, and this task predicts numbers. Take l1 or mse."
    if kind == "losses" and task in _LEARN_PROBABILITIES and name in _NUMBERS:
        return "It compares numbers as they are, and this task predicts probabilities. Take bce or dice."
    if kind == "architectures" and name in _POINTS:
        return "It learns from vectors such as points, not from images."
    if kind == "architectures" and name == "ffn:ffn" and task != "ffn:flood_filling":
        return "This network follows one object at a time. Choose the task flood filling for it."
    return ""
