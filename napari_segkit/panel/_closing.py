"""What becomes of the jobs when the window closes: asked once, and then done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_segkit.session import Job

__all__ = ["CloseGuard", "ask"]

Answer = Literal["keep", "stop", "cancel"]


def ask(parent: QWidget, jobs: Sequence[Job]) -> Answer:
    """Ask what is to become of running jobs; a training is usually stopped, anything else goes on."""
    box = QMessageBox(parent)
    box.setWindowTitle("Jobs are running")
    box.setText(f"{', '.join(job.title for job in jobs)}: what is to become of {'it' if len(jobs) == 1 else 'them'}?")
    box.setInformativeText("Either way nothing is lost: the project offers to go on when it is opened again.")
    keep = box.addButton("Keep running", QMessageBox.ButtonRole.AcceptRole)
    stop = box.addButton("Stop and save", QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stop if any(job.kind == "train" for job in jobs) else keep)
    box.setEscapeButton(cancel)
    box.exec()
    clicked = box.clickedButton()
    answer: Answer = "keep" if clicked is keep else "stop" if clicked is stop else "cancel"
    box.deleteLater()
    return answer


class CloseGuard(QObject):  # type: ignore[misc]
    """Watches a window, and asks before it closes over running jobs.

    Parameters
    ----------
    jobs
        Returns the jobs that run.
    close
        Called once with the answer, which is not ``cancel``.
    """

    def __init__(self, parent: QWidget, jobs: Callable[[], Sequence[Job]], close: Callable[[Answer], None]) -> None:
        super().__init__(parent)
        self._parent, self._jobs, self._close = parent, jobs, close
        self._window: Any = None

    def watch(self, window: QWidget) -> None:
        """Watch this window, and no other any more."""
        if window is not self._window:
            self.forget()
            self._window = window
            window.installEventFilter(self)

    def forget(self) -> None:
        """Watch nothing."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the window open if somebody wants that."""
        if watched is self._window and event.type() == QEvent.Type.Close:
            jobs = self._jobs()
            answer = ask(self._parent, jobs) if jobs else "stop"
            if answer == "cancel":
                event.ignore()
                return True
            self.forget()
            self._close(answer)
        return False
