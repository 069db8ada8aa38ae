"""What there is to train on: an image, its ground truth, and what is held out. Knows neither Qt nor napari."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

from psygnal import Signal

from napari_segkit.session._problem import Fix
from napari_segkit.session._project import Project
from napari_segkit.session.images._boxes import Boxes
from napari_segkit.session.images._fitting import Fit, fit
from napari_segkit.session.images._overview import needs_overview, with_voxel_size
from segkit.errors import UsageError
from segkit.volume import Spacing, Volume

__all__ = ["ADVISED", "Check", "Data"]

ADVISED = 500
"""Voxels of each class that are advised at least."""


@dataclass(frozen=True)
class Check:
    """One line of the list "Ready?".

    Parameters
    ----------
    ready
        Whether nothing has to be done.
    sentence
        What is so, or what is missing.
    fix
        What helps; None where nothing is one click away.
    advice
        Whether something could be better; a training is possible all the same.
    """

    ready: bool
    sentence: str
    fix: Fix | None = None
    advice: bool = False


class Data:
    """The image that is worked on and its ground truth.

    Parameters
    ----------
    project
        Where layers that are only in memory, and annotation boxes, are kept.
    """

    changed = Signal()

    def __init__(self, project: Project) -> None:
        self._project = project
        self.image: Volume | None = None
        """The image, as `segkit.open_volume` or a napari layer gives it; None before one was chosen."""
        self.labels: Volume | None = None
        """Ground truth that was loaded, as it was opened; None where there is none."""
        self.boxes = Boxes(project)
        """Ground truth that is painted."""
        self.truth: Literal["paint", "load"] = "paint"
        """Which of both is trained on."""
        self.hold_out: Literal["auto", "boxes"] = "auto"
        """Whether a part of every box or image is held out, or the boxes with the role ``"check"``."""
        self.size_from: Literal["file", "assumed", "you"] = "assumed"
        """Who says how large a voxel is."""
        self.boxes.changed.connect(self.changed.emit)

    # ---- what people choose

    def choose_image(self, image: Volume | None) -> None:
        """Work on another image."""
        self.image = image
        self.size_from = "file" if image is not None and image.unit == "nm" else "assumed"
        self.changed.emit()

    def keeper(self) -> Callable[[], str] | None:
        """Return a function that writes an image which is only in memory into the project; None for any other.

        It may run in a thread; hand what it returns to `image_kept`.
        """
        from napari_segkit.session.images._saving import is_place, saved

        image = self.image
        if image is None or is_place(image.source):
            return None
        return lambda: saved(image, self._project.place("layers"))

    def image_kept(self, name: str, source: str) -> None:
        """Call the image, and the boxes in it, by where it was written instead of by the name of its layer."""
        for box in self.boxes.all:
            if box.image == name:
                box.image = source
        self.boxes.write_index()
        if self.image is not None and self.image.source == name:
            self.image = replace(self.image, source=source)
            self.changed.emit()

    def set_voxel_size(self, voxel_size: Spacing) -> None:
        """Say how large a voxel of the image is, in nm, whatever its file says.

        Raises
        ------
        UsageError
            If there is no image, or a size is not above 0.
        """
        if self.image is None:
            raise UsageError("There is no image whose voxels could have a size. Open one first.")
        if not all(0 < size < 1e9 for size in voxel_size):
            raise UsageError(f"A voxel of {voxel_size} nm (z, y, x) cannot be; each number must be above 0.")
        self.image = with_voxel_size(self.image, voxel_size)
        self.size_from = "you"
        for box in self.boxes.of(self.image):
            box.kept = None  # its place on disk is in nm
        self.changed.emit()

    def choose_labels(self, labels: Volume | None) -> None:
        """Take ground truth that was made elsewhere."""
        self.labels = labels
        if labels is not None:
            self.truth = "load"
        self.changed.emit()

    def choose_truth(self, truth: Literal["paint", "load"]) -> None:
        """Train on what is painted, or on what was loaded."""
        self.truth = truth
        self.changed.emit()

    def choose_hold_out(self, hold_out: Literal["auto", "boxes"]) -> None:
        """Choose what is held out."""
        self.hold_out = hold_out
        self.changed.emit()

    # ---- what is ready

    @property
    def fit(self) -> Fit | None:
        """How the loaded labels fit the image; None where one of both is missing."""
        return None if self.image is None or self.labels is None else fit(self.image, self.labels)

    def checks(self) -> list[Check]:
        """Return what is ready for a training, and what is missing."""
        image = self.image
        if image is None:
            return [Check(False, "Open an image", Fix("open_sample", "Open the sample"))]
        found = [Check(True, "An image is open")]
        if self.size_from == "assumed":
            fix = Fix("set_voxel_size", "Enter it")
            found.append(Check(True, "The voxel size is assumed: enter it if you know it", fix, advice=True))
        if needs_overview(image):
            fix = Fix("build_overview", "Build overview")
            found.append(Check(True, "Only a cut-out can be shown before an overview is built", fix, advice=True))
        return found + (self._painted() if self.truth == "paint" else self._loaded())

    def _loaded(self) -> list[Check]:
        found = self.fit
        if found is None:
            return [Check(False, "Choose labels, or paint some", Fix("choose_labels", "Choose labels"))]
        fix = None if found.fixed is None else Fix("fit_labels", found.label)
        return [Check(found.ready, found.sentence if not found.ready else "Labels are chosen", fix)]

    def _painted(self) -> list[Check]:
        boxes = self.boxes.of(self.image)
        if not boxes:
            return [Check(False, "Paint a part of the image in a box", Fix("new_box", "New box here"))]
        least = min(boxes, key=lambda box: box.painted)
        there = Fix("go_to_box", f"Go to {least.name}", least.name)
        counts: dict[int, int] = {}
        for box in boxes:
            for value, number in box.counts.items():
                counts[value] = counts.get(value, 0) + number
        if len(counts) < 2:
            return [Check(False, "Paint at least two classes: one alone teaches nothing", there)]
        found = [Check(True, f"{sum(counts.values()):,} voxels are painted".replace(",", "\N{NARROW NO-BREAK SPACE}"))]
        for value, name in enumerate(self.boxes.classes, 1):
            number = counts.get(value, 0)
            if number < ADVISED:
                words = f"{name}: {number} voxels, at least {ADVISED} advised"
                found.append(Check(True, words, there, advice=True))
        if self.hold_out == "boxes":
            roles = {box.role for box in boxes if box.painted}
            for role, word in (("train", "Train"), ("check", "Check")):
                if role not in roles:
                    fix = Fix("hold_out_auto", "Hold out automatically")
                    found.append(Check(False, f"No painted box has the role {word}", fix))
        return found

    def writer(self) -> Callable[[], dict[str, Any]]:
        """Return a function that writes what is only in memory and returns tables of a recipe.

        That function touches neither Qt nor napari, so that it may run in a thread (`Session.in_background`). The tables
        are ``dataset``, ``split`` (at most ``share``), and ``validation_dataset`` where painted boxes are held out;
        each is merged into the recipe.

        Raises
        ------
        UsageError
            If something is missing; the message says what.
        """
        missing = [check.sentence for check in self.checks() if not check.ready]
        if missing or self.image is None:
            raise UsageError(f"{'. '.join(missing)}. The page Data shows what is needed.")
        if self.truth == "paint":
            return self._painted_writer(self.image)
        return self._loaded_writer(self.image)

    def _size(self, image: Volume) -> dict[str, Any]:
        return {"voxel_size": list(image.voxel_size)} if self.size_from == "you" else {}

    def _loaded_writer(self, image: Volume) -> Callable[[], dict[str, Any]]:
        found = self.fit
        assert found is not None  # or a check would not be ready
        size = self._size(image)

        def write() -> dict[str, Any]:
            from napari_segkit.session.images._saving import saved

            where = self._project.place("layers")
            table = {"name": "files", "raw": saved(image, where), "labels": saved(found.labels, where), **size}
            return {"dataset": table | ({"boxes": True} if found.boxes else {}), "split": {"share": 0.15}}

        return write

    def _painted_writer(self, image: Volume) -> Callable[[], dict[str, Any]]:
        from napari_segkit.session.images._painted import Painted

        boxes = self.boxes.of(image)
        painted, hold_out, size = [Painted.of(box, image) for box in boxes], self.hold_out, self._size(image)
        savers = [self.boxes.saver(box, image) for box in boxes if box.dirty]

        def write() -> dict[str, Any]:
            from napari_segkit.session.images._painted import tables_of
            from napari_segkit.session.images._saving import saved

            with ExitStack() as saving:  # one that fails keeps no other from being saved
                for save in reversed(savers):
                    saving.callback(save)
            where = self._project.place("layers")
            tables = tables_of(painted, image, saved(image, where), hold_out, where)
            for key in ("dataset", "validation_dataset"):
                if key in tables:
                    tables[key] |= size
            return tables

        return write
