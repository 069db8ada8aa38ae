"""The controls of the live preview: on or off, slice or box, how often, which channel, and at once."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QWidget

from napari_segkit.forms import QuietCombo, line
from napari_segkit.forms._editors import QuietSpin

__all__ = ["PreviewRow"]


class PreviewRow(QWidget):  # type: ignore[misc]
    """Controls only; the page decides what they do."""

    changed = Signal()
    now_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.live = QCheckBox("Live preview")
        self.live.setChecked(True)
        self.live.setToolTip(
            "<qt>While training, lay what the network makes of the slice in view over the image; takes at most 10 % of the "
            "time</qt>"
        )
        self.live.setAccessibleName("live preview")
        self.region = QuietCombo()
        self.region.addItem("Current slice", "slice")
        self.region.addItem("Box around it", "box")
        self.region.setToolTip("What is predicted: the slice on show, or a small box around its middle")
        self.region.setAccessibleName("preview region")
        self.every = QuietSpin()
        self.every.setRange(1, 100_000)
        self.every.setValue(25)
        self.every.setPrefix("every ")
        self.every.setSuffix(" steps")
        self.every.setKeyboardTracking(False)
        self.every.setToolTip("Steps after which the same region is predicted again; another one is predicted at once")
        self.every.setAccessibleName("steps between previews")
        self.channel = QuietSpin()
        self.channel.setPrefix("channel ")
        self.channel.setToolTip("Channel of the prediction that is shown")
        self.channel.setAccessibleName("preview channel")
        self.channel.hide()
        self.now = QPushButton("Preview now")
        self.now.setToolTip("Predict what is on show now, whatever it costs")
        self.now.setAccessibleName("preview now")
        self.said = line()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.live, 0, 0)
        grid.addWidget(self.region, 0, 1)
        grid.addWidget(self.every, 1, 0)
        grid.addWidget(self.now, 1, 1)
        grid.addWidget(self.channel, 2, 0)
        grid.addWidget(self.said, 2, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.live.toggled.connect(lambda _: self.changed.emit())
        self.region.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.every.valueChanged.connect(lambda _: self.changed.emit())
        self.now.clicked.connect(lambda _=False: self.now_wanted.emit())

    def offer_channels(self, count: int) -> None:
        """Let the user choose among the channels of the preview, if there are several."""
        first = self.channel.isHidden()
        if self.channel.maximum() != max(0, count - 1):
            self.channel.setRange(0, max(0, count - 1))
        self.channel.setVisible(count > 1)
        if first and count == 2:
            self.channel.setValue(1)  # what is found, or where it ends; the first is nearly everywhere
