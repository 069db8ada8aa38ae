"""The page Predict: a model and an image become a prediction, objects and traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton

from napari_segkit.forms import Page, colours, line, primary_button
from napari_segkit.predict._choice import Choice
from napari_segkit.predict._estimating import Estimator
from napari_segkit.predict._instances import Instances
from napari_segkit.predict._live_outputs import LiveOutputs
from napari_segkit.predict._overlay import LiveOverlay
from napari_segkit.predict._progress import Interrupted, Progress
from napari_segkit.predict._run_all import RunAll
from napari_segkit.predict._running import PAGE, Running
from napari_segkit.predict._tracing import Tracing
from napari_segkit.predict._trying import Trying
from napari_segkit.session import Job, Session
from napari_segkit.session.predictions._answers import Answering
from napari_segkit.session.predictions._ledger import Ledger
from segkit.errors import SegkitError

__all__ = ["PredictPage"]

TICK_MS = 400
LOOK_EVERY = 5  # ticks


class PredictPage(Page):
    """Predict, segment and trace.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = PAGE
    hint = "G shows and hides the prediction"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.answers = Answering()
        self.choice = Choice(viewer, session)
        self.estimator = Estimator(session, self.answers)
        self.overlay = LiveOverlay(viewer, session, self.answers)
        self.trying = Trying(viewer, session, self.answers)
        self.live = LiveOutputs(viewer, session, self._ledger_moved)
        self.instances, self.tracing = Instances(viewer, session), Tracing(viewer, session)
        self.running = Running(viewer, session, self.choice, self.instances, self.tracing, self.live)
        self.progress, self.run_all = Progress(viewer), RunAll()
        self.interrupted = Interrupted(session, self.live.ledgers.get)
        self._hidden: list[Any] = []
        self._ticks = 0
        self._states: list[Any] = []
        self._lay_out()
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._model_chosen()
        self._show_readiness()

    def _lay_out(self) -> None:
        self.try_button = QPushButton("Try it")
        self.try_button.setToolTip("Predict one block in the middle of the view now, and show it over the image")
        self.try_button.setAccessibleName("Try it")
        self.live_button = QCheckBox("Live overlay (G hides)")
        self.live_button.setToolTip(
            "Predict what is on the canvas, tile by tile, wherever you go; G hides and shows it"
        )
        self.live_button.setAccessibleName("live overlay")
        row = QHBoxLayout()
        row.addWidget(self.try_button)
        row.addWidget(self.live_button, 1)
        self.said = line()
        self.said.hide()
        self.estimate = line()
        self.estimate.setAccessibleName("estimate")
        self.estimate.setToolTip("What predicting the region takes: blocks, time, and space on the disk")
        self.button = primary_button(
            "Predict", "Predict the region into the project; the layer fills in as blocks are done"
        )
        self.why_not = line()
        self.why_not.setAccessibleName("why not")
        self.column.addWidget(self.choice)
        self.column.addLayout(row)
        for widget in (self.said, self.estimate, self.why_not, self.button, self.interrupted, self.progress):
            self.column.addWidget(widget)
        for title, widget in (("Instances", self.instances), ("Traces", self.tracing)):
            self.column.addWidget(QLabel(f"<b>{title}</b>"))
            self.column.addWidget(widget)
        self.column.addWidget(self.run_all)
        self.column.addStretch(1)

    def _connect(self) -> None:
        session = self.session
        self.choice.changed.connect(self._show_readiness)
        self.choice.model_changed.connect(self._model_chosen)
        self.estimator.changed.connect(self._show_readiness)
        self.overlay.told.connect(self._say)
        self.trying.told.connect(self._tried)
        self.try_button.clicked.connect(lambda _=False: self.try_it())
        self.live_button.toggled.connect(self._live_toggled)
        running = self.running
        running.beginning.connect(self._make_room)
        running.listed.connect(self._listed)
        self.button.clicked.connect(lambda _=False: running.predict())
        self.interrupted.resume.connect(lambda path: running.resume(path))
        self.interrupted.start_over.connect(lambda path: running.resume(path, overwrite=True))
        self.instances.start.connect(lambda: running.segment())
        self.instances.prediction.shown.connect(lambda place: self.live.show(Path(place)))
        self.tracing.start.connect(running.trace)
        self.tracing.objects.shown.connect(running.show)
        self.run_all.start.connect(lambda: running.everything(self.run_all.wanted))
        self.run_all.end.connect(running.let_end)
        session.results_changed.connect(running.list_results)
        session.jobs.ended.connect(self._job_ended)

    # ---- what the buttons do

    def _make_room(self) -> None:
        """Leave memory and processors to a prediction that is about to begin."""
        self.live_button.setChecked(False)
        self.trying.remove()
        self._say("")
        self.estimator.want(None)
        if not self.estimator.busy and not self.trying.busy:
            self.answers.close()

    def try_it(self) -> None:
        """Predict one block in the middle of the view now."""
        try:
            card, level = self.choice.ready()
            device = self.choice.chosen_options().get("device", "auto")
        except SegkitError as error:
            self.session.report(error, self.title)
            return
        self.try_button.setEnabled(False)
        self.try_button.setText("Trying\N{HORIZONTAL ELLIPSIS}")
        box = self.choice.region.view(level, self.choice.layer, 1) if self.choice.layer is not None else None
        self.trying.start(card, level, box, device)

    def _tried(self, text: str) -> None:
        self.try_button.setText("Try it")
        self._say(text)
        self._show_readiness()

    def _live_toggled(self, on: bool) -> None:
        if not on:
            self.overlay.stop()
            self._say("")
            return
        try:
            card, level = self.choice.ready()
            device = self.choice.chosen_options().get("device", "auto")
        except SegkitError as error:
            self.live_button.setChecked(False)
            self.session.report(error, self.title)
            return
        self.trying.remove()
        self.overlay.start(card.package, card, level, device)

    def toggle_overlay(self) -> None:
        """Hide everything that predicts, or show again what was hidden."""
        ours = [layer for layer in self.viewer.layers if self._predicts(layer)]
        seen = [layer for layer in ours if layer.visible]
        back = [layer for layer in self._hidden if layer in ours] or ours[:1]
        for layer in seen or back:
            layer.visible = not seen
        self._hidden = seen
        if not ours:
            self.session.say("There is no prediction to show yet.")

    def _predicts(self, layer: Any) -> bool:
        about = layer.metadata.get("segkit", {})
        if layer in (*self.overlay.layers, *self.trying.layers):
            return True
        return Path(about.get("source") or "/").parent == self.session.project.folder / "predictions"

    # ---- keeping up

    def _job_ended(self, job: Job) -> None:
        if job.kind == "predict":
            self.live.read(job.output)

    def layers_changed(self) -> None:
        """List the layers that exist now."""
        self.choice.image.refresh()
        self.instances.prediction.refresh()
        self.tracing.objects.refresh()

    def jobs_changed(self) -> None:
        """Bring the page up to date with the jobs."""
        self.running.stages.pick_up()
        states = [(job.output, job.state) for job in self.session.jobs]
        if states != self._states:
            self._states = states
            self._listed()
        self._show_progress()
        self._show_readiness()

    def _listed(self) -> None:
        self.run_all.show_job(self.running.leading())
        self._list_interrupted()

    def _list_interrupted(self) -> None:
        paths = self.interrupted.paths()
        for path in paths:
            if path not in self.live.ledgers:
                self.live.read(path)
        self.interrupted.refresh(paths)

    def _ledger_moved(self, path: Path) -> None:
        self._show_progress()
        self._list_interrupted()

    def _predicting(self) -> Job | None:
        """Return the prediction that runs."""
        return next((job for job in self.session.jobs.active if job.kind == "predict"), None)

    def _show_progress(self) -> None:
        job = self._predicting()
        path = job.output if job is not None else next(iter(self.interrupted.rows), None)
        ledger: Ledger | None = self.live.ledgers.get(path) if path is not None else None
        self.progress.show_ledger(path, ledger, job is not None)

    @property
    def _seen(self) -> bool:
        """Whether this is the page that is shown."""
        return bool(self.isVisibleTo(self.window()))

    def _tick(self) -> None:
        self._ticks += 1
        job = self._predicting()
        if job is not None:
            self.live.follow(job)
        if not self.overlay.on:
            self.answers.rest()
        if not self._seen:
            return
        if self._ticks % LOOK_EVERY == 0:
            self.choice.model.refresh()
        self.choice.open_image()
        self.instances.follow()
        if job is not None:
            self._show_progress()
        self._estimate(busy=job is not None)

    def _estimate(self, *, busy: bool) -> None:
        """Ask what the choice takes, unless a prediction runs, which would make both slower."""
        try:
            chosen = None if busy else self.choice.prediction()
        except SegkitError:
            chosen = None
        self.estimator.want(chosen)
        self._show_readiness()

    def _model_chosen(self) -> None:
        card = self.choice.model.card
        if card is not None:
            self.instances.suggest(card.task)
            if not card.predicts:
                self.instances.follow_objects(card.package, self.choice.image.place)
        if self.overlay.on:
            self._live_toggled(True)

    def _show_readiness(self) -> None:
        """Say what a prediction takes, or why there can be none."""
        reason, wrong = "", False
        try:
            self.choice.prediction()
        except SegkitError as error:
            reason = str(error)
        estimator = self.estimator
        text = self.estimator.problem
        if estimator.estimate is not None:
            text = estimator.estimate.line(estimator.folder)
            wrong = bool(estimator.estimate.problem(estimator.folder))
        elif estimator.pending:
            text = "Estimating\N{HORIZONTAL ELLIPSIS}"
        wrong = wrong or bool(estimator.problem)
        self.estimate.setText("" if reason else text)
        self.estimate.setVisible(bool(text) and not reason)
        style = f"color: {colours()['error']};" if wrong else ""
        if style != self.estimate.styleSheet():
            self.estimate.setStyleSheet(style)
        self.why_not.setText(reason)
        self.why_not.setVisible(bool(reason))
        self.button.setEnabled(not reason and not wrong)
        self.run_all.allow(not reason and not wrong)
        self.try_button.setEnabled(self._can_try() and not self.trying.busy)
        self.live_button.setEnabled(self._can_try() or self.overlay.on)

    def _can_try(self) -> bool:
        try:
            self.choice.ready()
        except SegkitError:
            return False
        return True

    def _say(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))

    # ---- between sessions

    def state(self) -> dict[str, Any]:
        return {
            "choice": self.choice.state(),
            "instances": self.instances.state(),
            "traces": self.tracing.state(),
            **self.run_all.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for part, key in ((self.choice, "choice"), (self.instances, "instances"), (self.tracing, "traces")):
            if isinstance(state.get(key), dict):
                part.restore(state[key])
        self.run_all.restore(state)

    def close_down(self) -> None:
        self._timer.stop()
        self.overlay.stop()
        self.estimator.close()
        self.instances.close_down()
        self.choice.close_down()
        self.answers.end()
        for signal, slot in (
            (self.session.results_changed, self.running.list_results),
            (self.session.jobs.ended, self._job_ended),
        ):
            signal.disconnect(slot)
