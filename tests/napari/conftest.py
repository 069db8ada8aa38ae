"""Warnings that napari's own plugin engine gives on import are not ours to fix."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# napari and its plugin engine define their models in pydantic's old ways; this package defines none.
NOT_OURS = ("ignore::pydantic.warnings.PydanticDeprecatedSince20",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            for line in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(line))
