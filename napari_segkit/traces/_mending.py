"""Merging and splitting neurons by hand, and bringing that into the segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_segkit.forms import Fold, line
from napari_segkit.traces._place_picker import PlacePicker
from napari_segkit.traces._walk import small_button
from segkit.tracing import Edit

__all__ = ["Mending"]


class Mending(Fold):
    """Asks for everything by signals.

    Parameters
    ----------
    segmentations
        Returns the segmentations of the project.
    """

    merge_wanted = Signal()
    split_wanted = Signal()
    undo_wanted = Signal()
    apply_wanted = Signal()

    def __init__(self, segmentations: Callable[[], Sequence[Path]]) -> None:
        super().__init__("Merge and split")
        self.merge = small_button(
            "Merge selected", "Make one neuron of those that are selected, joined where they come closest"
        )
        self.split = small_button(
            "Split here",
            "Cut the neuron at the place you look at: what lies behind it, seen from the soma, becomes one of its own",
        )
        self.undo = small_button("Undo edit", "Take the last merge or split back")
        self.said = line()
        self.segmentation = PlacePicker("Segmentation", "The segmentation that the traces were drawn of", segmentations)
        self.apply = QPushButton("Apply to a copy of the segmentation")
        self.apply.setAccessibleName("apply the edits to a copy of the segmentation")
        self.apply.setToolTip(
            "Write the segmentation again with these merges and splits, block by block. Merged objects get one id, exactly; of one "
            "that was split each voxel goes to the part whose node is nearest"
        )
        row = QHBoxLayout()
        for button, signal in (
            (self.merge, self.merge_wanted),
            (self.split, self.split_wanted),
            (self.undo, self.undo_wanted),
            (self.apply, self.apply_wanted),
        ):
            button.clicked.connect(lambda _=False, signal=signal: signal.emit())
            if button is not self.apply:
                row.addWidget(button)
        self.body_layout.addLayout(row)
        self.body_layout.addWidget(self.said)
        self.body_layout.addWidget(self.segmentation)
        self.body_layout.addWidget(self.apply)

    def show_edits(self, edits: Sequence[Edit], selected: int) -> None:
        """Show what was done, and what can be done with so many selected neurons."""
        self.merge.setEnabled(selected > 1)
        self.split.setEnabled(selected > 0)
        self.undo.setEnabled(bool(edits))
        self.apply.setEnabled(bool(edits))
        merges = sum(edit.kind == "merge" for edit in edits)
        done = f"{merges} merged, {len(edits) - merges} split; kept in edits.jsonl beside the traces." if edits else ""
        last = f" Last: {edits[-1].kind} {' + '.join(map(str, edits[-1].ids))}." if edits else ""
        self.said.setText(done + last or "Select two neurons to merge them, or a place on one to split it.")
