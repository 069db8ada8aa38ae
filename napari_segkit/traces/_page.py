"""The page Traces: which neurons there are, where they run, what is wrong with them, and out with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt

from napari_segkit.forms import Page, line, primary_button
from napari_segkit.layers import add_hidden
from napari_segkit.layers._tracks import SLICES_SHOWN
from napari_segkit.session import Session
from napari_segkit.session.traces._columns import spaced
from napari_segkit.session.traces._filter import found_by
from napari_segkit.session.traces._set import TraceSet, trace_folders
from napari_segkit.traces._camera import in_view
from napari_segkit.traces._card import card_of
from napari_segkit.traces._comparing import Comparing
from napari_segkit.traces._error_list import ErrorList
from napari_segkit.traces._exporting import Exporting
from napari_segkit.traces._finder import Finder
from napari_segkit.traces._mending import Mending
from napari_segkit.traces._opening import Opening
from napari_segkit.traces._picking import Picking
from napari_segkit.traces._planes import cut_out
from napari_segkit.traces._popped import Popped
from napari_segkit.traces._revising import Revising
from napari_segkit.traces._scene import Scene
from napari_segkit.traces._set_picker import SetPicker
from napari_segkit.traces._table import Table
from napari_segkit.traces._table_model import TableModel
from napari_segkit.traces._view_buttons import ViewButtons
from napari_segkit.traces._walk import Walk
from napari_segkit.traces._writing_out import WritingOut

__all__ = ["TracesPage"]


class TracesPage(Page):
    """Traces.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        What it shows and changes.
    """

    title = "Traces"
    hint = "U focus, W only selected, J K branch points, N next tip, Q image plane; double click a trace to select it"

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(viewer, session)
        self.set: TraceSet | None = None
        self._remembered: dict[str, Any] = {}
        self.picker = SetPicker(session.project)
        self.summary, self.finder, self.walk = line(), Finder(), Walk()
        self.model = TableModel(self._reviewed)
        self.table = Table(self.model)
        self.popped = Popped(viewer, self.model, self.table, self._add_table)
        self.scene = Scene(viewer, session, self._drawn)
        self.buttons = ViewButtons()
        self.opening = Opening(session, self.scene.prepare, self.summary.setText, self._opened)
        self.revising = Revising(session, self.scene, Mending(self._segmentations), self._set_changed)
        self.comparing = Comparing(session, self.scene, ErrorList(self._segmentations, lambda: self.picker.paths))
        self.writing_out = WritingOut(session, self.scene, Exporting(self._segmentations), lambda: self.model.order)
        self.browse = primary_button("Open a folder of traces\N{HORIZONTAL ELLIPSIS}", "Open SWC files of any program")
        self._lay_out()
        self._connect()
        self.picking = Picking(viewer, self.scene.pick, self._known, self._clicked, self._centre, self._go)
        self._refresh()

    def _lay_out(self) -> None:
        folds = (self.revising.fold, self.comparing.fold, self.writing_out.fold)
        for part in (self.picker, self.summary, self.browse, self.finder):
            self.column.addWidget(part)
        self.column.addWidget(self.table, 1000)
        for part in (self.buttons, self.walk, *folds):
            self.column.addWidget(part)
        self.column.addStretch(1)  # where there is no table

    def _connect(self) -> None:
        session = self.session
        self.picker.wanted.connect(self.open)
        self.picker.popped.connect(self.popped.toggle)
        self.browse.clicked.connect(lambda _=False: self.picker.browse_folder())
        self.finder.changed.connect(self._filter)
        self.finder.colour_wanted.connect(self.scene.colour_by)
        self._add_table(self.table)
        self.buttons.focus_wanted.connect(self.focus)
        self.buttons.cycle_wanted.connect(self.cycle_shown)
        self.buttons.hide_wanted.connect(self.hide_selected)
        self.buttons.plane_wanted.connect(self.toggle_plane)
        self.buttons.slices.valueChanged.connect(self.scene.drawing.show_slices)
        self.walk.stepped.connect(lambda by: self.scene.step(self.scene.branches, by))
        self.walk.tip_wanted.connect(self.next_tip)
        self.walk.cut_out_wanted.connect(self.cut_out)
        self.walk.status_chosen.connect(lambda status: self.revising.mark(status=status))
        self.walk.noted.connect(lambda note: self.revising.mark(note=note))
        session.selection.changed.connect(self._selection_changed)
        session.results_changed.connect(self._results_changed)
        for event in (self.viewer.scene.camera.events.center, self.viewer.scene.camera.events.zoom):
            event.connect(self._moved)

    def _add_table(self, table: Table) -> None:
        """Listen to a table; one that is popped out is heard too."""
        table.chosen.connect(self._rows_chosen)
        table.activated_row.connect(lambda _: self.focus())
        table.dot_clicked.connect(lambda row: self._toggle_hidden([int(self.scene.neurons.ids[row])]))
        table.key_pressed.connect(self._key_pressed)
        table.tagged.connect(lambda status: self.revising.mark(status=status))
        table.installEventFilter(self)
        table.viewport().installEventFilter(self)

    def _key_pressed(self, key: str) -> None:
        keys = {
            "U": self.focus,
            "W": self.cycle_shown,
            "J": self.previous_branch,
            "K": self.next_branch,
            "N": self.next_tip,
            "Q": self.toggle_plane,
        }
        if key in keys:
            keys[key]()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Mouse buttons 4 and 5 go through the history of the selection."""
        if event.type() == event.Type.MouseButtonPress:
            steps = {Qt.MouseButton.BackButton: -1, Qt.MouseButton.ForwardButton: 1}
            if event.button() in steps:
                self._go(steps[event.button()])
                return True
        return bool(super().eventFilter(watched, event))

    # ---- the set

    def open(self, source: str | Path) -> None:
        """Open a set of traces: a folder of SWC files or one such file; reading goes on in the background."""
        path = Path(source)
        least = next((job.extra.get("shortest") for job in self.session.jobs if job.output == path), None)
        if least is not None:
            self.finder.least.setValue(float(least))
        self.picker.choose(path)
        self.opening.start(path)

    def _opened(self, found: TraceSet, prepared: Any) -> None:
        """Show a set: its layers first, which take napari long, one at a time, and then what they show."""
        self.scene.begin(found)
        self.session.later(partial(self._show, found, prepared))

    def _show(self, found: TraceSet, prepared: Any) -> None:
        self.set = found
        self.scene.show(found, prepared)
        for step in (self.scene.lay_out_selected, self.scene.lay_out_marks):
            self.session.later(step)
        self._fill()
        found.review.changed.connect(self._review_changed)
        self.table.show_columns(self._remembered.get("columns"))
        self._selection_changed()

    def _fill(self) -> None:
        neurons, columns = self.scene.neurons, self.scene.columns
        self.model.fill(neurons.ids, columns)
        unit = "\N{MICRO SIGN}m" if neurons.unit == "nm" else "voxels"
        titles = {"neuron": "neuron", "status": "status", **{c.key: c.title for c in columns if c.key != "id"}}
        self.finder.show_columns(titles, unit, self.scene.by)
        self.model.recolour(self.scene.colours, self.scene.hidden_rows)
        self._filter()
        self._refresh()

    def _set_changed(self) -> None:
        """Show neurons that were merged or split."""
        self._fill()
        self._selection_changed()

    def _refresh(self) -> None:
        """Show what there is, and hide what makes no sense without."""
        open_ = self.set is not None
        self.browse.setVisible(not open_)
        for part in (self.finder, self.table, self.buttons, self.walk, self.picker.pop):
            part.setVisible(open_)
        for fold in (self.revising.fold, self.writing_out.fold):
            fold.setVisible(open_)
        self._summarise()

    def _summarise(self) -> None:
        if self.set is None:
            self.summary.setText("No traces are open. Make some on the page Predict, or open SWC files.")
            return
        cable = next(column for column in self.scene.columns if column.key == "cable")
        total, shown = len(self.scene.neurons), len(self.model.order)
        micrometres = float(np.nansum(cable.values))
        length = f"{spaced(micrometres)} {cable.title.removeprefix('cable ')}"
        if self.scene.neurons.unit == "nm" and micrometres >= 1000:
            length = f"{spaced(micrometres / 1000, 1)} mm"
        count = spaced(total) if shown == total else f"{spaced(shown)} of {spaced(total)}"
        parts = [f"{count} neurons", length, self.scene.drawing.note]
        self.summary.setText(" \N{MIDDLE DOT} ".join(part for part in parts if part))

    def _segmentations(self) -> list[Path]:
        return self.session.project.results("segmentations")

    def _results_changed(self) -> None:
        new = self.picker.refresh()
        for picker in (
            self.revising.fold.segmentation,
            self.comparing.fold.segmentation,
            self.comparing.fold.skeletons,
        ):
            picker.refresh()
        self.writing_out.fold.segmentation.refresh()
        if new:
            self.open(new[0])

    # ---- table and filter

    def _reviewed(self, id: int) -> tuple[str, str]:
        return (self.set.review.status(id), self.set.review.note(id)) if self.set is not None else ("", "")

    def _filter(self) -> None:
        if self.set is None:
            return
        neurons = self.scene.neurons
        keep = found_by(self.finder.search.text(), neurons.ids, self.set.review)
        if self.finder.least.value():
            keep &= next(c for c in self.scene.columns if c.key == "cable").values >= self.finder.least.value()
        if self.finder.view_only.isChecked():
            depth = self.scene.drawing.slices * self.scene.drawing.grid(neurons.unit)[0][0]
            keep &= in_view(self.viewer, *neurons.boxes, depth)
        self.model.keep(keep)
        self.table.select(self.scene.rows, scroll=False)
        self._summarise()

    def _moved(self, event: Any = None) -> None:
        self.finder.settle()

    def _drawn(self) -> None:
        if len(self.scene.colours) == len(self.model.ids):
            self.model.recolour(self.scene.colours, self.scene.hidden_rows)

    def _review_changed(self) -> None:
        self.model.reviewed()
        if self.scene.by == "status":
            self.scene.recolour()
        self._show_card()

    # ---- the selection

    def _go(self, step: int) -> None:
        """Go back (-1) or forward (1) in the history of the selection."""
        if step < 0:
            self.session.selection.back()
        else:
            self.session.selection.forward()

    def _known(self, id: int) -> bool:
        return id in self.scene.neurons.rows

    def _rows_chosen(self, rows: list[int]) -> None:
        self.session.selection.choose(int(self.scene.neurons.ids[row]) for row in rows)

    def _clicked(self, id: int, node: int | None, add: bool) -> None:
        ids = self.session.selection.ids
        self.session.selection.choose([*(i for i in ids if i != id), id] if add else [id], node)

    def _centre(self, id: int, node: int) -> None:
        neurons = self.scene.neurons
        self.scene.go_to(neurons.nodes[neurons.node_starts[neurons.rows[id]] + node])

    def _selection_changed(self) -> None:
        if self.set is None:
            return
        self.scene.follow()
        for table in self.popped.tables:
            table.select(self.scene.rows)
        self._show_card()

    def _show_card(self) -> None:
        scene, row = self.scene, self.scene.active
        text = ""
        if row is not None:
            text = card_of(scene.neurons, row, scene.columns, len(scene.rows), self.session.data.image)
        here = np.flatnonzero(scene.branches == (-1 if scene.node is None else scene.node))
        at = (int(here[0]) + 1 if len(here) else 0, len(scene.branches)) if row is not None else None
        status, note = ("", "") if row is None else self._reviewed(int(scene.neurons.ids[row]))
        self.walk.show_neuron(text, at, status, note)
        hidden = bool(scene.rows) and all(scene.hidden_rows[scene.rows])
        self.buttons.show_selected(len(scene.rows), hidden)
        self.revising.refresh()

    # ---- what buttons and keys do

    def focus(self) -> None:
        """Bring the selected neurons into view (U)."""
        self.scene.focus()

    def cycle_shown(self) -> None:
        """Show all neurons, those selected with their neighbours, or only those selected (W)."""
        self.buttons.show_mode(self.scene.cycle())

    def previous_branch(self) -> None:
        """Go to the branch point before (J)."""
        self.scene.step(self.scene.branches, -1)

    def next_branch(self) -> None:
        """Go to the next branch point (K)."""
        self.scene.step(self.scene.branches, 1)

    def next_tip(self) -> None:
        """Go to the next end of the neuron (N)."""
        self.scene.step(self.scene.tips, 1)

    def toggle_plane(self) -> None:
        """Show or hide images in 3D (Q)."""
        shown = self.scene.planes.toggle()
        self.viewer.status = f"images in 3D are {'shown as planes' if shown else 'hidden'}"

    def hide_selected(self) -> None:
        """Hide the selected neurons, or show them again."""
        self._toggle_hidden([int(self.scene.neurons.ids[row]) for row in self.scene.rows])

    def _toggle_hidden(self, ids: list[int]) -> None:
        before, hidden = set(self.scene.hidden), set(self.scene.hidden)
        hide = not hidden.issuperset(ids)
        hidden = hidden | set(ids) if hide else hidden - set(ids)

        def show(which: set[int]) -> None:
            self.scene.set_hidden(which)
            self._show_card()

        show(hidden)
        if hide:
            self.session.say(f"{len(ids)} hidden", lambda: show(before))

    def cut_out(self) -> None:
        """Show the image around the place that is looked at in full resolution."""
        place = self.scene.place()
        read = None if place is None else cut_out(self.viewer, self.session.data.image, place)
        if read is None:
            self.session.say("No image is open to cut out of. Choose one on the page Data.")
            return

        def shown(found: list[Any]) -> None:
            for layer in [
                layer for layer in self.viewer.layers if layer.metadata.get("segkit", {}).get("role") == "cut-out"
            ]:
                self.viewer.layers.remove(layer)
            for layer in add_hidden(self.viewer, found):
                self.scene.drawing.put_below(layer)

        self.session.in_background(read, shown, self.title)

    # ---- the page

    def state(self) -> dict[str, Any]:
        """Return which set is open and how it is shown."""
        if self.set is None:
            return dict(self._remembered)
        return {
            "set": str(self.set.source),
            "columns": self.table.shown,
            "colour": self.scene.by,
            "slices": self.buttons.slices.value(),
            "least": self.finder.least.value(),
            "errors": str(self.comparing.folder or ""),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Open the set of before again, if it is there."""
        self._remembered = dict(state)
        self.scene.by = str(state.get("colour", "neuron"))
        self.buttons.slices.setValue(int(state.get("slices", SLICES_SHOWN)))
        self.finder.least.setValue(float(state.get("least", 0)))
        source = Path(str(state.get("set") or ""))
        if state.get("set") and (source.is_file() or trace_folders(source)):
            self.open(source)
        if state.get("errors"):
            self.comparing.show(Path(str(state["errors"])))

    def close_down(self) -> None:
        """Give double clicks back, and leave the layers to the viewer."""
        self.opening.stop()
        self.picking.release()
        self.scene.release()
        self.popped.close()
        self.session.selection.changed.disconnect(self._selection_changed)
        self.session.results_changed.disconnect(self._results_changed)
        for event in (self.viewer.scene.camera.events.center, self.viewer.scene.camera.events.zoom):
            event.disconnect(self._moved)
