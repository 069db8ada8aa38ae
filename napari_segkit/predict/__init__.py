"""The page Predict."""

from __future__ import annotations

from napari_segkit.predict._page import PredictPage

__all__ = ["PredictPage"]
