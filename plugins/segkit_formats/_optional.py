"""Libraries that only some formats need, imported when a file asks for them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from segkit.errors import PluginError

__all__ = ["optional_module"]


def optional_module(name: str, path: Path, package: str) -> ModuleType:
    """Return a module.

    Raises
    ------
    PluginError
        If it cannot be imported; says what to install.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise PluginError(
            f"Reading {path} takes {package}, which cannot be imported ({error}). Install it with: pip install {package}"
        ) from error
