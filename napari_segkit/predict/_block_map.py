"""A small picture of the blocks of an output: done, running, failed, empty; a click goes there."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_segkit.session.predictions._ledger import DONE, EMPTY, FAILED, RUNNING

__all__ = ["COLOURS", "BlockMap"]

COLOURS = {EMPTY: "#4d5561", DONE: "#3fa66b", FAILED: "#e5534b", RUNNING: "#e3b341"}
_WORDS = {EMPTY: "empty", DONE: "done", FAILED: "failed", RUNNING: "running"}
_STRIP = 14
_GAP = 6
_HEIGHT = 110


class BlockMap(QWidget):  # type: ignore[misc]
    """The blocks at one depth, and beside them all depths; click either to go there."""

    picked = Signal(int, int, int)
    """A block was clicked: its place ``(z, y, x)`` in the grid."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = np.zeros((1, 1, 1), np.uint8)
        self._depth = 0
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName("block map")
        self.setToolTip(
            "Blocks of the prediction: green done, yellow running, red failed, grey empty. Click to go there."
        )

    def show_grid(self, grid: np.ndarray[Any, Any], depth: int) -> None:
        """Show the states of blocks ``(z, y, x)``, those at one depth in the large picture."""
        self._grid, self._depth = grid, int(np.clip(depth, 0, len(grid) - 1))
        self.update()

    def _fields(self) -> tuple[QRectF, QRectF]:
        """Return where the blocks of one depth are drawn, and the strip of all depths."""
        nz, ny, nx = self._grid.shape
        height = float(self.height())
        room = self.width() - (_STRIP + _GAP if nz > 1 else 0)
        cell = min(room / nx, height / ny)
        main = QRectF(0, 0, cell * nx, cell * ny)
        return main, QRectF(main.right() + _GAP, 0, _STRIP if nz > 1 else 0, height)

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        main, strip = self._fields()
        _draw(painter, main, self._grid[self._depth])
        if strip.width():
            _draw(painter, strip, _worst(self._grid)[:, None])
            cell = strip.height() / len(self._grid)
            painter.setPen(QColor("#ffffff"))
            painter.drawRect(QRectF(strip.x(), cell * self._depth, strip.width() - 1, max(cell - 1, 2)))
        painter.end()

    def block_at(self, position: QPointF) -> tuple[int, int, int] | None:
        """Return the block that is drawn somewhere; None where there is none."""
        main, strip = self._fields()
        nz, ny, nx = self._grid.shape
        if main.contains(position):
            y = min(ny - 1, int(position.y() / main.height() * ny))
            return self._depth, y, min(nx - 1, int(position.x() / main.width() * nx))
        if strip.width() and strip.contains(position):
            return min(nz - 1, int(position.y() / strip.height() * nz)), ny // 2, nx // 2
        return None

    def mousePressEvent(self, event: Any) -> None:
        block = self.block_at(event.position())
        if block is not None and event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(*block)

    def mouseMoveEvent(self, event: Any) -> None:
        block = self.block_at(event.position())
        self.setCursor(Qt.CursorShape.PointingHandCursor if block else Qt.CursorShape.ArrowCursor)
        if block:
            state = _WORDS[int(self._grid[block])]
            self.setToolTip(f"Block {', '.join(map(str, block))} (z, y, x): {state}. Click to go there.")


def _worst(grid: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return one state for each depth: what deserves attention first, and done only if all is."""
    flat = grid.reshape(len(grid), -1)
    states = np.where((flat == DONE).all(1), DONE, EMPTY)
    for state in (RUNNING, FAILED):
        states[(flat == state).any(1)] = state
    partly = (states == EMPTY) & (flat == DONE).any(1)
    states[partly] = RUNNING
    return states.astype(np.uint8)


def _draw(painter: QPainter, field: QRectF, states: np.ndarray[Any, Any]) -> None:
    table = np.zeros((4, 4), np.uint8)
    for state, name in COLOURS.items():
        colour = QColor(name)
        table[state] = (colour.red(), colour.green(), colour.blue(), 255)
    pixels = np.ascontiguousarray(table[states])
    height, width = states.shape
    painter.drawImage(field, QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy())
    if field.width() / width >= 5 and field.height() / height >= 5:
        painter.setPen(QColor(0, 0, 0, 110))
        for x in range(1, width):
            painter.drawLine(
                QPointF(field.x() + field.width() * x / width, field.y()),
                QPointF(field.x() + field.width() * x / width, field.bottom()),
            )
        for y in range(1, height):
            painter.drawLine(
                QPointF(field.x(), field.y() + field.height() * y / height),
                QPointF(field.right(), field.y() + field.height() * y / height),
            )
