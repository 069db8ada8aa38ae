"""How large a voxel is, and who says so."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_segkit.forms import QuietCombo, colours, number_text
from segkit.volume import Spacing

__all__ = ["VoxelSize"]

FACTORS = {"nm": 1.0, "\N{MICRO SIGN}m": 1000.0}
CHIPS = {
    "file": ("from file", "The file says so.", "#2e7d46"),
    "assumed": ("assumed \N{EN DASH} check", "The file does not say how large a voxel is. Enter it here.", "#9a6700"),
    "you": ("set by you", "It is used instead of what the file says.", "#2e7d46"),
}


class VoxelSize(QWidget):  # type: ignore[misc]
    """Three numbers and a unit, and `chip`, which says where they come from and is placed by whoever uses this."""

    edited = Signal(object)
    """Another size, in nm (z, y, x)."""

    def __init__(self) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.lines: list[QLineEdit] = []
        for axis in "zyx":
            edit = QLineEdit()
            edit.setMinimumWidth(30)
            edit.setAccessibleName(f"voxel size {axis}")
            edit.setToolTip(f"Size of a voxel along {axis}. All layers move along.")
            edit.editingFinished.connect(self._typed)
            self.lines.append(edit)
            layout.addWidget(edit, 1)
        self.unit = QuietCombo()
        self.unit.addItems(list(FACTORS))
        self.unit.setMinimumContentsLength(2)
        self.unit.setMaximumWidth(70)
        self.unit.setToolTip("Unit of the three numbers")
        self.unit.setAccessibleName("unit of the voxel size")
        self.unit.currentTextChanged.connect(lambda _: self._show())
        self.chip = QLabel()
        layout.addWidget(self.unit)
        self._size: Spacing = (1.0, 1.0, 1.0)
        self.show_size(None, "assumed")

    def show_size(self, size: Spacing | None, origin: str) -> None:
        """Show a size in nm; None where there is no image."""
        self.setEnabled(size is not None)
        self._size = size or (1.0, 1.0, 1.0)
        text, tip, colour = CHIPS[origin]
        self.chip.setText(text)
        self.chip.setToolTip(tip)
        self.chip.setStyleSheet(
            f"QLabel {{ background: {colour}; color: white; border-radius: 6px; padding: 1px 6px; }}"
        )
        self.chip.setVisible(size is not None)
        self._show()

    def focus(self) -> None:
        """Let people type the first number."""
        self.lines[0].setFocus()
        self.lines[0].selectAll()

    def _show(self) -> None:
        for edit, size in zip(self.lines, self._size, strict=True):
            edit.setText(number_text(float(f"{size / FACTORS[self.unit.currentText()]:.7g}")))
            edit.setCursorPosition(0)
            edit.setStyleSheet("")

    def _typed(self) -> None:
        sizes: list[float] = []
        for edit in self.lines:
            value = _number(edit.text())
            edit.setStyleSheet("" if value else f"QLineEdit {{ border: 1px solid {colours()['error']}; }}")
            if not value:
                edit.setToolTip("A number above 0 is needed, such as 8 or 33.3.")
                return
            sizes.append(value * FACTORS[self.unit.currentText()])
        if any(abs(a - b) > 1e-6 * b for a, b in zip(sizes, self._size, strict=True)):
            self.edited.emit((sizes[0], sizes[1], sizes[2]))


def _number(text: str) -> float:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return 0.0
    return value if 0 < value < 1e9 else 0.0


def rescale(layer: Any, origin: Spacing, ratio: Spacing, units: tuple[Any, ...]) -> None:
    """Stretch where a layer lies about a point, so that it stays on the same voxels of the image."""
    layer.scale = tuple(s * r for s, r in zip(layer.scale, ratio, strict=True))
    layer.translate = tuple(o + (t - o) * r for t, o, r in zip(layer.translate, origin, ratio, strict=True))
    layer.units = units
