"""What starts the three stages, and what happens when one of them is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_segkit.layers import add_in_turn, create_layers, layers_showing, open_layers
from napari_segkit.predict._choice import Choice
from napari_segkit.predict._instances import Instances
from napari_segkit.predict._live_outputs import LiveOutputs
from napari_segkit.predict._result_picker import ResultPicker
from napari_segkit.predict._tracing import Tracing
from napari_segkit.session import Job, Session
from napari_segkit.session._caught import caught
from napari_segkit.session.predictions._stages import Stages
from segkit.errors import SegkitError

__all__ = ["PAGE", "Running"]

PAGE = "Predict"
Then = tuple[Mapping[str, Any], ...]


class Running(QObject):  # type: ignore[misc]
    """The stages as the page starts them.

    Parameters
    ----------
    viewer
        The napari viewer, in which results are shown.
    session
        Whose jobs they are.
    choice, instances, tracing
        Where it is said what each stage does.
    live
        Shows predictions while they are written.
    """

    beginning = Signal()
    """A prediction is about to be started: whatever else computes makes room."""
    listed = Signal()
    """The list of results or of what follows a job has changed."""

    def __init__(
        self,
        viewer: Any,
        session: Session,
        choice: Choice,
        instances: Instances,
        tracing: Tracing,
        live: LiveOutputs,
    ) -> None:
        super().__init__()
        self._viewer, self._session, self._live = viewer, session, live
        self._choice, self._instances, self._tracing = choice, instances, tracing
        self.stages = Stages(session)
        session.jobs.when_done("predict", self._predicted)
        session.jobs.when_done("segment", self._segmented)
        session.jobs.when_done("trace", self._traced)
        session.fixes["new_name"] = self._guarded(self.stages.write_beside)
        session.fixes["smaller_blocks"] = self._guarded(self.stages.smaller_blocks)

    def _guarded(self, work: Any) -> Any:
        """Return a function that does something and says why if it fails."""

        def run(*arguments: Any, **options: Any) -> Any:
            try:
                return work(*arguments, **options)
            except (SegkitError, OSError) as error:
                self._session.report(error, PAGE)
                return None

        return run

    # ---- starting

    def predict(self) -> None:
        """Predict the chosen region."""
        self._guarded(self._predict)()

    def _predict(self, then: Then = ()) -> None:
        chosen = self._choice.prediction()
        self.beginning.emit()
        self.stages.predict(chosen, self._choice.model.name, then)

    def segment(self, then: Then = ()) -> None:
        """Cut the chosen prediction into objects."""
        self._guarded(self._from_picker)(self._instances.prediction, self._instances.stage, self.stages.segment, then)

    def trace(self) -> None:
        """Trace the chosen objects."""
        self._guarded(self._from_picker)(self._tracing.objects, self._tracing.stage, self.stages.trace, ())

    def _from_picker(self, picker: ResultPicker, stage: Any, start: Any, then: Then) -> None:
        how, source_of = stage(), picker.writer()
        self._session.in_background(source_of, lambda source: self._guarded(start)(source, how, then), PAGE)

    def everything(self, wanted: list[str]) -> None:
        """Run some of the stages, one after the other."""
        self._guarded(self._everything)(wanted)
        self.listed.emit()

    def _everything(self, wanted: list[str]) -> None:
        if not wanted:
            raise SegkitError("No step is ticked. Tick some in the menu Steps.")
        stages = {"segment": self._instances.stage, "trace": self._tracing.stage}
        then = tuple(stages[kind]() for kind in wanted if kind in stages)
        if wanted[0] == "predict":
            self._predict(then)
        elif wanted[0] == "segment":
            self.segment(then[1:])
        else:
            self.trace()

    def leading(self) -> Job | None:
        """Return the job that others follow."""
        return next((job for job in self._session.jobs.open if job.extra.get("then")), None)

    def let_end(self) -> None:
        """Start nothing after the job that runs."""
        job = self.leading()
        if job is not None:
            self.stages.let_end(job)
            self._session.say(f"Nothing is started after {job.title}.")
        self.listed.emit()

    def resume(self, path: Path, overwrite: bool = False) -> None:
        """Go on with a prediction that was interrupted, or begin it again."""
        if overwrite:
            self._live.forget(path)
            for layer in layers_showing(self._viewer, path):  # they show what is about to be replaced
                self._viewer.layers.remove(layer)
        self._guarded(self.stages.resume)(path, overwrite=overwrite)
        self.listed.emit()

    # ---- what is done

    def _predicted(self, job: Job) -> None:
        self._live.end(job)
        self.list_results()
        self._instances.prediction.choose(job.output)
        self._go_on(job, "prediction")

    def _segmented(self, job: Job) -> None:
        self.list_results()
        self._tracing.objects.choose(job.output)
        self._instances.preview.setChecked(False)
        for layer in layers_showing(self._viewer, str(job.extra.get("source", ""))):
            if Path(str(job.extra["source"])).parent == self._session.project.folder / "predictions":
                layer.visible = False  # two overlays at once are hard to read; G shows it again
        # What comes next starts when they are shown: its process would take the time that napari needs for that.
        self.show(str(job.output), partial(self._go_on, job, "segmentation"))

    def _traced(self, job: Job) -> None:
        self._go_on(job, "traces")
        self._session.page_wanted.emit("Traces")

    def _go_on(self, job: Job, what: str) -> None:
        def go_on() -> None:
            if self._guarded(self.stages.go_on)(job) is None and not job.failure:
                self._session.say(f"The {what} {job.output.stem} {'are' if what == 'traces' else 'is'} done.")

        self._session.later(go_on)

    def list_results(self) -> None:
        """List what there is now."""
        self._instances.prediction.refresh()
        self._tracing.objects.refresh()
        self.listed.emit()

    def show(self, place: str, then: Callable[[], object] = lambda: None) -> None:
        """Bring a result to the canvas, then do something; the layer that is worked on stays the active one."""

        def opened(found: list[Any] | Exception) -> None:
            if isinstance(found, Exception):
                self._session.report(found, PAGE)
            elif not layers_showing(self._viewer, place):
                add_in_turn(self._viewer, found, self._session.later)
            self._session.later(then)

        shown = layers_showing(self._viewer, place)
        for layer in shown:
            layer.visible = True
        if shown:
            then()
        else:
            self._session.in_background(caught(lambda: create_layers(open_layers(place))), opened, PAGE)
