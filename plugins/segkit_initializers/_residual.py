"""Initializers that let residual networks begin as (nearly) the identity, however deep they are.

They find the residual parts of a network by two attributes of its modules: ``residual_branch``, the module whose output is
added to the input, and ``residual_gate``, the parameter that it is multiplied with first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from segkit.errors import UsageError
from segkit_initializers._schemes import Scaled, weighted

__all__ = ["Fixup", "ReZero"]


def _residual(module: nn.Module, asker: str) -> list[tuple[nn.Module, nn.Module]]:
    """Return the modules that add a branch to their input, and the branch of each."""
    named = ((part, getattr(part, "residual_branch", None)) for part in module.modules())
    found = [(part, branch) for part, branch in named if isinstance(branch, nn.Module) and weighted(branch)]
    if not found:
        raise UsageError(
            f"Initializer '{asker}' was given a {type(module).__name__} in which no module has a `residual_branch`, so there "
            "is nothing it could set. Choose a residual network, such as deep_fc, attention_resunet or ffn, or another "
            "initializer."
        )
    return found


@dataclass(frozen=True)
class Fixup:
    """See `segkit_initializers.fixup`."""

    others: Scaled

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> None:
        """Initialise in place."""
        self.others(module)
        blocks = _residual(module, "fixup")
        for block, branch in blocks:
            *inner, last = weighted(branch)
            for layer in inner:
                layer.weight.mul_(len(blocks) ** (-1 / (2 * len(inner))))
            last.weight.zero_()
            gate = getattr(block, "residual_gate", None)
            if gate is not None:
                gate.fill_(1)
        *_, head = weighted(module)
        head.weight.zero_()


@dataclass(frozen=True)
class ReZero:
    """See `segkit_initializers.rezero`."""

    others: Callable[[nn.Module], None]

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> None:
        """Initialise in place."""
        self.others(module)
        for block, _ in _residual(module, "rezero"):
            gate = getattr(block, "residual_gate", None)
            if gate is None:
                raise UsageError(
                    f"Initializer 'rezero' sets the factors of residual branches to 0, but {type(block).__name__} has no "
                    "`residual_gate`. Choose a network with gates, such as deep_fc, or 'fixup', which needs none."
                )
            gate.zero_()
