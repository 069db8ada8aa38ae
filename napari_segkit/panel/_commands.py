"""What the command palette and the menus do: open the dock, show a page, or press one of its buttons."""

from __future__ import annotations

from typing import Any

import napari

from napari_segkit.panel._panel import Panel

__all__ = [
    "focus_neuron",
    "new_box",
    "open_data",
    "open_predict",
    "open_traces",
    "open_train",
    "pause_jobs",
    "show_help",
    "start_training",
    "stop_jobs",
]

DOCK = "Train, predict and trace"


def panel_of(viewer: Any) -> Panel:
    """Return the dock of a viewer, after opening it if it is not."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, Panel):
            return widget
    found: Panel = viewer.window.add_plugin_dock_widget("segkit-sdk", DOCK)[1]
    return found


def open_data(viewer: napari.Viewer) -> None:
    """Show the page Data."""
    panel_of(viewer).show_page("Data")


def open_train(viewer: napari.Viewer) -> None:
    """Show the page Train."""
    panel_of(viewer).show_page("Train")


def open_predict(viewer: napari.Viewer) -> None:
    """Show the page Predict."""
    panel_of(viewer).show_page("Predict")


def open_traces(viewer: napari.Viewer) -> None:
    """Show the page Traces."""
    panel_of(viewer).show_page("Traces")


def start_training(viewer: napari.Viewer) -> None:
    """Train as the page Train says."""
    _press(viewer, "Train", "train")


def new_box(viewer: napari.Viewer) -> None:
    """Paint in a new box around the centre of the view."""
    _press(viewer, "Data", "new_box")


def focus_neuron(viewer: napari.Viewer) -> None:
    """Bring the selected neuron into view."""
    _press(viewer, "Traces", "focus")


def pause_jobs(viewer: napari.Viewer) -> None:
    """Let all jobs save and pause."""
    for job in panel_of(viewer).session.jobs.active:
        job.stop("paused")


def stop_jobs(viewer: napari.Viewer) -> None:
    """Let all jobs save and end."""
    for job in panel_of(viewer).session.jobs.active:
        job.stop()


def show_help(viewer: napari.Viewer) -> None:
    """Show keys, files, logs and versions."""
    panel_of(viewer).show_help()


def _press(viewer: Any, page: str, method: str) -> None:
    panel = panel_of(viewer)
    panel.show_page(page)
    getattr(panel.page(page), method)()
