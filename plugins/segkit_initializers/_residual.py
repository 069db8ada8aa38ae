"""Initializers that let residual networks begin as (nearly) the identity, however deep they are.

They find the residual parts of a network by two attributes of its modules: ``residual_branch``, the module whose output is
added to the input, and ``residual_gate``, the parameter that it is multiplied with first. Where there is no gate, the factors
of a normalisation that ends the branch are one for each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from segkit.errors import UsageError
from segkit_initializers._schemes import Norm, Scaled, weighted

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


def _final_norm(branch: nn.Module) -> nn.Module | None:
    """Return the normalisation that ends a branch, if one does whose factors are learnt."""
    leaves = [part for part in branch.modules() if not any(part.children())]
    *_, last = (part for part in leaves if not isinstance(part, nn.Identity | _DropoutNd))
    return last if isinstance(last, Norm) and last.weight is not None else None


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
            # A normalisation behind the last layer makes any weights as large as any others, but for its own.
            (_final_norm(branch) or last).weight.zero_()  # type: ignore[operator]
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
        for block, branch in _residual(module, "rezero"):
            factor = getattr(block, "residual_gate", None)
            if factor is None:
                factor = getattr(_final_norm(branch), "weight", None)
            if factor is None:
                raise UsageError(
                    f"Initializer 'rezero' sets the factors of residual branches to 0, but {type(block).__name__} has no "
                    "`residual_gate`, and no normalisation ends its branch. Choose a network with either, such as deep_fc or "
                    "attention_resunet with normalization = 'instance', or 'fixup', which needs none."
                )
            factor.zero_()
