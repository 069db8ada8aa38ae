"""Every registered component keeps the contract of its kind; installing a plugin is enough to have it tested here."""

from __future__ import annotations

import pytest

import segkit
from segkit.errors import PluginError
from segkit.registry import Component
from segkit.testing import check_component, components

# Small enough for a test; what they promise does not depend on their size.
SMALL = {
    "architecture": {"width": 8},
    "dataset datasets:synthetic_neurons": {"shape": (16, 48, 48), "count": 2},
    "task ffn:flood_filling": {"field_of_view": (9, 9, 9), "deltas": (2, 2, 2)},
}


# Large networks that one way of wrapping makes: one of them stands for all where time matters.
SLOW = [component for component in components() if component.plugin.name == "smp"][1:]


@pytest.mark.parametrize(
    "component",
    [pytest.param(c, marks=pytest.mark.slow) if c in SLOW else c for c in components()],
    ids=str,
)
def test_contract(component: Component) -> None:
    small = SMALL.get(str(component), SMALL.get(component.kind.singular, {}))
    options = {p.name: small[p.name] for p in component.parameters if p.name in small}
    try:
        check_component(component, options)
    except PluginError as error:
        if isinstance(error.__cause__, ImportError):
            pytest.skip(f"an optional library is not installed: {error}")
        raise


def test_every_plugin_loads() -> None:
    broken = {info.name: info.error for info in segkit.plugins() if info.error}
    assert not broken
