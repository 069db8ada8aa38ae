"""How far outputs are: the block map, and a row for each prediction that was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_segkit.forms import line
from napari_segkit.layers import layers_showing
from napari_segkit.predict._block_map import BlockMap
from napari_segkit.session import Session
from napari_segkit.session.predictions._ledger import EMPTY, Ledger, has_ledger, is_complete

__all__ = ["Interrupted", "Progress"]

MOST_ROWS = 3


class Progress(QWidget):  # type: ignore[misc]
    """The block map of one output, with a line above it.

    Parameters
    ----------
    viewer
        The napari viewer, in which a click on a block goes there.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.path: Path | None = None
        self._ledger: Ledger | None = None
        self.text = line()
        self.map = BlockMap()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.text)
        layout.addWidget(self.map)
        self.map.picked.connect(self.go_to)
        self.hide()

    def show_ledger(self, path: Path | None, ledger: Ledger | None, running: bool) -> None:
        """Show an output; None hides the map."""
        self.path, self._ledger = path, ledger
        self.setVisible(ledger is not None)
        if path is None or ledger is None:
            return
        self.text.setText(f"{path.stem}: {ledger.line()}")
        self.text.setVisible(running)  # the row of an interrupted one says it
        self.map.show_grid(ledger.grid(running), self._depth(ledger))

    def _layer(self) -> Any:
        shown = layers_showing(self._viewer, self.path) if self.path is not None else []
        return shown[0] if shown else None

    def _depth(self, ledger: Ledger) -> int:
        layer = self._layer()
        if layer is None:
            return 0
        z = round(float(layer.world_to_data(self._viewer.dims.point[-3:])[0]))
        return int(np.clip(z // ledger.lattice.block_shape[0], 0, ledger.lattice.counts[0] - 1))

    def go_to(self, z: int, y: int, x: int) -> None:
        """Bring a block to the middle of the canvas."""
        layer, ledger = self._layer(), self._ledger
        if layer is None or ledger is None:
            return
        box = ledger.lattice[ledger.lattice.index((z, y, x))]
        middle = [(a + b - 1) / 2 for a, b in zip(box.start, box.stop, strict=True)]
        world = layer.data_to_world(middle)
        viewer = self._viewer
        viewer.dims.set_point(list(range(viewer.dims.ndim - 3, viewer.dims.ndim)), list(world))
        viewer.scene.camera.center = tuple(world)


class Interrupted(QWidget):  # type: ignore[misc]
    """Predictions that are not complete and that nobody works on, each with what can be done.

    Parameters
    ----------
    session
        Whose project and jobs they are.
    ledger_of
        Returns what is known of how far an output is; None where that is still being read.
    """

    resume = Signal(object)
    start_over = Signal(object)

    def __init__(self, session: Session, ledger_of: Callable[[Path], Ledger | None]) -> None:
        super().__init__()
        self._session, self._ledger_of = session, ledger_of
        self._shown: list[tuple[Path, str, str]] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self.rows: dict[Path, QWidget] = {}
        self.hide()

    def paths(self) -> list[Path]:
        """Return the outputs that are not complete and that no job works on."""
        busy = {job.output for job in self._session.jobs if job.active or job.state == "queued"}
        results = self._session.project.results("predictions")
        return [path for path in results if path not in busy and has_ledger(path) and not is_complete(path)][:MOST_ROWS]

    def refresh(self, paths: list[Path]) -> None:
        """Show a row for each of some outputs."""
        wanted = [(path, *self._words(path)) for path in paths]
        if wanted == self._shown:
            return
        self._shown = wanted
        for row in self.rows.values():
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = {path: self._row(path, text, button) for path, text, button in wanted}
        for row in self.rows.values():
            self._column.addWidget(row)
        self.setVisible(bool(wanted))

    def _words(self, path: Path) -> tuple[str, str]:
        ledger = self._ledger_of(path)
        if ledger is None:
            return f"{path.stem}: interrupted", "Resume"
        _, failed, _ = ledger.counts
        only_failed = failed and not (ledger.states == EMPTY).any()
        return f"{path.stem}: {ledger.line()}", "Retry failed" if only_failed else "Resume"

    def _row(self, path: Path, text: str, button: str) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        said = line(text)
        said.setToolTip(str(path))
        layout.addWidget(said, 1)
        for label, signal, tip in (
            (button, self.resume, "Compute the blocks that are missing or failed; those that are done stay"),
            (
                "Start over",
                self.start_over,
                "Predict all of it again, with the same choices; what is there is replaced",
            ),
        ):
            way = QPushButton(label)
            way.setToolTip(tip)
            way.setAccessibleName(f"{label}: {path.stem}")
            way.clicked.connect(lambda _=False, signal=signal: signal.emit(path))
            layout.addWidget(way)
        return row
