"""The child process of the panel as Qt sees it: one at a time, with its progress in one line at the bottom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_segkit._child import Child

__all__ = ["STOPPED_CODES", "Job", "JobStrip"]

STOPPED_CODES = (143, 130, -15, -2)
PATIENCE_SECONDS = 10.0
POLL_MS = 200


class Job(QObject):  # type: ignore[misc]
    """At most one child process."""

    ticked = Signal()
    ended = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.child: Child | None = None
        self.what = ""
        self.stop_asked: float | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._look)

    @property
    def running(self) -> bool:
        """Whether a child runs."""
        return self.child is not None and self.child.exit_code() is None

    def start(self, what: str, arguments: Sequence[str], log: Path) -> None:
        """Start a segkit command; `what` names it to people."""
        self.what, self.stop_asked = what, None
        self.child = Child(arguments, log)
        self._timer.start()

    def stop(self) -> None:
        """Ask the child to save and end; ask again, some seconds later, to end it at once."""
        if self.child is None:
            return
        if self.stop_asked is None:
            self.stop_asked = monotonic()
            self.child.stop()
        elif self.impatient:
            self.child.kill()
        self.ticked.emit()

    @property
    def impatient(self) -> bool:
        """Whether the child was asked to stop so long ago that ending it by force is offered."""
        return self.stop_asked is not None and monotonic() - self.stop_asked > PATIENCE_SECONDS

    def _look(self) -> None:
        code = None if self.child is None else self.child.exit_code()
        self.ticked.emit()
        if code is not None:
            self._timer.stop()
            self.ended.emit(code)

    def close(self) -> None:
        """Let the child save and end by itself."""
        self._timer.stop()
        if self.child is not None:
            self.child.stop()


class JobStrip(QWidget):  # type: ignore[misc]
    """How far the job is, and the button that stops it; hidden while there is none.

    Parameters
    ----------
    job
        The job to show.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setStyleSheet("QProgressBar::chunk { background: #1f6feb; }")
        self.bar.setAccessibleName("progress")
        self.line = QLabel()
        self.line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.line.setWordWrap(True)
        self.button = QPushButton("Stop and save")
        self.button.setToolTip("Stop after the current step, with everything saved; it can be continued later")
        self.button.clicked.connect(lambda _=False: job.stop())
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.bar)
        layout.addLayout(row)

    def show_progress(self, line: str, done: int, total: int) -> None:
        """Show a line of text, and a bar that runs to and fro where the total is not known.

        Parameters
        ----------
        line
            What to say.
        done, total
            Units of work; a total of 0 where it is not known.
        """
        running = self._job.running
        if running and self._job.stop_asked is not None:
            line = "Saving and stopping\N{HORIZONTAL ELLIPSIS}"
        self.line.setText(line)
        self.bar.setVisible(bool(running or total))
        self.bar.setRange(0, total)
        # Full only when the work has ended: a bar that waits at its end looks stuck.
        self.bar.setValue(min(done, total - 1) if running and total else done)
        self.button.setVisible(running)
        self.button.setText("Force stop" if self._job.impatient else "Stop and save")
        self.button.setEnabled(self._job.stop_asked is None or self._job.impatient)
