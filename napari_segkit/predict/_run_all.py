"""The button that runs all three stages one after the other."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_segkit.forms import line
from napari_segkit.session import Job

__all__ = ["RunAll"]

STAGES = (("predict", "Predict"), ("segment", "Segment"), ("trace", "Make traces"))


class RunAll(QWidget):  # type: ignore[misc]
    """A button with a menu of ticks; while stages run, it ends them after the one under way."""

    start = Signal()
    end = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._running, self._can_predict = False, False
        self.button = QPushButton("Run all")
        self.button.setAccessibleName("Run all")
        self.steps = QPushButton("Steps")
        self.steps.setFixedWidth(76)
        self.steps.setAccessibleName("steps of Run all")
        self.steps.setToolTip("Tick the steps that Run all takes")
        menu = QMenu(self.steps)
        self.ticks = {}
        for kind, text in STAGES:
            action = self.ticks[kind] = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(True)
            action.toggled.connect(lambda _: self.allow(self._can_predict))
        self.steps.setMenu(menu)
        row = QHBoxLayout()
        row.addWidget(self.button, 1)
        row.addWidget(self.steps)
        self.text = line()
        self.text.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.text)
        self.button.clicked.connect(lambda _=False: self.end.emit() if self._running else self.start.emit())
        self.show_job(None)

    @property
    def wanted(self) -> list[str]:
        """The stages that are ticked."""
        return [kind for kind, action in self.ticks.items() if action.isChecked()]

    def allow(self, prediction: bool) -> None:
        """Say whether a prediction could begin; without one, the first step must be another."""
        self._can_predict = prediction
        self.button.setEnabled(self._running or prediction or "predict" not in self.wanted)

    def show_job(self, job: Job | None) -> None:
        """Show a job that something follows; None where there is none."""
        self._running = job is not None
        self.allow(self._can_predict)
        self.button.setText("Stop after this step" if job else "Run all")
        self.steps.setVisible(job is None)
        self.button.setToolTip(
            "Let the step that runs come to its end, and start none after it"
            if job
            else "Predict, segment and make traces one after the other, as chosen above; the menu leaves steps out"
        )
        self.text.setVisible(job is not None)
        if job is not None:
            names = dict(STAGES)
            following = [names[stage["kind"]] for stage in job.extra.get("then", ())]
            self.text.setText(" \N{RIGHTWARDS ARROW} ".join([f"<b>{names[job.kind]}</b>", *following]))

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        return {"stages": self.wanted}

    def restore(self, state: Any) -> None:
        """Tick what was ticked."""
        for kind, action in self.ticks.items():
            action.setChecked(kind in state.get("stages", [kind]))
