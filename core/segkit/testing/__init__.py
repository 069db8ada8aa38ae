"""Checks that a component keeps the contract of its kind; for the tests of segkit and of everybody's plugins.

The whole test of a plugin called ``attention``::

    import pytest
    from segkit.testing import check_component, components

    @pytest.mark.parametrize("component", components("attention"), ids=str)
    def test_contract(component):
        check_component(component)

Each kind has a check of its own (`check_architecture`, `check_loss`, …), which takes a registered component or a bare
factory, and the options to build it with. A broken promise is a `ConformanceError` that says what was promised, what
came instead and what to change.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from segkit.errors import PluginWarning
from segkit.registry import KINDS, Component, registries
from segkit.testing._conformance import ConformanceError
from segkit.testing._documentation import check_documentation
from segkit.testing._importers import check_importer
from segkit.testing._inputs import check_augmentation, check_dataset, check_format
from segkit.testing._losses import check_loss
from segkit.testing._networks import check_architecture, check_initializer
from segkit.testing._objects import check_segmenter, check_tracer
from segkit.testing._tasks import check_task

__all__ = [
    "ConformanceError",
    "check_architecture",
    "check_augmentation",
    "check_component",
    "check_dataset",
    "check_documentation",
    "check_format",
    "check_importer",
    "check_initializer",
    "check_loss",
    "check_segmenter",
    "check_task",
    "check_tracer",
    "components",
]


def components(plugin: str | None = None) -> list[Component]:
    """Return the installed components, sorted by kind and name.

    Parameters
    ----------
    plugin
        Name of the entry point whose components to return; None for those of every plugin.

    Raises
    ------
    ConformanceError
        If no healthy plugin of that name is installed, so that a test of it cannot pass by testing nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # somebody else's broken plugin is no failure of this test
        found = [component for kind in KINDS for component in registries[kind].values()]
    if plugin is None:
        return found
    chosen = [component for component in found if component.plugin.name == plugin]
    if not chosen:
        raise ConformanceError(
            f"The plugin '{plugin}' offers nothing: it is not installed, or failed to load. 'segkit plugins --verbose' "
            "tells which."
        )
    return chosen


def check_component(component: Component, options: Mapping[str, Any] | None = None) -> None:
    """Run the check of the component's kind, which includes that of its documentation.

    Parameters
    ----------
    component
        What to check, as `components` or a registry gives it.
    options
        Values for its parameters; None for the defaults.

    Raises
    ------
    ConformanceError
        If it breaks the contract.
    """
    globals()[f"check_{component.kind.singular}"](component, options)
