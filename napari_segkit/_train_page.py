"""The page that trains: data, recipe, and what the run says while it learns."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_segkit._recipe_form import RecipeForm
from napari_segkit._run_progress import RunProgress
from napari_segkit._source_picker import SourcePicker

__all__ = ["TrainPage"]


class TrainPage(QWidget):  # type: ignore[misc]
    """Controls only; the panel decides what they do.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    train = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.raw = SourcePicker(viewer, ("image",), "raw image")
        self.labels = SourcePicker(viewer, ("labels", "image"), "labels")
        self.recipe = RecipeForm()
        self.button = QPushButton("Train")
        self.button.setToolTip("Start training in a process of its own; the viewer stays usable")
        self.button.setStyleSheet(
            "QPushButton:enabled { background: #1f6feb; color: white; font-weight: bold; padding: 5px; }"
        )
        self.button.clicked.connect(lambda _=False: self.train.emit())
        self.why_not = _small()
        self.scores = _small()
        self.live = QCheckBox("Live preview")
        self.live.setChecked(True)
        self.live.setToolTip("While training, show what the network makes of the slice in view")
        self.channel = QSpinBox()
        self.channel.setPrefix("channel ")
        self.channel.setToolTip("Channel of the prediction that the live preview shows")
        self.channel.setAccessibleName("preview channel")
        self.channel.setFixedWidth(116)
        self.channel.hide()
        self._curves: Any = None

        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(0, 0, 6, 0)
        inner.setSpacing(6)
        inner.addWidget(QLabel("<b>Data</b>"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        for row, (name, picker) in enumerate((("Raw image", self.raw), ("Labels", self.labels))):
            label = QLabel(name)
            label.setFixedWidth(116)
            grid.addWidget(label, row, 0)
            grid.addWidget(picker, row, 1)
        grid.setColumnStretch(1, 1)
        inner.addLayout(grid)
        inner.addWidget(self.recipe)
        inner.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)
        self.results = QWidget()
        self._results = QVBoxLayout(self.results)
        self._results.setContentsMargins(0, 0, 0, 0)
        self._results.setSpacing(4)
        self._results.addWidget(self.scores)
        row = QHBoxLayout()
        row.addWidget(self.live, 1)
        row.addWidget(self.channel)
        self._results.addLayout(row)
        self.results.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.results)
        layout.addWidget(self.why_not)
        layout.addWidget(self.button)

    def show_run(self, run: RunProgress) -> None:
        """Show the curve and the scores of a run."""
        if not run.losses and not run.validations:
            self.results.setVisible(run.state == "running")
            if self._curves is not None:
                self._curves.show_run(run)
            self.scores.setText("")
            return
        if self._curves is None:
            from napari_segkit._curves import Curves  # takes about a second, and most of a session may need none

            self._curves = Curves()
            self._results.insertWidget(0, self._curves)
        self._curves.show_run(run)
        self.scores.setText(run.scores(3))
        self.scores.setToolTip(f"<qt>{run.scores()}</qt>")
        self.results.show()

    @property
    def curves(self) -> Any:
        """The plot; None before there was anything to draw."""
        return self._curves

    def tell_preview(self, text: str) -> None:
        """Say what the preview shows, beside its tick."""
        self.live.setText(text or "Live preview")

    def offer_channels(self, count: int) -> None:
        """Let the user choose among the channels of the preview, if there are several."""
        first = self.channel.isHidden()
        self.channel.setRange(0, max(0, count - 1))
        self.channel.setVisible(count > 1)
        if first and count == 2:
            self.channel.setValue(1)  # what is found, or where it ends; the first is nearly everywhere


def _small() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
