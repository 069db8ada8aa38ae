"""What changes data of the project: tags, notes, merges and splits; each can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari_segkit.session import Job, Problem, Session
from napari_segkit.traces._mending import Mending
from napari_segkit.traces._scene import Scene
from segkit.errors import SegkitError
from segkit.tracing import Edit

__all__ = ["Revising"]


class Revising:
    """Does what the fold "Merge and split" and the card ask for.

    Parameters
    ----------
    session
        Whose selection is changed, and which says what was done.
    scene
        What is shown.
    fold
        The controls.
    changed
        Called when the neurons are others.
    """

    def __init__(self, session: Session, scene: Scene, fold: Mending, changed: Callable[[], None]) -> None:
        self._session, self._scene, self.fold, self._changed = session, scene, fold, changed
        fold.merge_wanted.connect(self.merge)
        fold.split_wanted.connect(self.split)
        fold.undo_wanted.connect(self.undo)
        fold.apply_wanted.connect(self.apply)
        session.jobs.when_done("mend", self._applied)

    def refresh(self) -> None:
        """Show what can be done now."""
        trace_set = self._scene.set
        self.fold.show_edits(trace_set.edits if trace_set is not None else (), len(self._scene.rows))

    def mark(self, *, status: str | None = None, note: str | None = None) -> None:
        """Give the selected neurons a status or a note."""
        trace_set = self._scene.set
        ids = [int(self._scene.neurons.ids[row]) for row in self._scene.rows]
        if trace_set is None or not ids:
            return
        old = {id: (trace_set.review.status(id), trace_set.review.note(id)) for id in ids}
        if all(
            (before[0] if status is None else status, before[1] if note is None else note) == before
            for before in old.values()
        ):
            return
        try:
            undo = trace_set.review.mark(ids, status=status, note=note)
        except SegkitError as error:
            self._session.report(error, "Traces")
            return
        who = f"Neuron {ids[0]}" if len(ids) == 1 else f"{len(ids)} neurons"
        what = "noted" if status is None else f"marked {status or 'as having no status'}"
        self._session.say(f"{who} {what}", undo)

    # ---- merges and splits

    def merge(self) -> None:
        """Make one neuron of those that are selected."""
        trace_set = self._scene.set
        if trace_set is None:
            return
        ids = list(self._session.selection.ids)
        edit = self._guarded(lambda: trace_set.merge(ids))
        if edit is not None:
            self._redraw(edit.ids[:1], f"{len(edit.ids)} neurons merged into {edit.ids[0]}")

    def split(self) -> None:
        """Cut the active neuron at the place that is looked at, or else where it is nearest to the middle of the view."""
        trace_set, row = self._scene.set, self._scene.active
        if trace_set is None or row is None:
            return
        node = self._scene.nearest() if self._scene.node is None else self._scene.node
        edit = self._guarded(lambda: trace_set.split(int(self._scene.neurons.ids[row]), node))
        if edit is not None:
            self._redraw(edit.ids, f"Neuron {edit.ids[0]} split: the part behind is {edit.ids[1]}")

    def undo(self) -> None:
        """Take the last merge or split back."""
        trace_set = self._scene.set
        edit = None if trace_set is None else self._guarded(trace_set.undo)
        if edit is not None:
            self._redraw(
                [id for id in edit.ids if id in self._scene.neurons.rows], f"{edit.kind} taken back", undone=True
            )

    def _guarded(self, work: Callable[[], Edit]) -> Edit | None:
        try:
            return work()
        except SegkitError as error:
            self._session.report(error, "Traces")
            return None

    def _redraw(self, ids: Sequence[int], text: str, undone: bool = False) -> None:
        """Measure and draw the neurons again, then select those that came of it."""
        trace_set, scene = self._scene.set, self._scene
        if trace_set is None:
            return
        neurons = trace_set.neurons
        wanted = list(ids)

        def done(prepared: Any) -> None:
            if trace_set is scene.set and neurons is trace_set.neurons:
                scene.show(trace_set, prepared)
                self._changed()
                self._session.selection.choose(wanted)
                self._session.say(text, None if undone else self.undo)

        self._session.in_background(lambda: scene.prepare(neurons), done, "Traces")

    # ---- voxels

    def apply(self) -> None:
        """Write the segmentation again with the edits, as a job."""
        trace_set, source = self._scene.set, self.fold.segmentation.path
        if trace_set is None or source is None:
            self._session.report(
                Problem(
                    "Choose the segmentation that the traces were drawn of; the edits are brought into a copy of it.",
                    page="Traces",
                )
            )
            return
        target = self._session.project.free("segmentations", f"{source.stem}-mended", ".zarr")
        arguments = ["mend", str(source), str(trace_set.folder), str(target)]
        try:
            self._session.jobs.start("mend", f"mend {source.stem}", arguments, target)
        except (SegkitError, OSError) as error:
            self._session.report(error, "Traces")

    def _applied(self, job: Job) -> None:
        self._session.results_changed.emit()
        self._session.say(f"The edits are applied: {job.output.name}")
