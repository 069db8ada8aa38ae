"""The page Data."""

from __future__ import annotations

from typing import Any

from napari_segkit.forms import Page
from napari_segkit.session import Session

__all__ = ["DataPage"]


class DataPage(Page):
    """Data.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = "Data"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.column.addStretch(1)
