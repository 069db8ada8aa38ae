"""Components for the forms: their factories are never called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

import segkit
from segkit import Advanced, Location, Unit


def net(
    in_channels: int,
    out_channels: int,
    *,
    rate: Annotated[float, Gt(0), Le(1)] = 3e-4,
    width: Annotated[int, Ge(4), Le(4096), Unit("channels")] = 2048,
    norm: Literal["batch_norm", "none"] = "none",
    deep: bool = False,
    shape: tuple[int, int, int] = (8, 16, 16),
    weights: Path | None = None,
    limit: Annotated[float, Ge(0)] | None = None,
    note: str = "",
    scale: Annotated[float, Gt(0), Advanced] = 1e-7,
) -> object:
    """Build a net that does nothing.

    Parameters
    ----------
    rate
        Share of channels dropped < all.
    width
        Channels.
    limit
        Largest value; none for no limit.
    """
    return None


def other(in_channels: int, out_channels: int, *, places: Location) -> object:
    """Build another one, which must be told a place."""
    return None


def plain() -> object:
    """Take part without any options."""
    return None


def files(*, raw: Location, labels: Location | None = None) -> object:
    """Open files."""
    return None


@segkit.hookimpl
def segkit_architectures() -> dict:
    return {"net": net, "other": other}


@segkit.hookimpl
def segkit_losses() -> dict:
    return {"plain": plain}


@segkit.hookimpl
def segkit_tasks() -> dict:
    return {"plain": plain}


@segkit.hookimpl
def segkit_datasets() -> dict:
    return {"files": files}
