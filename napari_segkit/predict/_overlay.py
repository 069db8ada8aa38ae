"""The live overlay: the prediction of what is on the canvas, tile by tile, without waiting for any of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_segkit.layers import placement, selection_kept
from napari_segkit.layers._predictions import looks_of
from napari_segkit.layers._tiles import Tiles
from napari_segkit.layers._view import view_box
from napari_segkit.session import Session
from napari_segkit.session._caught import caught
from napari_segkit.session.images._region import Level
from napari_segkit.session.predictions._answers import Answering
from napari_segkit.session.predictions._models import ModelCard
from segkit.geometry import Box

__all__ = ["LiveOverlay", "add_channels"]

TILE = (8, 128, 128)
REFRESH_MS = 200


def add_channels(
    viewer: Any,
    arrays: list[Any],
    names: list[str],
    title: str,
    level: Level,
    start: tuple[int, int, int],
    *,
    fractions: bool,
) -> list[Any]:
    """Add the channels of a prediction that are worth seeing, where they belong, and leave the active layer as it is."""
    where = placement(
        level.voxel_size, [o + s * a for o, s, a in zip(level.offset, level.voxel_size, start, strict=True)], level.unit
    )
    layers = []
    for data, name, look in zip(arrays, names, looks_of(names, fractions=fractions), strict=True):
        if not look.pop("visible"):
            continue
        limits = look.pop("contrast_limits", None)
        first = data[0] if isinstance(data, list) else data
        if limits is not None and np.dtype(first.dtype) == np.uint8:
            limits = (0, 255)
        with selection_kept(viewer):
            layers.append(
                viewer.add_image(
                    data,
                    name=title if len(names) == 1 else f"{title}: {name.replace('_', ' ')}",
                    metadata={"segkit": {"preview": True}},
                    contrast_limits=limits or (0.0, 1.0),
                    multiscale=isinstance(data, list),
                    **look,
                    **where,
                )
            )
        layers[-1].editable = False
    return layers


class LiveOverlay(QObject):  # type: ignore[misc]
    """Tiles of one model over one image.

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
        self.tiles: Tiles | None = None
        self.layers: list[Any] = []
        self._wanted: tuple[Any, ...] | None = None
        self._errors: list[Exception] = []
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def on(self) -> bool:
        """Whether tiles are computed."""
        return self._wanted is not None

    def start(self, package: Path, card: ModelCard, level: Level, device: str = "auto") -> None:
        """Show what a model makes of a level of an image, instead of what was shown before."""
        key = (str(package), level.source, TILE, card.fractions, device)
        if self._wanted == key:
            return
        self.stop()
        self._wanted = key
        self.told.emit("Loading the model\N{HORIZONTAL ELLIPSIS}")
        opened = partial(self._answers.open, key[0], key[1], TILE, fractions=card.fractions, device=device)
        self._session.in_background(caught(opened), partial(self._opened, key, card, level), "Predict")

    def _opened(self, key: Any, card: ModelCard, level: Level, found: Any) -> None:
        if self._wanted != key:
            return
        if isinstance(found, Exception):
            self.stop()
            self.told.emit("")
            self._session.report(found, "Predict")
            return
        names = found["channels"]
        shape, tile = tuple(found["shape"]), tuple(found["tile"])
        compute = partial(self._compute, key)
        tiles = self.tiles = Tiles(shape, tile, found["dtype"], len(names), compute, self._errors.append)
        arrays = [tiles.levels(channel) for channel in range(len(names))]
        data = [levels if len(levels) > 1 else levels[0] for levels in arrays]
        self.layers = add_channels(
            self._viewer, data, names, "live overlay", level, (0, 0, 0), fractions=card.fractions
        )
        self._timer.start()
        self._tell()

    def _compute(self, key: Any, box: Box) -> Any:
        return self._answers.tile(key, box)

    def stop(self) -> None:
        """Compute no more, and take the overlay away."""
        self._timer.stop()
        self._wanted = None
        self._errors.clear()
        if self.tiles is not None:
            self.tiles.close()
            self.tiles = None
        for layer in self.layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.layers = []

    def _tick(self) -> None:
        tiles = self.tiles
        if tiles is None:
            return
        if self._errors:
            error = self._errors[0]
            self.stop()
            self.told.emit("")
            self._session.report(error, "Predict")
            return
        shown = [layer for layer in self.layers if layer in self._viewer.layers]
        if not shown:  # somebody deleted them
            self.stop()
            self.told.emit("")
            return
        arrived = tiles.arrived()
        if arrived:
            seen = view_box(shown[0], self._viewer)
            if any(box & seen for box in arrived):
                for layer in shown:
                    if layer.visible:
                        layer.refresh(extent=False, thumbnail=False)
        self._tell()

    def _tell(self) -> None:
        if self.tiles is None:
            return
        waiting = self.tiles.waiting
        text = f"Live overlay: {waiting} tile{'s' * (waiting != 1)} to go" if waiting else "Live overlay is up to date"
        self.told.emit(text)
