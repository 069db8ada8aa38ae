"""The dock of segkit: four pages, the jobs below them, and what went wrong above them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from napari_segkit.data import DataPage
from napari_segkit.forms import Page
from napari_segkit.panel._banner import Banner
from napari_segkit.panel._closing import CloseGuard
from napari_segkit.panel._device import device_text
from napari_segkit.panel._header import Header, default_project
from napari_segkit.panel._help import HelpWindow
from napari_segkit.panel._job_strip import JobStrip
from napari_segkit.panel._shortcuts import Shortcut, bind, release
from napari_segkit.panel._toast import Toast
from napari_segkit.panel._warming import prepare_canvas, prepare_process
from napari_segkit.predict import PredictPage
from napari_segkit.session import Job, Problem, Session
from napari_segkit.traces import TracesPage
from napari_segkit.train import TrainPage

__all__ = ["Panel"]

POLL_MS = 100
PREPARE_MS = 500  # until the dock has been drawn
WIDTH = 380
REMEMBER_EVERY = 50  # polls


class Panel(QWidget):  # type: ignore[misc]
    """Open data, train a network and watch it learn, predict, segment, and follow traces.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel belongs to.
    project
        Folder in which everything is kept; None for that of the plugin's settings.
    """

    def __init__(self, napari_viewer: napari.Viewer, project: Path | None = None) -> None:
        super().__init__()
        prepare_process()
        self.viewer = napari_viewer
        self.session = session = Session(project or default_project())
        self.header, self.banner = Header(), Banner(session)
        self.strip, self.toast = JobStrip(session), Toast()
        self.pages: dict[str, Page] = {}
        self.tabs = QTabWidget()
        for kind in (DataPage, TrainPage, PredictPage, TracesPage):
            page = kind(napari_viewer, session)
            self.pages[page.title] = page
            self.tabs.addTab(_scrolling(page), page.title)
        self.tabs.currentChanged.connect(self._page_changed)
        self.setMinimumWidth(320)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        for widget, stretch in ((self.header, 0), (self.banner, 0), (self.tabs, 1), (self.toast, 0), (self.strip, 0)):
            layout.addWidget(widget, stretch)

        session.problem.connect(self._problem)
        session.said.connect(self.toast.say)
        session.page_wanted.connect(self.show_page)
        session.jobs.changed.connect(self._jobs_changed)
        self.header.help_wanted.connect(self.show_help)
        self.header.project_wanted.connect(self._change_project)
        session.fixes["other_project"] = lambda _: self.header.browse()
        self.guard = CloseGuard(self, lambda: session.jobs.active, lambda answer: self.close_down(answer == "keep"))
        self._help: HelpWindow | None = None
        self._jobs_moved, self._closed, self._polls = True, False, 0
        self._layers_moved = QTimer(self)
        self._layers_moved.setSingleShot(True)
        self._layers_moved.setInterval(0)
        self._layers_moved.timeout.connect(self._list_layers)
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close_down)
        bind(napari_viewer, self._pressed)
        self.header.show_project(session.project.folder)
        session.tasks.start(device_text, lambda text, error: self.header.device.setText(text or ""))
        self._open()
        QTimer.singleShot(PREPARE_MS, partial(session.later, partial(prepare_canvas, napari_viewer)))
        self._timer.start()

    def sizeHint(self) -> QSize:
        """Return the width at which everything can be read, and no more."""
        return QSize(WIDTH, 760)

    def page(self, title: str) -> Any:
        """Return a page by its title."""
        return self.pages[title]

    def show_page(self, title: str) -> None:
        """Bring a page to the front."""
        self.tabs.setCurrentIndex(list(self.pages).index(title))

    def reset_choices(self, event: Any = None) -> None:
        """List the layers that exist now; napari calls this when they change, also after the dock was closed."""
        self._layers_moved.start()  # several changes at once are listed once, and not while napari adds a layer

    def _list_layers(self) -> None:
        if not self._closed:
            for page in self.pages.values():
                page.layers_changed()

    def _open(self) -> None:
        found = self.session.open()
        for title, page in self.pages.items():
            if isinstance(self.session.state.get(title), dict):
                page.restore(self.session.state[title])
        if self.session.state.get("page") in self.pages:
            self.show_page(self.session.state["page"])
        waiting = [job for job in found if job.state == "paused"]
        if waiting:
            names = ", ".join(f"{job.title} ({job.line(datetime.now())})" for job in waiting)
            self.banner.offer(
                f"This project has work that was interrupted: {names}.", [("Resume", _all(self.session, waiting))]
            )

    def _poll(self) -> None:
        self.session.poll()
        if self._jobs_moved and self._polls % 2 == 0:
            self._jobs_moved = False
            self._show_jobs()
        self._polls += 1
        if self._polls % REMEMBER_EVERY == 0:
            self._remember()
        if not self._closed:
            self._timer.start()  # counted from here: the window answers in between, however long this took

    def _show_jobs(self) -> None:
        self.strip.update_rows()
        for page in self.pages.values():
            page.jobs_changed()

    def _jobs_changed(self) -> None:
        self._jobs_moved = True

    def _remember(self) -> None:
        for title, page in self.pages.items():
            self.session.state[title] = page.state()
        self.session.state["page"] = list(self.pages)[self.tabs.currentIndex()]
        self.session.remember()

    def _problem(self, problem: Problem) -> None:
        if problem.page in self.pages:
            self.show_page(problem.page)
        self.banner.show_problem(problem)

    def _page_changed(self, index: int) -> None:
        self.viewer.help = list(self.pages.values())[index].hint

    def show_help(self) -> None:
        """Open the window with keys, files, logs and versions."""
        self._help = self._help or HelpWindow(self, self.session)
        self._help.show()
        self._help.raise_()

    def _pressed(self, shortcut: Shortcut) -> None:
        getattr(self.pages[shortcut.page] if shortcut.page else self, shortcut.method)()

    def _change_project(self, folder: Path) -> None:
        """Open another project: this dock makes room for a new one."""
        from napari_segkit.panel._commands import DOCK

        viewer = self.viewer
        self.close_down(keep=True)
        viewer.window.remove_dock_widget(self)
        viewer.window.add_dock_widget(Panel(viewer, folder), name=DOCK)

    def event(self, event: Any) -> bool:
        """Notice in which window this is, and that its dock was closed."""
        if event.type() == QEvent.Type.Show:
            self.guard.watch(self.window())
        elif event.type() == QEvent.Type.ParentChange and self.parent() is None and self._timer.isActive():
            names = [job.title for job in self.session.jobs.active]
            self.close_down(keep=True)
            if names:
                from napari.utils.notifications import show_info

                show_info(f"{', '.join(names)}: still running. Open the segkit panel to see it again.")
        return bool(super().event(event))

    def close_down(self, keep: bool = False) -> None:
        """Remember the state and release everything outside of this widget.

        Parameters
        ----------
        keep
            Whether jobs go on alone; otherwise they save and end.
        """
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self.guard.forget()
        release(self.viewer)
        if self.session.state or len(self.session.jobs):
            self._remember()
        for page in self.pages.values():
            page.close_down()
        self.session.close(lambda job: keep)
        gc.unfreeze()


def _all(session: Session, jobs: list[Job]) -> Callable[[], None]:
    def resume() -> None:
        for job in jobs:
            session.jobs.resume(job)

    return resume


def _scrolling(page: Page) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(page)
    return area
