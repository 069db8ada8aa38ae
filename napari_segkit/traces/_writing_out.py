"""Exports, written in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_segkit.session import Session
from napari_segkit.session.traces._exports import Export
from napari_segkit.traces._exporting import Exporting
from napari_segkit.traces._scene import Scene

__all__ = ["WritingOut"]


class WritingOut:
    """Does what the fold "Export" asks for.

    Parameters
    ----------
    session
        Whose threads write.
    scene
        What is shown.
    fold
        The controls.
    filtered
        Returns the rows that the table shows.
    """

    def __init__(self, session: Session, scene: Scene, fold: Exporting, filtered: Callable[[], Any]) -> None:
        self._session, self._scene, self.fold, self._filtered = session, scene, fold, filtered
        fold.wanted.connect(self.write)
        fold.export.setEnabled(True)
        fold.segmentation.refresh()

    def rows(self, scope: str) -> list[int]:
        """Return which neurons are selected, filtered, or all."""
        if scope == "selected":
            return sorted(self._scene.rows)
        if scope == "filtered":
            return sorted(int(row) for row in self._filtered())
        return list(np.arange(len(self._scene.neurons)))

    def write(self, target: Path) -> None:
        """Write to a file or folder."""
        trace_set, fold = self._scene.set, self.fold
        if trace_set is None:
            return
        place = fold.segmentation.path
        export = Export(
            self._scene.neurons,
            self.rows(str(fold.scope.currentData())),
            fold.format.currentData(),
            target,
            fold.unit.currentData(),
            trace_set.review,
            "" if place is None else str(place),
        )
        fold.export.setText("Exporting\N{HORIZONTAL ELLIPSIS}")
        fold.export.setEnabled(False)

        def work() -> Any:
            try:
                return export(), None
            except Exception as error:  # told by the page, after the button is back
                return None, error

        def done(result: Any) -> None:
            fold.export.setText("Export\N{HORIZONTAL ELLIPSIS}")
            fold.export.setEnabled(True)
            written, error = result
            if error is not None:
                self._session.report(error, "Traces")
                return
            fold.show_written(written, len(export.rows))
            self._session.say(f"{len(export.rows)} neurons exported to {written.name}")

        self._session.in_background(work, done, "Traces")
