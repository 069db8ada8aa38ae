"""Which neurons are selected: one truth for the table, the layers, the detail card and the canvas."""

from __future__ import annotations

from collections.abc import Iterable

from psygnal import Signal

__all__ = ["Selection"]

MOST_REMEMBERED = 200


class Selection:
    """Selected neurons by id, and the node of the first of them that is looked at.

    Ids are those of the traces and of the segmentation, never row numbers.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._ids: tuple[int, ...] = ()
        self._node: int | None = None
        self._history: list[tuple[tuple[int, ...], int | None]] = [((), None)]
        self._position = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The selected neurons, in the order in which they were chosen."""
        return self._ids

    @property
    def active(self) -> int | None:
        """The neuron that was chosen last; None if none is."""
        return self._ids[-1] if self._ids else None

    @property
    def node(self) -> int | None:
        """Row of the active neuron's node that is looked at; None for the neuron as a whole."""
        return self._node

    def choose(self, ids: Iterable[int], node: int | None = None) -> None:
        """Select these neurons instead of what is selected now."""
        chosen = (tuple(dict.fromkeys(int(i) for i in ids)), node)
        if chosen == (self._ids, self._node):
            return
        del self._history[self._position + 1 :]
        self._history = [*self._history, chosen][-MOST_REMEMBERED:]
        self._position = len(self._history) - 1
        self._show(chosen)

    def toggle(self, neuron: int) -> None:
        """Add a neuron to those selected, or take it away."""
        rest = [i for i in self._ids if i != neuron]
        self.choose(rest if neuron in self._ids else [*rest, neuron])

    def look_at(self, node: int | None) -> None:
        """Look at another node of the active neuron."""
        self.choose(self._ids, node)

    def back(self) -> None:
        """Return to what was selected before."""
        self._go(-1)

    def forward(self) -> None:
        """Take back a step back."""
        self._go(1)

    def _go(self, step: int) -> None:
        position = self._position + step
        if 0 <= position < len(self._history):
            self._position = position
            self._show(self._history[position])

    def _show(self, chosen: tuple[tuple[int, ...], int | None]) -> None:
        self._ids, self._node = chosen
        self.changed.emit()
