"""Turning trained weights of another program into models, through whichever importer plugin accepts them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from segkit.errors import DataError, PluginError, SegkitError, UnknownNameError
from segkit.model._model import Model
from segkit.registry import Component, registries

__all__ = ["Importer", "find_importer", "import_model"]


@runtime_checkable
class Importer(Protocol):
    """One kind of trained weights that another program wrote."""

    def accepts(self, path: Path) -> bool:
        """Return whether the file at `path` looks like such weights, from its name and a few bytes."""

    def read(self, path: Path) -> Model:
        """Build a model of them, on the CPU. Nothing in the file is executed.

        Raises
        ------
        DataError
            If the file is missing, truncated or otherwise broken, or holds another network.
        """


def find_importer(path: str | Path) -> Component | None:
    """Return the first installed importer, by name, that accepts a file; None if none does."""
    for component in registries["importers"].values():
        try:
            if component().accepts(Path(path)):
                return component
        except Exception as error:  # an importer of a plugin that breaks must not hide the others
            if isinstance(error, SegkitError) and not isinstance(error, PluginError):
                raise
    return None


def import_model(path: str | Path, *, importer: str | None = None, options: Mapping[str, Any] | None = None) -> Model:
    """Turn trained weights of another program into a model, which can then be saved and used like any other.

    Parameters
    ----------
    path
        The file that holds the weights.
    importer
        Name of the importer; None asks every installed importer, by name, which accepts the file.
    options
        Values for the importer's parameters; None for the defaults.

    Returns
    -------
    Model
        The model, on the CPU.

    Raises
    ------
    DataError
        If the file is missing or broken.
    UnknownNameError
        If no installed importer accepts it.
    """
    if not Path(path).exists():
        raise DataError(
            f"There is no file or folder {path}. Check the spelling (relative paths start from {Path.cwd()})."
        )
    chosen = registries["importers"][importer] if importer else find_importer(path)
    if chosen is None:
        raise UnknownNameError(
            f"No installed importer knows the weights in {path}. Installed: {', '.join(registries['importers']) or 'none'}. "
            "Install a plugin that reads them."
        )
    model: Model = chosen(**(options or {})).read(Path(path))
    return model
