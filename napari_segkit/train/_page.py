"""The page Train."""

from __future__ import annotations

from typing import Any

from napari_segkit.forms import Page
from napari_segkit.session import Session

__all__ = ["TrainPage"]


class TrainPage(Page):
    """Train.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = "Train"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.column.addStretch(1)
