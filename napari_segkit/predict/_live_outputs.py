"""Predictions that are being written, on the canvas from their first moment, and how far they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from napari_segkit.layers import add_in_turn, create_layers, layers_of, layers_showing
from napari_segkit.layers._predictions import looks_of
from napari_segkit.layers._view import view_box
from napari_segkit.session import Job, Session
from napari_segkit.session._caught import caught
from napari_segkit.session.predictions._ledger import Ledger, has_ledger, is_complete

__all__ = ["LiveOutputs", "prediction_layers"]

REFRESH_SECONDS = 1.0


def prediction_layers(path: Path) -> list[Any]:
    """Return the layers of a prediction in the project, which may still be written; opens it and reads next to nothing."""
    from segkit.opening import open_volume

    complete = is_complete(path)
    volume = replace(open_volume(str(path) if complete else f"{path}#live=true"), source=str(path))
    names = list(volume.channel_names) or [path.stem]
    fractions = all(not name.startswith(("distance", "to_centre", "value")) for name in names)
    looks = looks_of(names, fractions=fractions)
    layers = []
    for (data, arguments, kind), look in zip(layers_of(volume, name=path.stem, kind="image"), looks, strict=False):
        if look["visible"]:
            layers.append((data, {**arguments, **look}, kind))
    return layers


class LiveOutputs:
    """Looks after the layers of predictions that run.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose jobs they are.
    moved
        Called when a ledger has something new, with its path.
    """

    def __init__(self, viewer: Any, session: Session, moved: Callable[[Path], None]) -> None:
        self._viewer, self._session, self._moved = viewer, session, moved
        self.ledgers: dict[Path, Ledger] = {}
        self._opening: set[Path] = set()
        self._reading: set[Path] = set()
        self._refreshed: dict[Path, float] = {}
        self._due: dict[Path, list[int]] = {}
        self.refreshes = 0
        """How often layers were drawn anew."""

    def follow(self, job: Job) -> None:
        """Show what a job writes as soon as there is anything, and read how far it is; called again and again."""
        path = job.output
        if has_ledger(path):
            self._show(path)
            self.read(path)

    def _show(self, path: Path) -> None:
        if path in self._opening or layers_showing(self._viewer, path):
            return
        self._opening.add(path)

        def opened(found: list[Any]) -> None:
            if not layers_showing(self._viewer, path):
                add_in_turn(self._viewer, found, self._session.later)

        self._session.in_background(lambda: create_layers(prediction_layers(path)), opened, "Predict")

    def show(self, path: Path) -> None:
        """Bring a prediction to the canvas."""
        self._opening.discard(path)
        self._show(path)

    def read(self, path: Path, *, anew: bool = False) -> None:
        """Read how far an output is, in the background."""
        if path in self._reading or not has_ledger(path):
            return
        self._reading.add(path)
        known = None if anew else self.ledgers.get(path)

        def work() -> tuple[Ledger, list[int]]:
            ledger = Ledger(path) if known is None else known
            return ledger, ledger.update()

        def done(found: tuple[Ledger, list[int]]) -> None:
            self._reading.discard(path)
            ledger, finished = found
            self.ledgers[path] = ledger
            if finished or known is None:
                self._due.setdefault(path, []).extend(finished)
                self._moved(path)
            self._redraw(path)

        def failed(result: Any) -> None:
            if isinstance(result, Exception):
                self._reading.discard(path)  # being made or removed just now
            else:
                done(result)

        self._session.in_background(caught(work), failed, "Predict")

    def _redraw(self, path: Path) -> None:
        """Draw the layers anew, at most once a second, if blocks that came touch what is on the canvas."""
        blocks, now = self._due.get(path), monotonic()
        if not blocks or now - self._refreshed.get(path, 0.0) < REFRESH_SECONDS:
            return
        layers = [layer for layer in layers_showing(self._viewer, path) if layer.visible]
        self._due[path] = []
        if not layers:
            return
        seen, lattice = view_box(layers[0], self._viewer), self.ledgers[path].lattice
        if any(lattice[block] & seen for block in blocks):
            self._refreshed[path] = now
            self.refreshes += 1
            for layer in layers:
                layer.refresh(extent=False, thumbnail=False)

    def end(self, job: Job) -> None:
        """Show an output as it is at its end."""
        path = job.output
        if has_ledger(path):
            self._show(path)
            self._refreshed.pop(path, None)
            self.read(path)
            for layer in layers_showing(self._viewer, path):
                layer.refresh(extent=False)
            self._session.in_background(lambda: prediction_layers(path), self._adjust, "Predict")

    def _adjust(self, found: list[Any]) -> None:
        """Take over the contrast of finished predictions: it could not be known when the first block was written."""
        limits = {arguments["name"]: arguments["contrast_limits"] for _, arguments, _ in found}
        source = found[0][1]["metadata"]["segkit"]["source"] if found else ""
        for layer in layers_showing(self._viewer, source):
            if limits.get(layer.name, (0.0, 1.0)) != (0.0, 1.0):
                layer.contrast_limits = limits[layer.name]

    def forget(self, path: Path) -> None:
        """Forget an output that is begun anew: what was read of it is old."""
        self.ledgers.pop(path, None)
        self._due.pop(path, None)
        self._opening.discard(path)
