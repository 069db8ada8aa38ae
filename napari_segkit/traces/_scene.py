"""What is seen of a set of traces: layers, camera and planes follow the selection of the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_segkit.session import Session
from napari_segkit.session.jobs._stops import stops
from napari_segkit.session.traces._columns import Column, columns_of
from napari_segkit.session.traces._neurons import Neurons
from napari_segkit.session.traces._rays import hit
from napari_segkit.session.traces._set import TraceSet
from napari_segkit.session.traces._sketch import MOST_EDGES, Sketch, sketch
from napari_segkit.traces._camera import Camera
from napari_segkit.traces._colours import colours_of
from napari_segkit.traces._drawing import ALL, NEIGHBOURS, SELECTED, Drawing
from napari_segkit.traces._planes import Planes

__all__ = ["Scene"]

Array = np.ndarray[Any, Any]
MODES = (ALL, NEIGHBOURS, SELECTED)


class Scene:
    """The traces on the canvas.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose selection is shown.
    drawn
        Called when the neurons or their colours were drawn again.
    """

    def __init__(self, viewer: Any, session: Session, drawn: Callable[[], None]) -> None:
        self.viewer, self.session, self._told = viewer, session, drawn
        self.drawing, self.camera, self.planes = Drawing(viewer), Camera(viewer), Planes(viewer)
        self.set: TraceSet | None = None
        self._neurons = Neurons.of([])
        self.columns: list[Column] = []
        self.colours: Array = np.zeros((0, 4))
        self.hidden: set[int] = set()
        self.by = "neuron"
        self.branches: Array = np.zeros(0, np.int64)
        self.tips: Array = np.zeros(0, np.int64)
        self._of: tuple[Neurons, int] | None = None

    @property
    def neurons(self) -> Neurons:
        """The neurons that are drawn; none where no set is open."""
        return self._neurons

    # ---- the set

    def prepare(self, neurons: Neurons) -> tuple[list[Column], Sketch]:
        """Measure and simplify neurons; touches neither Qt nor napari, so that it may run in a thread."""
        return columns_of(neurons), sketch(neurons, self._tolerance(neurons), MOST_EDGES)

    def begin(self, trace_set: TraceSet) -> None:
        """Get ready for another set: `show` only draws in the layer that this adds."""
        self.drawing.clear()
        self.hidden.clear()
        self.drawing.lay_out(ALL, trace_set.neurons)

    def lay_out_selected(self) -> None:
        """Add the layer of what is selected before anything is."""
        self.drawing.lay_out(SELECTED, self.neurons)

    def lay_out_marks(self) -> None:
        """Add the layer of branch points and tips before any are seen."""
        if len(self.neurons) and self.drawing.layer("marks") is None:
            self.drawing.lay_out_marks(self.neurons.unit)

    def show(self, trace_set: TraceSet, prepared: tuple[list[Column], Sketch]) -> None:
        """Draw the neurons that a set has now, prepared by `prepare`; `follow` draws what is selected of them."""
        self.set, self._neurons, self._of = trace_set, trace_set.neurons, None
        self.columns = prepared[0]
        self.colours = self._coloured()
        self.drawing.show_all(self.neurons, prepared[1], self.colours, self.hidden_rows)
        self._told()

    def _tolerance(self, neurons: Neurons) -> float:
        # Two voxels; where no image says how large one is, a part of the extent that nobody sees.
        size = self._voxel.get(neurons.unit)
        if size is None and len(neurons):
            low, high = neurons.boxes
            size = float((high.max(axis=0) - low.min(axis=0)).max()) / 5000
        return 2 * (size or 1.0)

    @property
    def _voxel(self) -> dict[str, float]:
        return {unit: min(size) for unit in ("nm", "voxel") if (size := self.drawing.grid(unit)[0]) != (1.0,) * 3}

    # ---- colours

    def colour_by(self, key: str) -> None:
        """Colour neurons by themselves, their status or a column."""
        self.by = key
        self.recolour()

    def recolour(self) -> None:
        """Colour everything anew."""
        self.colours = self._coloured()
        self.drawing.recolour(self.colours, self.hidden_rows)
        self._told()

    def _coloured(self) -> Array:
        if self.set is None:
            return np.zeros((0, 4))
        ids = self.neurons.ids
        statuses = [self.set.review.status(id) for id in ids.tolist()] if self.by == "status" else []
        return colours_of(self.by, ids, self.columns, statuses)

    @property
    def hidden_rows(self) -> Array:
        """Which neurons ``(N,)`` are hidden."""
        return np.isin(self.neurons.ids, np.array(sorted(self.hidden), np.uint64))

    def set_hidden(self, ids: set[int]) -> None:
        """Hide these neurons and no others."""
        self.hidden = set(ids)
        self.drawing.recolour(self.colours, self.hidden_rows)
        self._told()

    # ---- the selection

    @property
    def rows(self) -> list[int]:
        """Rows of the selected neurons of this set, the active one last."""
        known = self.neurons.rows
        return [known[id] for id in self.session.selection.ids if id in known]

    @property
    def active(self) -> int | None:
        """Row of the active neuron; None where none is, or it is of another set."""
        id = self.session.selection.active
        return None if id is None else self.neurons.rows.get(id)

    @property
    def node(self) -> int | None:
        """Node of the active neuron that is looked at, counted from its first."""
        row, node = self.active, self.session.selection.node
        if row is None or node is None:
            return None
        return node if node < int(np.diff(self.neurons.node_starts)[row]) else None

    def place(self) -> Array | None:
        """Return where the node that is looked at is, or else the node of the active neuron that is nearest to the view."""
        row = self.active
        if row is None:
            return None
        nodes = self.neurons.nodes[self.neurons.node_starts[row] : self.neurons.node_starts[row + 1]]
        place: Array = nodes[self.nearest() if self.node is None else self.node]
        return place

    def nearest(self) -> int:
        """Return the node of the active neuron that is nearest to the middle of the view."""
        row = self.active
        assert row is not None
        nodes = self.neurons.nodes[self.neurons.node_starts[row] : self.neurons.node_starts[row + 1]]
        here = np.asarray(self.viewer.scene.camera.center, float).copy()
        if self.viewer.dims.ndisplay == 2 and self.viewer.dims.ndim > 2:
            here[0] = float(self.viewer.dims.point[self.viewer.dims.order[-3]])
        return int(((nodes - here) ** 2).sum(axis=1).argmin())

    def follow(self) -> None:
        """Draw what is selected."""
        if self.set is None:
            return
        self.drawing.select(self.neurons, self.rows, self.colours)
        row = self.active
        if row is None:
            self.branches = self.tips = np.zeros(0, np.int64)
            self._of = None
        elif self._of is None or self._of[0] is not self.neurons or self._of[1] != row:
            self.branches, self.tips = stops(self.neurons.trace(row))
            self._of = (self.neurons, row)
        self._mark(row)

    def _mark(self, row: int | None) -> None:
        at = np.concatenate([self.branches, self.tips])
        kinds = np.repeat([0, 1], [len(self.branches), len(self.tips)])
        here = None
        if self.node is not None:
            hits = np.flatnonzero(at == self.node)
            if not len(hits):
                at, kinds = np.append(at, self.node), np.append(kinds, 0)
            here = int(hits[0]) if len(hits) else len(at) - 1
        start = 0 if row is None else int(self.neurons.node_starts[row])
        self.drawing.mark(
            self.neurons.nodes[at + start] if len(at) else np.zeros((0, 3)), kinds, self.neurons.unit, here
        )

    # ---- what people do

    def focus(self) -> bool:
        """Bring the selected neurons into view; return whether there are any."""
        rows = self.rows
        if not rows:
            return False
        place = self.place()
        assert place is not None
        starts = self.neurons.node_starts
        nodes = np.concatenate([self.neurons.nodes[starts[row] : starts[row + 1]] for row in rows])
        self.camera.show_nodes(nodes, float(place[0]))
        self.planes.move_to(float(place[0]))
        return True

    def look_at(self, node: int) -> None:
        """Go to a node of the active neuron."""
        self.session.selection.look_at(node)
        place = self.place()
        if place is not None:
            self.go_to(place)

    def go_to(self, place: Array) -> None:
        """Go to a place ``(z, y, x)``."""
        self.camera.show_place(np.asarray(place, float))
        self.planes.move_to(float(place[0]))

    def step(self, places: Array, by: int) -> None:
        """Go to the next or previous of some nodes of the active neuron."""
        if not len(places) or self.active is None:
            return
        here = np.flatnonzero(places == self.node) if self.node is not None else np.zeros(0, int)
        at = (int(here[0]) + by) % len(places) if len(here) else (0 if by > 0 else len(places) - 1)
        self.look_at(int(places[at]))

    def cycle(self) -> str:
        """Show all, the selected with their neighbours, or only the selected, one after the other."""
        self.drawing.shown = MODES[(MODES.index(self.drawing.shown) + 1) % len(MODES)]
        self.follow()
        return self.drawing.shown

    def pick(self, position: Any, direction: Any, reach: float) -> tuple[int, int] | None:
        """Return the id and node of the trace that a ray passes; None if there is none."""
        if self.set is None or self.drawing.layer(ALL) is None:
            return None
        seen = ~self.hidden_rows
        if self.rows and self.drawing.shown == SELECTED:
            seen &= np.isin(np.arange(len(self.neurons)), self.rows)
        depth = np.inf
        if self.viewer.dims.ndisplay == 2:
            depth = self.drawing.slices * self.drawing.grid(self.neurons.unit)[0][0]
        found = hit(self.neurons, position, direction, reach, depth, seen)
        return None if found is None else (int(self.neurons.ids[found.row]), found.node)

    def release(self) -> None:
        """Release the viewer; layers stay."""
        self.camera.arrive()
        self.planes.release()
        self.drawing.release()
