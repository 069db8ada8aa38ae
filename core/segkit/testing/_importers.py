"""Check of what turns trained weights of another program into models."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segkit.contracts import channels_for
from segkit.errors import SegkitError
from segkit.model import Model
from segkit.registry import Component
from segkit.testing._conformance import Subject, as_component, require
from segkit.testing._error import ConformanceError

__all__ = ["check_importer"]


def check_importer(
    importer: Subject, options: Mapping[str, Any] | None = None, source: str | Path | None = None
) -> None:
    """Check an importer: what it does with files that are none of its own, and the model it makes of one that is.

    Parameters
    ----------
    importer
        The component or its factory.
    options
        Values for its parameters; None for the defaults.
    source
        Trained weights of this kind; None checks only what it does with other things.

    Raises
    ------
    ConformanceError
        If it accepts nonsense, fails in another way than with a `segkit.errors.SegkitError`, or `source` does not become a
        model that computes finite numbers, and the same ones after it was saved and loaded.
    """
    component, options = as_component("importers", importer, options)
    handler = component(**options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        (folder / "zero").write_bytes(b"")
        (folder / "words.nonsense").write_text("These are no weights.\n" * 9)
        for nonsense in ("missing", "empty", "zero", "words.nonsense"):
            _check_refusal(component, handler, folder / nonsense)
        if source is not None:
            require(handler.accepts(Path(source)) is True, component, f"it does not accept {source}.")
            _check_model(component, handler.read(Path(source)), folder)


def _check_refusal(component: Component, handler: Any, path: Path) -> None:
    try:
        accepted = handler.accepts(path)
    except Exception as error:
        raise ConformanceError(
            f"{component}: 'accepts' fails on '{path.name}' with {type(error).__name__}: {error}."
        ) from error
    require(accepted is False, component, f"'accepts' returns {accepted!r} for '{path.name}', which holds no weights.")
    try:
        handler.read(path)
    except SegkitError as error:
        require(path.name in str(error), component, f"its message about '{path.name}' does not name it: {error}")
    except Exception as error:
        raise ConformanceError(
            f"{component}: 'read' fails on '{path.name}' with {type(error).__name__}: {error}. Raise a "
            "segkit.errors.DataError."
        ) from error
    else:
        raise ConformanceError(f"{component}: 'read' reads '{path.name}', which holds no weights.")


def _check_model(component: Component, model: Any, folder: Path) -> None:
    require(isinstance(model, Model), component, f"it reads {type(model).__name__}, not a segkit.Model.")
    model.save(folder / "model")
    again = Model.load(folder / "model", device="cpu")
    channels = channels_for(model.task, model.in_channels)
    tile = torch.randn(
        1, channels, *(min(n, 32) for n in model.patch_shape), generator=torch.Generator().manual_seed(0)
    )
    if getattr(model.network, "planar", False):
        tile = tile[:, :, 0]
    with torch.no_grad():
        first, second = model.network(tile), again.network(tile)
    require(torch.isfinite(first).all(), component, "its network computes numbers that are not finite.")
    require(torch.equal(first, second), component, "its model computes other numbers after it was saved and loaded.")
