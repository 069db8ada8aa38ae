"""The page Train: what is chosen, the buttons, and what the run says while it learns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_segkit.forms import Fold, Page, QuietCombo, line, primary_button
from napari_segkit.forms._form import LABEL_WIDTH
from napari_segkit.session import Session, eta_text
from napari_segkit.session.trainings._devices import devices
from napari_segkit.session.trainings._runs import FollowedRun, Runs
from napari_segkit.session.trainings._trainings import Measured, Trainings
from napari_segkit.train._fixes import Fixes
from napari_segkit.train._model_sees import ModelSees
from napari_segkit.train._preview_row import PreviewRow
from napari_segkit.train._runs_list import RunsList
from napari_segkit.train._setup_form import SetupForm
from napari_segkit.train._starting import Starting
from napari_segkit.train._watching import Watching
from segkit.errors import SegkitError

__all__ = ["TrainPage"]

LOOK_MS = 250
IDLE_LOOKS = 8  # looks that are left out while nobody watches and nothing runs


class TrainPage(Page):
    """Train a network and watch it learn.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = "Train"
    hint = "Choose a task and a model, then Train; the preview follows the slice you look at"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.runs = Runs(session.project)
        self.trainings = Trainings(session.project, session.jobs, self.runs)
        self.setup = SetupForm()
        self.setup_fold = Fold("What to train")
        self.setup_fold.body_layout.setContentsMargins(0, 2, 0, 4)
        self.setup_fold.body_layout.addWidget(self.setup)
        self.setup_fold.open()
        self.start_from = QuietCombo()
        self.start_from.setToolTip(
            "A new run, or one that goes on: with its own settings, or from its weights with others"
        )
        self.start_from.setAccessibleName("start from")
        self.train_button = primary_button("Train", "Start training in a process of its own; the viewer stays usable")
        self.pause_button = _button("Pause", "Save everything and pause; it goes on later as if nothing had happened")
        self.stop_button = _button("Stop and save", "Stop after the current step with everything saved")
        self.new_labels = _button(
            "Use the new labels",
            "Save, read the labels again and go on from there; the run notes that its data changed",
        )
        self.data_button = _button("Go to Data", "Open an image and choose or paint labels")
        self.reason, self.estimate, self.scores = line(), line(), line()
        self.runs_list = RunsList()
        self.attach_button = _button(
            "Follow a run elsewhere\N{HORIZONTAL ELLIPSIS}", "Show a run that was started in a shell"
        )
        self.curves: Any = None
        self.preview_row, self.model_sees = PreviewRow(), ModelSees()
        self.notes_fold, self.notes = Fold("Notes"), QLineEdit()
        self.notes.setPlaceholderText("What was tried, and why")
        self.notes.setToolTip("Kept with the run, in notes.txt")
        self.notes.setAccessibleName("notes")
        self.notes_fold.body_layout.addWidget(self.notes)
        self._compose()
        self.watching = Watching(self)
        self.starting = Starting(self)
        self.fixes = Fixes(self)
        self._reading, self._looks, self._devices_known = False, 0, False
        self._connect()
        self.setup.changed.connect(self.update_controls)  # after what `starting` remembers of it
        self.starting.offer_starts()

    def _compose(self) -> None:
        self.start_row = QWidget()
        buttons, start = QHBoxLayout(), QHBoxLayout(self.start_row)
        start.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(4)
        for widget, stretch in ((self.train_button, 1), (self.pause_button, 1), (self.stop_button, 1)):
            buttons.addWidget(widget, stretch)
        label = QLabel("Start from")
        label.setFixedWidth(LABEL_WIDTH)
        start.addWidget(label)
        start.addWidget(self.start_from, 1)
        self.column.addWidget(self.setup_fold)
        self.column.addWidget(self.start_row)
        self.column.addWidget(self.estimate)
        self.column.addWidget(self.reason)
        self.column.addWidget(self.data_button)
        self.column.addLayout(buttons)
        self.column.addWidget(self.new_labels)
        self._curves_at = self.column.count()
        for widget in (
            self.scores,
            self.preview_row,
            self.runs_list,
            self.attach_button,
            self.model_sees,
            self.notes_fold,
        ):
            self.column.addWidget(widget)
        self.column.addStretch(1)
        self.new_labels.hide()
        self.estimate.hide()
        self.runs_list.hide()
        self.preview_row.hide()
        self.model_sees.hide()
        self.notes_fold.hide()

    def _connect(self) -> None:
        session = self.session
        self.train_button.clicked.connect(lambda _=False: self.train())
        self.pause_button.clicked.connect(lambda _=False: self.pause())
        self.stop_button.clicked.connect(lambda _=False: self.stop())
        self.data_button.clicked.connect(lambda _=False: session.page_wanted.emit("Data"))
        self.new_labels.clicked.connect(lambda _=False: self.starting.use_new_labels())
        self.attach_button.clicked.connect(lambda _=False: self.attach(QFileDialog.getExistingDirectory(self, "A run")))
        self.setup.patch.measure_wanted.connect(self.starting.measure)
        self.start_from.currentIndexChanged.connect(lambda _: self.starting.start_chosen())
        self.runs_list.chosen.connect(self.follow)
        self.runs_list.ticked.connect(self.watching.draw)
        self.notes.editingFinished.connect(self._save_notes)
        self.runs.changed.connect(self._runs_changed)
        session.data.changed.connect(self._data_changed)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    # ---- what is on show

    @property
    def run(self) -> FollowedRun | None:
        """The run on show; None for none."""
        return self.watching.run

    def follow(self, folder: Path | None) -> None:
        """Show another run, from its journal; None for the form of a new one."""
        self.watching.follow(folder)
        self.runs_list.select(folder)
        self.notes.setText("" if folder is None else self.trainings.notes(folder))
        self.starting.offer_starts()
        self.update_controls()

    def attach(self, folder: str | Path) -> None:
        """Follow a run that was started elsewhere, by its folder."""
        if str(folder):
            try:
                run = self.runs.attach(Path(folder).absolute())
            except SegkitError as error:
                self.session.report(error, self.title)
                return
            self.runs_list.show_runs(self._listed())
            self.follow(run.folder)

    def _look(self) -> None:
        if not self._devices_known:
            self._devices_known = True
            self.session.in_background(devices, self.setup.show_devices, self.title)
        self._looks += 1
        awake = self.isVisible() or any(run.running for run in self.runs)
        if not self._reading and (awake or self._looks % IDLE_LOOKS == 0):
            self._reading = True
            self.session.tasks.start(self.runs.reader(), self._read)

    def _read(self, found: Any, error: Exception | None) -> None:
        self._reading = False
        if error is None:
            self.runs.take(found)
            self.watching.tick()

    def _listed(self) -> list[FollowedRun]:
        return sorted(self.runs, key=lambda run: run.written or float("inf"), reverse=True)

    def _runs_changed(self) -> None:
        self.runs_list.show_runs(self._listed())
        if self.run is not None:
            self.runs_list.select(self.run.folder)
        self.watching.draw()
        self.starting.offer_starts(anew=False)
        self.update_controls()

    def _data_changed(self) -> None:
        self.starting.labels_changed = True
        data = self.session.data
        if self.starting.start[0] == "new" and (data.truth == "load" or data.boxes.of(data.image)):
            self.setup.suggest_task("boundaries" if data.truth == "load" else "semantic")
        self.update_controls()

    def _save_notes(self) -> None:
        if self.run is not None:
            write = partial(self.trainings.note, self.run.folder, self.notes.text())
            self.session.in_background(write, lambda _: None, self.title)

    # ---- what can be done

    def train(self) -> None:
        """Start a new run, or continue the chosen one, as the list "Start from" says."""
        if self.train_button.isEnabled() and self.train_button.isVisibleTo(self):
            self.starting.go()

    def pause(self) -> None:
        """Save the run on show, and pause it."""
        job = None if self.run is None else self.trainings.job_of(self.run.folder)
        if job is not None:
            job.stop("paused")
        self.update_controls()

    def stop(self) -> None:
        """Save the run on show, and stop it, wherever it runs."""
        if self.run is not None:
            try:
                self.trainings.stop(self.run.folder)
            except SegkitError as error:
                self.session.report(error, self.title)
            self.starting.stopping = self.run.folder
        self.update_controls()

    def jobs_changed(self) -> None:
        job = self.session.jobs.of("train")
        if self.run is None and job is not None and not self.starting.declined:
            self.follow(job.output)
        self.update_controls()

    def update_controls(self) -> None:
        """Bring buttons and lines up to date with what is going on."""
        run = self.run
        job = None if run is None else self.trainings.job_of(run.folder)
        running = run is not None and (run.running or (job is not None and job.active))
        busy, reason = self.starting.busy, self.starting.reason()
        self.train_button.setVisible(not running)
        self.train_button.setText(busy or self.starting.verb)
        self.train_button.setEnabled(not busy and not reason)
        self.pause_button.setVisible(running and job is not None)
        self.stop_button.setVisible(running)
        asked = (job is not None and job.state in ("stopping", "pausing")) or (
            run is not None and running and self.starting.stopping == run.folder
        )
        self.pause_button.setEnabled(not asked)
        self.stop_button.setEnabled(not asked)
        self.stop_button.setText("Saving\N{HORIZONTAL ELLIPSIS}" if asked else "Stop and save")
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason) and not running and not busy)
        self.data_button.setVisible(self.starting.needs_data and not running and not busy)
        self.start_row.setVisible(not running)
        self.start_row.setEnabled(not busy)
        self.new_labels.setVisible(running and job is not None and self.starting.labels_changed)
        self.new_labels.setEnabled(not asked and not busy)
        shown = run is not None and (run.progress.state != "waiting" or running)
        for widget in (self.preview_row, self.model_sees):
            widget.setVisible(running)
        self.notes_fold.setVisible(shown)
        self.scores.setVisible(bool(self.scores.text()) and shown)

    def show_estimate(self, measured: Measured | None) -> None:
        """Say how long the training will take, from what a step takes."""
        if measured is not None:
            seconds = measured.seconds * self.setup.steps.value()
            self.estimate.setText(
                f"{eta_text(seconds, datetime.now()).capitalize()} on {measured.device}, and validation"
            )
        self.estimate.setVisible(measured is not None)

    # ---- kept between sessions

    def state(self) -> dict[str, Any]:
        return {
            "setup": self.starting.setup_state(),
            "attached": [str(folder) for folder in self.runs.attached],
            "run": "" if self.run is None else str(self.run.folder),
            "every": self.preview_row.every.value(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        dropped = self.setup.restore(state.get("setup", {}))
        if dropped:
            self.session.say(f"Left out, because installed components have it no more: {', '.join(dropped[:5])}")
        self.preview_row.every.setValue(int(state.get("every", self.preview_row.every.value())))
        self.runs.attached = [Path(folder) for folder in state.get("attached", []) if Path(folder).is_dir()]
        folder = Path(str(state.get("run") or "."))
        if (folder / "run.json").is_file():
            self.runs.of(folder)
            self.runs_list.show_runs(self._listed())
            self.follow(folder)
        self.update_controls()

    def layers_changed(self) -> None:
        self.watching.find_layer()

    def close_down(self) -> None:
        self._timer.stop()
        self.watching.close()


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    return button
