"""The dock of segkit: brings pages, child process, journal, preview and errors together."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import napari
from qtpy.QtWidgets import QApplication, QTabWidget, QVBoxLayout, QWidget

from napari_segkit._background import Background
from napari_segkit._banner import Banner
from napari_segkit._job import STOPPED_CODES, Job, JobStrip
from napari_segkit._preview import LivePreview
from napari_segkit._project import ProjectBar, default_project
from napari_segkit._results import Results
from napari_segkit._results_page import ResultsPage
from napari_segkit._run_follower import RunFollower
from napari_segkit._train_page import TrainPage
from segkit.durable import replace_file
from segkit.errors import SegkitError
from segkit.recipe import Recipe, load_recipe

__all__ = ["Panel"]


class Panel(QWidget):  # type: ignore[misc]
    """Train a network on layers or files, watch it learn, predict, segment and trace.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel belongs to.
    project
        Folder in which everything is kept; None for that of the plugin's settings.
    """

    def __init__(self, napari_viewer: napari.Viewer, project: Path | None = None) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.job = Job()
        self.follower = RunFollower()
        self.background = Background()
        self.preview = LivePreview(napari_viewer)
        self.bar = ProjectBar(project or default_project())
        self.banner = Banner()
        self.train_page = TrainPage(napari_viewer)
        self.results_page = ResultsPage(napari_viewer)
        self.results = Results(self)
        self.strip = JobStrip(self.job)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.train_page, "Train")
        self.tabs.addTab(self.results_page, "Predict and trace")
        self._drawn_preview: tuple[int, str] | None = None
        self.setMinimumWidth(340)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self.bar)
        layout.addWidget(self.banner)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.strip)

        self.bar.run_chosen.connect(self.attach)
        self.train_page.train.connect(self.train)
        self.train_page.raw.changed.connect(self.update_controls)
        self.train_page.labels.changed.connect(self.update_controls)
        self.train_page.live.toggled.connect(self._live_toggled)
        self.train_page.channel.valueChanged.connect(self.preview.choose_channel)
        self.preview.told.connect(self.train_page.tell_preview)
        self.follower.changed.connect(self._run_changed)
        self.job.ticked.connect(self.update_controls)
        self.job.ended.connect(self._job_ended)
        self._on_end: Callable[[], None] = lambda: None
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.job.close)
        self.destroyed.connect(self.job.close)  # the dock was closed
        self.update_controls()

    def reset_choices(self, event: Any = None) -> None:
        """List the layers that exist now; napari calls this when they change."""
        self.train_page.raw.refresh()
        self.train_page.labels.refresh()
        self.results_page.refresh()
        self.update_controls()

    def closeEvent(self, event: Any) -> None:
        """Stop watching; a training saves itself and ends."""
        self.close_down()
        super().closeEvent(event)

    def close_down(self) -> None:
        """Release everything outside of this widget."""
        self.job.close()
        self.follower.close()
        self.preview.close()
        self.background.close()

    # ---- training

    def train(self) -> None:
        """Start a new run from the form, or continue the chosen one."""
        self.banner.hide()
        run = self.bar.run
        if run is not None:
            self._launch_training(run, run / "recipe.toml")
            return
        project, run = self.bar.project, self.bar.new_run()
        try:
            tables = self.train_page.recipe.tables()
            raw = self.train_page.raw.writer(project / "layers")
            labels = self.train_page.labels.writer(project / "layers")
        except SegkitError as error:
            self.banner.show_error(str(error))
            return

        def prepare() -> tuple[str, Path]:
            raw_place = raw()
            data = {"name": "files", "raw": raw_place, "labels": labels()}
            recipe = Recipe.from_mapping({**tables, "dataset": data}, project)
            path = project / "recipes" / f"{run.name}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, recipe.to_toml().encode())
            return raw_place, path

        def prepared(found: Any, error: Exception | None) -> None:
            if error is None:
                self.train_page.raw.saved_as(found[0])
                self.results_page.suggest(tables["task"]["name"])
                self._launch_training(run, found[1])
            else:
                self.show_failure(error)
            self.update_controls()

        self.in_background("Saving the layers", prepare, prepared)

    def _launch_training(self, run: Path, recipe: Path) -> None:
        try:
            self.job.start("Training", ["train", str(recipe), "--run", str(run)], self._log(run))
        except OSError as error:
            self.show_failure(error)
            return
        self._on_end = lambda: None
        self.bar.choose(run)
        self._follow(run)
        self.update_controls()

    def _log(self, run: Path) -> Path:
        return self.bar.project / "logs" / f"{run.name}.log"

    def attach(self, run: Path | None) -> None:
        """Show another run, from its journal; None for the form of a new one."""
        self.banner.hide()
        self._follow(run)
        if run is not None and (run / "recipe.toml").is_file():
            try:
                recipe = load_recipe(run / "recipe.toml")
                self.train_page.recipe.show_recipe(recipe)
                self.results_page.suggest(recipe.task.name)
            except SegkitError as error:
                self.banner.show_error(str(error))
        self.update_controls()

    def _follow(self, run: Path | None) -> None:
        self._drawn_preview = None
        self.follower.follow(run)
        if run is None:
            self.preview.stop()
        else:
            picker = self.train_page.raw
            self.preview.follow(run, picker.layer, picker.place)

    def _run_changed(self) -> None:
        progress = self.follower.progress
        self.train_page.show_run(progress)
        record = progress.preview
        if record is not None:
            key = (int(record["step"]), str(record.get("request")))
            if key != self._drawn_preview and self.preview.show_answer(dict(record)):
                self._drawn_preview = key
                self.train_page.offer_channels(self.preview.channels)
        self.update_controls()

    def _live_toggled(self, on: bool) -> None:
        self.preview.enabled = on
        if self.preview.layer is not None:
            self.preview.layer.visible = on
        if on:
            self.preview.ask()

    # ---- the job

    def in_background(self, what: str, work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> None:
        """Do short work in a thread, saying so in the strip."""
        if not self.background.busy:
            self.background.start(work, done)
            self.strip.show_progress(f"{what}\N{HORIZONTAL ELLIPSIS}", 0, 0)
            self.update_controls()

    def start_job(self, what: str, arguments: list[str], name: str, on_end: Callable[[], None]) -> None:
        """Run a segkit command, and call `on_end` when it has succeeded."""
        self.banner.hide()
        try:
            self.job.start(what, arguments, self.bar.project / "logs" / f"{name}.log")
        except OSError as error:
            self.show_failure(error)
            return
        self._on_end = on_end
        self.update_controls()

    def _job_ended(self, code: int) -> None:
        self.follower.look()
        child = self.job.child
        if code == 0:
            self._on_end()
        elif child is not None and self.job.stop_asked is None and code not in STOPPED_CODES:
            self.banner.show_error(child.error(), f"{child.command}\nended with code {code}\n\n{child.output()}")
        if self.job.what == "Training":
            self.bar.refresh()
        self.update_controls()

    def show_failure(self, error: Exception) -> None:
        """Say that something failed, once."""
        sentence = str(error) if isinstance(error, SegkitError) else f"{type(error).__name__}: {error}"
        self.banner.show_error(sentence, "".join(traceback.format_exception(error)))

    def update_controls(self) -> None:
        """Bring buttons and lines up to date with what is going on."""
        running, busy = self.job.running, self.background.busy
        run, progress = self.bar.run, self.follower.progress
        free = not running and not busy
        page = self.train_page
        page.recipe.setEnabled(free and run is None)
        page.raw.setEnabled(free and run is None)
        page.labels.setEnabled(free and run is None)
        self.bar.setEnabled(free)
        page.button.setVisible(not running)
        page.button.setText("Train" if run is None else f"Continue {run.name}")
        reason = ""
        if run is not None and progress.state == "finished" and progress.reason == "completed":
            reason = f"{run.name} is finished. Choose \N{LEFT SINGLE QUOTATION MARK}New run\N{RIGHT SINGLE QUOTATION MARK} above to train another."
        elif run is None and page.raw.layer is None and not page.raw.place:
            reason = "Open an image in napari (or File \N{RIGHTWARDS ARROW} Open Sample \N{RIGHTWARDS ARROW} segkit), or choose a file above."
        elif run is None and page.labels.layer is None and not page.labels.place:
            reason = "Choose labels: a labels layer, or a file."
        page.why_not.setText(reason)
        page.why_not.setVisible(bool(reason) and not running)
        page.button.setEnabled(free and not reason)
        self.results.update_controls(free)
        self._update_strip(running, busy)

    def _update_strip(self, running: bool, busy: bool) -> None:
        progress = self.follower.progress
        if busy:
            self.strip.show()
        elif (running and self.job.what == "Training") or (not running and self.follower.run is not None):
            self.strip.show_progress(progress.line(datetime.now()), progress.step, progress.steps)
            self.strip.show()
        elif running and self.job.child is not None:
            done, total = self.job.child.count() or (0, 0)
            count = f": {done} of {total}" if total else "\N{HORIZONTAL ELLIPSIS}"
            self.strip.show_progress(f"{self.job.what}{count}", done, total)
            self.strip.show()
        else:
            self.strip.hide()
