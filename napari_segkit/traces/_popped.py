"""The table in a dock of its own below the canvas: another view of the same rows and the same selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_segkit.traces._table import Table
from napari_segkit.traces._table_model import TableModel

__all__ = ["Popped"]

NAME = "segkit traces"


class Popped:
    """Opens and closes the dock.

    Parameters
    ----------
    viewer
        The napari viewer.
    model
        What the tables show.
    table
        The table of the page.
    made
        Called with a table that was made, to listen to it.
    """

    def __init__(self, viewer: Any, model: TableModel, table: Table, made: Callable[[Table], None]) -> None:
        self._viewer, self._model, self._own, self._made = viewer, model, table, made
        self._other: Table | None = None

    @property
    def tables(self) -> list[Table]:
        """All tables that are there."""
        return [self._own] if self._other is None else [self._own, self._other]

    def toggle(self) -> None:
        """Open the dock, or close it."""
        if self._other is not None:
            self.close()
            return
        self._other = Table(self._model)
        self._other.lay_out()
        self._other.show_columns([column.key for column in self._model.columns])
        self._made(self._other)
        self._other.destroyed.connect(self._gone)
        self._viewer.window.add_dock_widget(self._other, name=NAME, area="bottom")

    def close(self) -> None:
        """Close the dock."""
        other, self._other = self._other, None
        if other is not None and NAME in self._viewer.window.dock_widgets:
            self._viewer.window.remove_dock_widget(other)
            other.deleteLater()

    def _gone(self, _: Any = None) -> None:
        self._other = None
