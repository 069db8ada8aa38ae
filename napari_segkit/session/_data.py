"""What there is to train on: an image, its ground truth, and what is held out. Knows neither Qt nor napari."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psygnal import Signal

from napari_segkit.session._problem import Fix
from napari_segkit.session._project import Project
from segkit.errors import UsageError
from segkit.volume import Volume

__all__ = ["Check", "Data"]


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
    """

    ready: bool
    sentence: str
    fix: Fix | None = None


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
        """Ground truth that was loaded; None where there is none, or it is painted in boxes."""

    def choose_image(self, image: Volume | None) -> None:
        """Work on another image."""
        self.image = image
        self.changed.emit()

    def choose_labels(self, labels: Volume | None) -> None:
        """Take other ground truth."""
        self.labels = labels
        self.changed.emit()

    def checks(self) -> list[Check]:
        """Return what is ready for a training, and what is missing."""
        return [
            Check(self.image is not None, "An image is open" if self.image else "Open an image"),
            Check(self.labels is not None, "Labels are chosen" if self.labels else "Choose labels, or paint some"),
        ]

    def writer(self) -> Callable[[], dict[str, Any]]:
        """Return a function that writes what is only in memory and returns the tables ``dataset`` and ``sampling``.

        That function touches neither Qt nor napari, so that it may run in a thread (`Session.in_background`). The tables
        are merged into a recipe; ``sampling`` holds at most ``holdout``.

        Raises
        ------
        UsageError
            If something is missing; the message says what.
        """
        missing = [check.sentence for check in self.checks() if not check.ready]
        if missing or self.image is None or self.labels is None:
            raise UsageError(f"{' '.join(missing)}. The page Data shows what is needed.")
        image, labels = self.image, self.labels

        def write() -> dict[str, Any]:
            from napari_segkit.session._saving import saved

            where = self._project.place("layers")
            return {"dataset": {"name": "files", "raw": saved(image, where), "labels": saved(labels, where)}}

        return write
