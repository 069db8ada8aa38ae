"""Every registered component keeps the contract of its kind; installing a plugin is enough to have it tested here."""

from __future__ import annotations

import pytest

import segkit
from segkit.errors import PluginError
from segkit.registry import Component
from segkit.testing import check_component, components

# Networks small enough for a test; what they promise does not depend on their size.
SMALL = {"width": 8}


@pytest.mark.parametrize("component", components(), ids=str)
def test_contract(component: Component) -> None:
    options = {parameter.name: SMALL[parameter.name] for parameter in component.parameters if parameter.name in SMALL}
    try:
        check_component(component, options if component.kind.name == "architectures" else None)
    except PluginError as error:
        if isinstance(error.__cause__, ImportError):
            pytest.skip(f"an optional library is not installed: {error}")
        raise


def test_every_plugin_loads() -> None:
    broken = {info.name: info.error for info in segkit.plugins() if info.error}
    assert not broken
