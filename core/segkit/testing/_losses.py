"""Checks of losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from segkit.registry import Component
from segkit.testing._conformance import ConformanceError, Subject, as_component, keeps_global_randomness, require

__all__ = ["check_loss"]

Case = tuple[Tensor, Tensor, int]  # logits of a perfect prediction, target, channels of the mask


def check_loss(loss: Subject, options: Mapping[str, Any] | None = None) -> None:
    """Check a loss: a finite scalar with a finite gradient, lower for a better prediction, blind where nothing is known.

    Floating targets of independent channels and integer targets of exclusive classes are tried, the former also with
    channels that are not known in the same places; a loss may refuse one of them with a `ValueError` that says so.

    Parameters
    ----------
    loss
        The component or its factory.
    options
        Values for its parameters; None for the defaults.

    Raises
    ------
    ConformanceError
        If one of these does not hold.
    """
    component, options = as_component("losses", loss, options)
    compute = component(**options)
    accepted = 0
    generator = torch.Generator().manual_seed(3)
    for logits, target, channels in _cases(generator):
        mask = (torch.rand(2, channels, *logits.shape[2:], generator=generator) > 0.3).float()
        try:
            compute(logits, target, mask)
        except ValueError as error:
            require(str(error), component, f"it refuses {_describe(target)} without saying why.")
            continue
        except Exception as error:
            raise ConformanceError(
                f"{component}: it fails with {type(error).__name__} for {_describe(target)}: {error}. Refuse what it does not "
                "take with a ValueError."
            ) from error
        accepted += 1
        with keeps_global_randomness(component, "computing it"):
            _check_case(component, compute, logits, target, mask)
    require(accepted, component, "it refuses floating and integer targets alike.")


def _cases(generator: torch.Generator) -> list[Case]:
    """Return perfect predictions and their targets: one and three independent channels, exclusive classes."""
    cases: list[Case] = []
    for channels, masks in ((1, 1), (3, 1), (3, 3)):
        target = (torch.rand(2, channels, 4, 6, 6, generator=generator) > 0.6).float()
        cases.append((8 * (2 * target - 1), target, masks))
    classes = torch.randint(0, 3, (2, 4, 6, 6), generator=generator)
    cases.append((16 * torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float() - 8, classes, 1))
    return cases


def _describe(target: Tensor) -> str:
    return f"a target of {target.dtype}, shape {tuple(target.shape)}"


def _check_case(
    component: Component,
    compute: Callable[[Tensor, Tensor, Tensor], Tensor],
    perfect: Tensor,
    target: Tensor,
    mask: Tensor,
) -> None:
    where = f"for {_describe(target)}"
    logits = (perfect + torch.linspace(-3, 3, perfect.numel()).reshape(perfect.shape)).requires_grad_()
    kept = [logits.detach().clone(), target.clone(), mask.clone()]
    value = compute(logits, target, mask)
    require(isinstance(value, Tensor) and value.ndim == 0, component, f"{where}, it is no scalar tensor.")
    require(torch.isfinite(value), component, f"{where}, it is {value.item()}.")
    value.backward()  # type: ignore[no-untyped-call]
    require(logits.grad is not None, component, f"{where}, it gives the logits no gradient.")
    gradient = logits.grad if logits.grad is not None else torch.zeros_like(logits)
    require(torch.isfinite(gradient).all(), component, f"{where}, its gradient is not finite.")
    require(gradient.abs().sum() > 0, component, f"{where}, its gradient is 0 although the prediction is wrong.")
    unknown = (mask == 0).expand_as(gradient)
    require((gradient[unknown] == 0).all(), component, f"{where}, voxels outside of the mask have a gradient.")
    for name, old, new in zip(("logits", "target", "mask"), kept, (logits.detach(), target, mask), strict=True):
        require(torch.equal(old, new), component, f"it changes the {name} in place.")

    with torch.no_grad():
        elsewhere = torch.where(unknown, -perfect, logits.detach())
        other_target = torch.where((mask == 0)[:, 0] if target.ndim == 4 else unknown, torch.zeros_like(target), target)
        same = compute(elsewhere, other_target, mask)
        require(
            torch.isclose(same, value.detach(), rtol=1e-4),
            component,
            f"{where}, what lies outside of the mask changes it.",
        )
        good, bad = compute(perfect, target, mask), compute(-perfect, target, mask)
        require(good < bad, component, f"{where}, a perfect prediction costs {good:.4g} and its opposite {bad:.4g}.")
        extreme = compute(perfect * 1000, target, mask), compute(perfect * -1000, target, mask)
        require(all(map(torch.isfinite, extreme)), component, f"{where}, it is not finite for logits of 8000.")

    nothing = logits.detach().clone().requires_grad_()
    empty = compute(nothing, target, torch.zeros_like(mask))
    require(
        torch.isfinite(empty), component, f"{where}, it is {empty.item()} where nothing is known. It should be finite."
    )
    if empty.requires_grad:
        empty.backward()  # type: ignore[no-untyped-call]
        require(
            nothing.grad is None or (nothing.grad == 0).all(),
            component,
            f"{where}, it has a gradient where nothing is known.",
        )
