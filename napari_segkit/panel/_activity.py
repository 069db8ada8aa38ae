"""The jobs in napari's own activity dock, where people look for them too; Cancel there is "Stop and save" here."""

from __future__ import annotations

from typing import Any

from napari_segkit.session import Job, Session

__all__ = ["Activity"]


class Activity:
    """One bar of napari for each job that runs.

    Parameters
    ----------
    session
        Whose jobs they are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bars: dict[Job, Any] = {}

    def update(self) -> None:
        """Bring the bars up to date; napari handles events meanwhile, so this may be called again from within."""
        from napari.utils import cancelable_progress

        active = self._session.jobs.active
        for job in [job for job in self._bars if job not in active]:
            self._bars.pop(job).close()
        for job in active:
            if job.total and job not in self._bars:
                self._bars[job] = cancelable_progress(desc=job.title, total=job.total)
            bar = self._bars.get(job)
            if bar is None:
                continue
            if bar.is_canceled and job.state == "running":
                job.stop()
            if job.done != bar.n and job.total == bar.total:
                bar.update(job.done - bar.n)
            elif job.total != bar.total:
                self._bars.pop(job).close()  # the next stage counts something else

    def close(self) -> None:
        """Take all bars away."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()
