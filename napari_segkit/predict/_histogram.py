"""A small picture of how large objects are."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_segkit.session.predictions._slice_objects import size_histogram

__all__ = ["SizeHistogram"]

_HEIGHT = 46


class SizeHistogram(QWidget):  # type: ignore[misc]
    """How many objects have which size, small ones on the left; the scale is logarithmic."""

    def __init__(self) -> None:
        super().__init__()
        self.counts, self._edges = size_histogram(np.zeros(0))
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("sizes of objects")
        self.setToolTip("Number of objects by their size in pixels, small ones on the left")

    def show_sizes(self, sizes: np.ndarray[Any, Any]) -> None:
        """Show the sizes of objects."""
        self.counts, self._edges = size_histogram(sizes)
        self.update()

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        width, height = self.width() / len(self.counts), self.height() - 14
        top = max(1, int(self.counts.max()))
        for place, count in enumerate(self.counts):
            bar = height * count / top
            painter.fillRect(QRectF(place * width, height - bar, max(1.0, width - 1), bar), QColor("#6f97d8"))
        painter.setPen(self.palette().text().color())
        font = painter.font()
        font.setPointSizeF(max(6.5, font.pointSizeF() * 0.8))
        painter.setFont(font)
        ends = QRectF(0, height, self.width(), 14)
        painter.drawText(ends, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, "1 pixel")
        painter.drawText(
            ends,
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            f"{self._edges[-1]:,.0f}".replace(",", " "),
        )
        painter.end()
