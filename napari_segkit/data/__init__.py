"""The page Data."""

from __future__ import annotations

from napari_segkit.data._page import DataPage

__all__ = ["DataPage"]
