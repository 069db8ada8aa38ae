"""GeoTIFF: scenes of many bands with their georeference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer these formats."""
    return {}
