"""What a prediction will take, kept up to date while choices are made; computed elsewhere, and never waited for."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_segkit.session import Session, eta_text
from napari_segkit.session._caught import caught
from napari_segkit.session.predictions._answers import Answering
from napari_segkit.session.predictions._predictions import Prediction

__all__ = ["Estimate", "Estimator", "bytes_text"]

SETTLED_MS = 500


def bytes_text(count: float) -> str:
    """Say a number of bytes as people do."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000 or unit == "PB":
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.2g} {unit}"
        count /= 1000
    return ""


@dataclass(frozen=True)
class Estimate:
    """What a prediction takes.

    Parameters
    ----------
    blocks, seconds, disk
        Number of blocks, time, and bytes that are written.
    memory, memory_free
        Bytes of memory that are needed and free; None where the system does not tell.
    """

    blocks: int
    seconds: float
    disk: int
    memory: int | None = None
    memory_free: int | None = None

    def problem(self, folder: Path) -> str:
        """Return why it does not fit, or nothing."""
        free = free_bytes(folder)
        if self.disk > free:
            return f"the disk has {bytes_text(free)} free: choose a smaller region, or make room"
        if self.memory is not None and self.memory_free is not None and self.memory > self.memory_free:
            return (
                f"a block takes {bytes_text(self.memory)} of memory and {bytes_text(self.memory_free)} are free: set "
                "smaller blocks under Advanced"
            )
        return ""

    def line(self, folder: Path) -> str:
        """Return it in one line: blocks, time, bytes, and whether they fit."""
        count = f"{self.blocks:,} block{'s' * (self.blocks != 1)}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        time = eta_text(self.seconds, datetime.now()).partition(" (")[0]
        problem = self.problem(folder)
        end = f"does not fit: {problem}" if problem else f"{bytes_text(free_bytes(folder))} free \N{CHECK MARK}"
        return f"{count} · {time} · {bytes_text(self.disk)} · {end}"


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk that a folder is or will be on."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(place).free


class Estimator(QObject):  # type: ignore[misc]
    """Asks for an estimate when choices have settled; the answer to the latest question is the only one that counts.

    Parameters
    ----------
    session
        Its threads are used.
    answers
        The child that is asked.
    """

    changed = Signal()

    def __init__(self, session: Session, answers: Answering) -> None:
        super().__init__()
        self._session, self._answers = session, answers
        self._wanted: Prediction | None = None
        self._asked: Prediction | None = None
        self.busy = False
        """Whether the child is being asked."""
        self.estimate: Estimate | None = None
        self.problem = ""
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._settle.timeout.connect(self._ask)

    @property
    def folder(self) -> Path:
        """Where predictions go."""
        return self._session.project.folder / "predictions"

    @property
    def pending(self) -> bool:
        """Whether an answer is awaited."""
        return self._wanted is not None and (self.busy or self._settle.isActive())

    def want(self, chosen: Prediction | None) -> None:
        """Estimate this from now on; None for nothing."""
        if chosen == self._wanted:
            return
        self._wanted, self.estimate, self.problem = chosen, None, ""
        if chosen is not None:
            self._settle.start()
        self.changed.emit()

    def _ask(self) -> None:
        if self._wanted is None or self.busy:
            return
        self.busy, self._asked = True, self._wanted
        request, target = self._asked.request, str(self.folder / "estimate.zarr")
        self._session.in_background(
            caught(lambda: self._answers.estimate(request, target)), partial(self._answered, self._asked), "Predict"
        )

    def _answered(self, asked: Prediction, found: Any) -> None:
        self.busy = False
        if asked != self._wanted:
            self._ask()
            return
        if isinstance(found, Exception):
            self.problem = str(found)
        else:
            self.estimate = Estimate(*(found[key] for key in ("blocks", "seconds", "disk", "memory", "memory_free")))
        self.changed.emit()

    def close(self) -> None:
        """Ask no more."""
        self._settle.stop()
        self._wanted = None
