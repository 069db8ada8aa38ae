"""From the form to a training that runs: what stands in the way, where it starts from, and saving the data before."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject

from napari_segkit.session import Problem
from napari_segkit.session.trainings._trainings import Measured
from segkit.errors import SegkitError

__all__ = ["Starting"]

DOTS = "\N{HORIZONTAL ELLIPSIS}"


class Starting(QObject):  # type: ignore[misc]
    """What the button Train does.

    Parameters
    ----------
    page
        The page Train.
    """

    def __init__(self, page: Any) -> None:
        super().__init__(page)
        self._page = page
        self.busy = ""
        """What is done before the training starts, for the button; empty when nothing is."""
        self.labels_changed = False
        """Whether labels were saved since the run on show began."""
        self.stopping: Path | None = None
        """The run that was asked to stop last."""
        self.needs_data = False
        """Whether data are all that is missing."""
        self.declined = False
        """Whether the user wants a new run although another one is open."""
        self._own: dict[str, Any] | None = None
        self._offer: tuple[Any, ...] | None = None
        self._problem: str | None = None  # of the form; None where it has to be looked at again
        page.setup.changed.connect(self._forget)

    # ---- where it starts from

    def offer_starts(self, *, anew: bool = True) -> None:
        """List where a training can start from: from nothing, or from the run on show.

        Parameters
        ----------
        anew
            Whether to do so although nothing has changed, which forgets what the user chose there.
        """
        combo, run = self._page.start_from, self._page.run
        offer = None if run is None else (run.folder, run.running, run.interrupted, run.progress.state == "waiting")
        if offer == self._offer and not anew:
            return
        self._offer = offer
        combo.blockSignals(True)
        combo.clear()
        combo.addItem("New run", ("new", None))
        if run is not None and run.progress.state != "waiting":
            best = run.progress.best
            said = "" if best is None else f" (best {best[1]:.3f})"
            combo.addItem(f"Continue {run.name}{said}", ("continue", run.folder))
            combo.addItem(f"New run from the weights of {run.name}", ("branch", run.folder))
        combo.blockSignals(False)
        combo.setCurrentIndex(1 if run is not None and run.interrupted and combo.count() > 1 else 0)
        self.start_chosen()

    @property
    def start(self) -> tuple[str, Path | None]:
        """How it starts: ``new``, ``continue`` or ``branch``, and from which run."""
        kind, folder = self._page.start_from.currentData() or ("new", None)
        return str(kind), folder

    @property
    def verb(self) -> str:
        """Text of the button."""
        kind, folder = self.start
        return f"Continue {folder.name}" if kind == "continue" and folder is not None else "Train"

    def start_chosen(self) -> None:
        """Show the recipe of a run that goes on, or again what was typed for a new one."""
        setup, (kind, folder) = self._page.setup, self.start
        if kind == "new":
            if self._own is not None:
                setup.restore(self._own)
                self._own = None
        else:
            self._own = self._own or setup.state()
            recipe = None if folder is None else self._page.trainings.recipe_of(folder)
            if recipe is not None:
                setup.show_recipe(recipe)
        setup.allow({"new": "all", "continue": "steps", "branch": "rest"}[kind])
        self._page.update_controls()

    def setup_state(self) -> dict[str, Any]:
        """Return what is typed for a new run."""
        state: dict[str, Any] = self._page.setup.state()
        return self._own or state

    def _forget(self) -> None:
        self._problem = None

    def _form_problem(self) -> str:
        if self._problem is None:
            try:
                self._page.setup.tables()
                self._problem = ""
            except SegkitError as error:
                self._problem = str(error).replace("`", "")
        return self._problem

    def reason(self) -> str:
        """Return why nothing can be trained as it is; empty where it can."""
        page, (kind, folder) = self._page, self.start
        self.needs_data = False
        if kind == "continue" and folder is not None:
            progress = page.runs.of(folder).progress
            if progress.state == "finished" and progress.step >= page.setup.steps.value():
                return f"{folder.name} has done all its {progress.step} steps. Raise Steps to go on."
            return ""
        if self._form_problem():
            return self._form_problem()
        missing = [check.sentence for check in page.session.data.checks() if not check.ready]
        self.needs_data = bool(missing)
        return f"{missing[0]}, on the page Data." if missing else ""

    # ---- going

    def go(self) -> None:
        """Start or continue."""
        kind, folder = self.start
        if kind == "continue" and folder is not None:
            recipe = self._page.trainings.recipe_of(folder)
            steps = self._page.setup.steps.value()
            more = steps if recipe is None or steps != recipe.training.steps else None
            self._try(lambda: self._page.trainings.go_on(folder, more))
            return
        try:
            tables, write = self._page.setup.tables(), self._page.session.data.writer()
        except SegkitError as error:
            self._page.session.report(error, self._page.title)
            return
        name, automatic = self._page.session.project.new_run().name, self._page.setup.patch.value() is None

        def prepare() -> tuple[dict[str, Any], Measured | None]:
            import_module("napari_segkit.train._curves")  # with pyqtgraph; needed soon, and importing it takes long
            full, measured = _with_data(tables, write()), None
            if automatic:
                path = self._page.trainings.write(full, name)
                measured = self._page.trainings.measure(path, largest=True)
                full["sampling"] = {**full["sampling"], "patch_shape": list(measured.patch_shape)}
            return full, measured

        def prepared(found: tuple[dict[str, Any], Measured | None]) -> None:
            full, measured = found
            if measured is not None:
                self._page.setup.patch.show_measured(measured)
                self._page.show_estimate(measured)
            trainings = self._page.trainings
            if folder is not None:
                self._try(lambda: trainings.branch(folder, full))
            else:
                self._try(lambda: trainings.start(trainings.write(full, name), trainings.reserve(name)))

        self._in_background("Trying a step" if automatic else "Saving the data", prepare, prepared)

    def measure(self) -> None:
        """Try a step of what is typed, and say what it takes."""
        try:
            tables, write = self._page.setup.tables(), self._page.session.data.writer()
        except SegkitError as error:
            self._page.setup.patch.say(str(error).replace("`", ""))
            return
        automatic = self._page.setup.patch.value() is None

        def work() -> Measured:
            path = self._page.trainings.write(_with_data(tables, write()), "measured")
            measured: Measured = self._page.trainings.measure(path, largest=automatic)
            return measured

        def done(measured: Measured) -> None:
            self._page.setup.patch.show_measured(measured)
            self._page.show_estimate(measured)

        self._page.setup.patch.say(f"trying a step{DOTS}")
        self._in_background("Trying a step", work, done)

    def use_new_labels(self) -> None:
        """Save the run on show, read the labels again, and go on: in the same run, or in a new one where data were added."""
        page, run = self._page, self._page.run
        if run is None:
            return
        try:
            write = page.session.data.writer()
        except SegkitError as error:
            page.session.report(error, page.title)
            return
        job = page.trainings.job_of(run.folder)

        def done(changed: dict[str, Any] | None) -> None:
            self.labels_changed = False
            if changed is None:
                self._try(lambda: page.trainings.go_on(run.folder))
                page.session.say(f"{run.name} goes on with the new labels")
            else:
                self._try(lambda: page.trainings.branch(run.folder, changed))
                page.session.say(f"A new run goes on from {run.name} with the new data")

        def work() -> dict[str, Any] | None:
            changed: dict[str, Any] | None = page.trainings.changes(run.folder, write())
            return changed

        def stopped() -> None:
            self._in_background("Reading the labels", work, done)

        if job is not None and job.active:
            self._set_busy("Saving the run")
            job.stop("paused")
            page.session.jobs.ended.connect(_once(page.session.jobs.ended, job, stopped))
        else:
            stopped()

    def _try(self, start: Callable[[], Any]) -> None:
        """Start a job, and follow its run; say what went wrong."""
        try:
            job = start()
        except (SegkitError, OSError) as error:
            self._page.session.report(error, self._page.title)
            return
        self.labels_changed, self.declined, self.stopping = False, False, None
        self._page.follow(job.output)
        self._page.setup_fold.button.setChecked(False)

    def _in_background(self, what: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._set_busy(what)

        def finished(result: Any, error: Exception | None) -> None:
            self._set_busy("")
            if error is None:
                done(result)
            else:
                self._page.setup.patch.say("")
                self._page.session.report(Problem.of(error, self._page.title))
            self._page.update_controls()

        self._page.session.tasks.start(work, finished)

    def _set_busy(self, what: str) -> None:
        self.busy = f"{what}{DOTS}" if what else ""
        self._page.update_controls()


def _with_data(tables: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    return {**tables, **data, "split": {**tables.get("split", {}), **data.get("split", {})}}


def _once(signal: Any, job: Any, action: Callable[[], None]) -> Callable[[Any], None]:
    """Return a slot that acts when this job has ended, and then is connected no more."""

    def ended(which: Any) -> None:
        if which is job:
            signal.disconnect(ended)
            action()

    return ended
