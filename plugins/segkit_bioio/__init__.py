"""Microscope makers' files (CZI, LIF, ND2 and others) through the readers of bioio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer these formats."""
    return {}
