"""Trying a model: one block, now, over the image."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_segkit.predict._overlay import add_channels
from napari_segkit.session import Session
from napari_segkit.session._caught import caught
from napari_segkit.session.images._region import Level
from napari_segkit.session.predictions._answers import Answering
from napari_segkit.session.predictions._models import ModelCard
from segkit.geometry import Box, Lattice

__all__ = ["TRIED", "Trying"]

TRIED = (16, 192, 192)
"""Largest block that is tried, ``(z, y, x)``."""


class Trying(QObject):  # type: ignore[misc]
    """Predicts one block in a child and shows it.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Its threads are used, and told of failures.
    answers
        The child that holds the model.
    """

    told = Signal(str)

    def __init__(self, viewer: Any, session: Session, answers: Answering) -> None:
        super().__init__()
        self._viewer, self._session, self._answers = viewer, session, answers
        self.layers: list[Any] = []
        self.busy = False

    def start(self, card: ModelCard, level: Level, view: Box | None, device: str) -> None:
        """Predict the block that the middle of a view is in; that of the volume where there is no view."""
        self.busy = True
        seen = view or Box.of_shape(level.shape)
        wanted = tuple(max(1, min(most, n)) for most, n in zip(TRIED, level.shape, strict=True))
        key = (str(card.package), level.source, (wanted[0], wanted[1], wanted[2]), card.fractions, device)

        def work() -> Any:
            head = self._answers.open(key[0], key[1], key[2], fractions=key[3], device=device)
            began = monotonic()
            tile = tuple(head["tile"])
            lattice = Lattice(Box.of_shape(level.shape), (tile[0], tile[1], tile[2]))
            middle = [(a + b) // 2 for a, b in zip(seen.start, seen.stop, strict=True)]
            middle = [min(m, n - 1) for m, n in zip(middle, level.shape, strict=True)]
            box = lattice[lattice.index([m // t for m, t in zip(middle, tile, strict=True)])]
            return head["channels"], box, self._answers.tile(key, box).copy(), monotonic() - began

        self._session.in_background(caught(work), partial(self._done, card, level), "Predict")

    def remove(self) -> None:
        """Take what was tried off the canvas."""
        for layer in self.layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.layers = []

    def _done(self, card: ModelCard, level: Level, found: Any) -> None:
        self.busy = False
        if isinstance(found, Exception):
            self.told.emit("")
            self._session.report(found, "Predict")
            return
        names, box, voxels, seconds = found
        self.remove()
        self.layers = add_channels(
            self._viewer, list(voxels), names, "try it", level, box.start, fractions=card.fractions
        )
        extent = " × ".join(map(str, box.shape))
        self.told.emit(f"Tried one block of {extent} voxels in {seconds:.2g} s")
