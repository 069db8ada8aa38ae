"""The jobs at the bottom of the dock, on every page: how far each is, and the buttons that pause and stop it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_segkit.session import Job, Session

__all__ = ["JobRow", "JobStrip"]

# What the two buttons of a job do in its states: text, tip, action.
_PAUSE = ("Pause", "Save everything and pause; nothing is computed twice when it goes on", "pause")
_RESUME = ("Resume", "Go on where it was stopped", "resume")
_STOP = ("Stop and save", "Stop after the current step, with everything saved; it can be continued later", "stop")
_REMOVE = ("Remove", "Take it off the list; what it made stays", "remove")
_FORCE = ("Force stop", "End the process now; what it saved before stays", "force")


class JobStrip(QWidget):  # type: ignore[misc]
    """A row for each job that runs, waits or is paused; hidden while there is none.

    Parameters
    ----------
    session
        Whose jobs they are.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.rows: dict[Job, JobRow] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 4, 0, 0)
        self._column.setSpacing(4)
        self.hide()

    def update_rows(self) -> None:
        """Bring the rows up to date."""
        wanted = self._session.jobs.open
        for job in [job for job in self.rows if job not in wanted]:
            row = self.rows.pop(job)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        for job in wanted:
            if job not in self.rows:
                self.rows[job] = JobRow(job, self._session)
                self._column.addWidget(self.rows[job])
            self.rows[job].show_job()
        self.setVisible(bool(self.rows))


class JobRow(QWidget):  # type: ignore[misc]
    """One job."""

    def __init__(self, job: Job, session: Session) -> None:
        super().__init__()
        self._job, self._session = job, session
        self.name = QLabel()
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setStyleSheet("QProgressBar::chunk { background: #1f6feb; }")
        self.bar.setAccessibleName(f"progress of {job.title}")
        self.bar.setToolTip(job.command)
        self.line = QLabel()
        self.line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.left, self.right = QPushButton(), QPushButton()
        for button in (self.left, self.right):
            button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _=False, button=button: self._act(button.property("action")))
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget, stretch in ((self.name, 1), (self.left, 0), (self.right, 0)):
            row.addWidget(widget, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        layout.addWidget(self.line)

    def show_job(self) -> None:
        """Show how far the job is."""
        job = self._job
        stage = (
            f" · {job.what.lower()}" if job.what and job.what.split()[0].lower()[:5] not in job.title.lower() else ""
        )
        self.name.setText(f"<b>{job.title}</b>{stage}")
        self.name.setToolTip(f"{job.title}{stage}")
        text = job.line(datetime.now())
        self.line.setText(text)
        self.line.setToolTip(text)
        waiting = job.active and not job.total
        self.bar.setRange(0, 0 if waiting else max(job.total, 1))
        # Full only when the work has ended: a bar that waits at its end looks stuck.
        self.bar.setValue(min(job.done, job.total - 1) if job.active and job.total else job.done)
        left, right = self._offers()
        for button, offer in ((self.left, left), (self.right, right)):
            button.setVisible(offer is not None)
            if offer is not None:
                button.setText(offer[0])
                button.setToolTip(offer[1])
                button.setAccessibleName(f"{offer[0]}: {job.title}")
                button.setProperty("action", offer[2])

    def _offers(self) -> tuple[Any, Any]:
        job = self._job
        if job.impatient:
            return None, _FORCE
        if job.state in ("preparing", "running"):
            return _PAUSE, _STOP
        if job.state == "paused":
            return _RESUME, _REMOVE
        return (None, _REMOVE) if job.state == "queued" else (None, None)

    def _act(self, action: str) -> None:
        job, jobs = self._job, self._session.jobs
        if action == "pause":
            job.stop("paused")
        elif action == "stop":
            job.stop()
        elif action == "resume":
            jobs.resume(job)
        elif action == "force":
            job.force()
        elif action == "remove":
            job.stop()
            jobs.dismiss(job)
        self.show_job()
