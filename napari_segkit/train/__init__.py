"""The page Train."""

from __future__ import annotations

from napari_segkit.train._page import TrainPage

__all__ = ["TrainPage"]
