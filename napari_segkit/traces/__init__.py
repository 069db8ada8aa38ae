"""The page Traces."""

from __future__ import annotations

from napari_segkit.traces._page import TracesPage

__all__ = ["TracesPage"]
