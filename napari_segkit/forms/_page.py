"""What every page of the dock has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_segkit.session import Session

__all__ = ["Page", "line", "primary_button"]


class Page(QWidget):  # type: ignore[misc]
    """A page: a view of the session.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = ""
    hint = ""
    """What can be done here now, for napari's status bar."""

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self.viewer, self.session = viewer, session
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(4, 4, 8, 4)
        self.column.setSpacing(6)

    def layers_changed(self) -> None:
        """List the layers that exist now; layers came, went, moved or got other names."""

    def jobs_changed(self) -> None:
        """Bring buttons up to date with the jobs; called at most five times a second."""

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered of this page, as JSON says it."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Show what `state` returned in an earlier session; what does not fit any more is left out."""

    def close_down(self) -> None:
        """Release everything outside of this widget."""


def primary_button(text: str, tip: str) -> QPushButton:
    """Return the one button of a page that goes on."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.setStyleSheet("QPushButton:enabled { background: #1f6feb; color: white; font-weight: bold; padding: 5px; }")
    return button


def line(text: str = "") -> QLabel:
    """Return a label that wraps and never makes the dock wider."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
