"""What all checks use: the error, and building the component under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from segkit._plugins import PluginInfo
from segkit.registry import KINDS, Component
from segkit.testing._documentation import check_documentation
from segkit.testing._error import ConformanceError

__all__ = ["ConformanceError", "Subject", "as_component", "keeps_global_randomness", "require"]

Subject = Component | Callable[..., Any]


def require(condition: Any, component: Component, message: str) -> None:
    """Raise a `ConformanceError` about a component unless the condition holds."""
    if not condition:
        raise ConformanceError(f"{component}: {message}")


def as_component(kind: str, subject: Subject, options: Mapping[str, Any] | None) -> tuple[Component, dict[str, Any]]:
    """Return a component of a kind, with its documentation checked, and the options as a dictionary."""
    if isinstance(subject, Component):
        component = subject
        if component.kind.name != kind:
            raise ConformanceError(
                f"{component}: it is checked as one of the {kind}. Use check_{component.kind.singular}."
            )
    else:
        name = getattr(subject, "__name__", type(subject).__name__)
        component = Component(KINDS[kind], name, PluginInfo("unregistered"), subject)
    check_documentation(component)
    return component, dict(options or {})


@contextmanager
def keeps_global_randomness(component: Component, what: str) -> Iterator[None]:
    """Require that a block of code neither uses nor sets the global random states of Python, numpy and torch."""
    import random

    import numpy as np
    import torch

    def states() -> tuple[Any, ...]:
        numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
        return random.getstate(), repr(numpy_state), torch.get_rng_state().tolist()

    before = states()
    yield
    for library, old, new in zip(("random", "numpy.random", "torch"), before, states()):
        require(
            old == new, component, f"{what} touches the global state of {library}. Use only the generator it is given."
        )
