"""Checks of what makes and sets up networks."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segkit.contracts import call_network
from segkit.registry import Component
from segkit.testing._conformance import Subject, as_component, require

__all__ = ["check_architecture", "check_initializer"]


def check_architecture(
    architecture: Subject,
    options: Mapping[str, Any] | None = None,
    *,
    shape: tuple[int, int, int] = (8, 32, 32),
    channels: Sequence[tuple[int, int]] = ((1, 1), (3, 2)),
    unused: Sequence[str] = (),
) -> None:
    """Check an architecture: shapes, gradients, weights that can be stored, and randomness.

    Parameters
    ----------
    architecture
        The component or its factory.
    options
        Values for its parameters; None for the defaults.
    shape
        Extent (z, y, x) of the input to try, in voxels.
    channels
        Pairs of input and output channels to try.
    unused
        Patterns of names, such as ``"head.*"``, of weights that need not get a gradient.

    Raises
    ------
    ConformanceError
        If the output is not ``(N, K, Z, Y, X)`` and finite, a weight gets no gradient, stored weights do not give the
        same output, evaluation is not deterministic, or the factory sets a global random seed.
    """
    component, options = as_component("architectures", architecture, options)
    for inputs, outputs in channels:
        torch.manual_seed(0)
        network: nn.Module = component(inputs, outputs, **options)
        require(isinstance(network, nn.Module), component, f"it built {type(network).__name__}, not a torch.nn.Module.")
        raw = torch.randn(1, inputs, *shape)
        kept = raw.clone()
        logits = call_network(network, raw)
        expected = (1, outputs, *shape)
        require(
            tuple(logits.shape) == expected,
            component,
            f"it maps {tuple(raw.shape)} to {tuple(logits.shape)} where {outputs} channels were asked for; expected {expected}.",
        )
        require(torch.isfinite(logits).all(), component, f"its output for {tuple(raw.shape)} is not finite.")
        require(torch.equal(raw, kept), component, "it changes its input in place.")
        _check_gradients(component, network, logits, unused)
        _check_evaluation(component, network, component(inputs, outputs, **options), raw)
    _check_seeds(component, lambda: component(*channels[0], **options))


def _check_gradients(component: Component, network: nn.Module, logits: Tensor, unused: Sequence[str]) -> None:
    logits.square().mean().backward()  # type: ignore[no-untyped-call]
    weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
    require(weights, component, "it has no trainable weights.")
    for name, weight in weights.items():
        if any(fnmatch(name, pattern) for pattern in unused):
            continue
        require(weight.grad is not None, component, f"no gradient reaches its weight '{name}'. Use it, or remove it.")
        require(torch.isfinite(weight.grad).all(), component, f"the gradient of its weight '{name}' is not finite.")  # type: ignore[arg-type]


def _check_evaluation(component: Component, network: nn.Module, other: nn.Module, raw: Tensor) -> None:
    network.eval()
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    other.eval()
    with torch.no_grad():
        first, second, third = call_network(network, raw), call_network(network, raw), call_network(other, raw)
    require(torch.isfinite(first).all(), component, "its output in evaluation is not finite.")
    require(torch.equal(first, second), component, "its output in evaluation differs from call to call.")
    require(
        torch.equal(first, third),
        component,
        "a second network with the weights of the first gives another output: something it needs is not in its state_dict.",
    )


def _check_seeds(component: Component, build: Callable[[], nn.Module]) -> None:
    """Require that building draws from torch's global state, and does not set it or any other."""
    states, after = [], []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        states.append(build().state_dict())
        after.append((torch.rand(1).item(), np.random.random(), random.random()))  # noqa: NPY002
    for name, first in states[0].items():
        require(
            torch.equal(first, states[1][name]), component, f"its weight '{name}' differs under the same seed of torch."
        )
    for library, one, two in zip(("torch", "numpy.random", "random"), after[0], after[2], strict=True):
        require(one != two, component, f"building it sets the global seed of {library}, which is the recipe's to set.")


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual_branch = nn.Sequential(
            nn.Conv3d(width, width, 3, padding=1), nn.ReLU(), nn.Conv3d(width, width, 3, padding=1)
        )
        self.residual_gate = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """Add what the two convolutions make of it."""
        result: Tensor = features + self.residual_gate * self.residual_branch(features)
        return result


def check_initializer(
    initializer: Subject, options: Mapping[str, Any] | None = None, *, network: nn.Module | None = None
) -> None:
    """Check an initializer: it sets weights in place, finite ones, the same under the same seed.

    Parameters
    ----------
    initializer
        The component or its factory.
    options
        Values for its parameters; None for the defaults.
    network
        What to initialize, mapping ``(N, 2, Z, Y, X)``; None for a small one with convolutions in 3D, a residual block
        and normalization.

    Raises
    ------
    ConformanceError
        If no weight changes, one is not finite or changes its shape, or two runs under one seed differ.
    """
    component, options = as_component("initializers", initializer, options)
    if network is None:
        network = nn.Sequential(
            nn.Conv3d(2, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), _Residual(8), _Residual(8), nn.Conv3d(8, 2, 1)
        )
    before = {name: value.clone() for name, value in network.state_dict().items()}
    results = []
    for _ in range(2):
        fresh = copy.deepcopy(network)
        torch.manual_seed(7)
        component(**options)(fresh)
        results.append(fresh.state_dict())
    one, two = results
    for name, value in before.items():
        require(name in one, component, f"it removes the weight '{name}'. It sets weights in place.")
        require(one[name].shape == value.shape, component, f"it changes the shape of the weight '{name}'.")
        require(one[name].dtype == value.dtype, component, f"it changes the type of the weight '{name}'.")
    for name, value in one.items():
        require(torch.isfinite(value).all(), component, f"the weight '{name}' is not finite after it.")
        require(torch.equal(value, two[name]), component, f"the weight '{name}' differs under the same seed of torch.")
    require(
        any(not torch.equal(value, one[name]) for name, value in before.items()),
        component,
        "it changes no weight of a network of convolutions and residual blocks.",
    )
    with torch.no_grad():
        require(torch.isfinite(fresh(torch.randn(1, 2, 4, 8, 8))).all(), component, "a network set up by it overflows.")
