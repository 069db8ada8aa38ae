"""`segkit view`: show volumes, predictions, run folders and traces in napari."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from segkit.errors import PluginError, UsageError

__all__ = ["view_command"]

INSTALL = "pip install 'segkit-sdk[napari]' 'pyside6-essentials!=6.12.0'"


@click.command("view")
@click.argument("paths", nargs=-1, metavar="PATH...", required=True)
@click.option("--panel", is_flag=True, help="Also open the panel that trains, predicts and traces.")
def view_command(paths: tuple[str, ...], panel: bool) -> None:
    """Open volumes, predictions, run folders and SWC files in napari.

    A PATH is anything that the other commands take: a file, a folder of slices, a store, file.h5:dataset, a URL, the
    folder of a run, an SWC file or a folder of them.
    """
    _require_viewer()
    # By name: the library knows no GUI, and the viewer may not be installed.
    open_layers = import_module("napari_segkit.layers._readers").open_layers
    opened = [layer for path in paths for layer in open_layers(path)]
    napari = import_module("napari")
    viewer = napari.Viewer(title="segkit")
    for data, arguments, kind in opened:
        viewer.add_layer(napari.layers.Layer.create(data, arguments, kind))
    _show_what_all_cover(viewer)
    if panel:
        viewer.window.add_plugin_dock_widget("segkit-sdk", "Train, predict and trace")
    napari.run()


def _show_what_all_cover(viewer: Any) -> None:
    """Move the sliders into the region that every layer covers: a result may be that of a part of the image."""
    extents = [layer.extent.world for layer in viewer.layers]
    for axis in range(viewer.dims.ndim):
        depth = viewer.dims.ndim - axis  # layers of fewer axes are aligned at the last one
        ranges = [extent[:, -depth] for extent in extents if extent.shape[1] >= depth]
        low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
        if low <= high:
            viewer.dims.set_point(axis, (low + high) / 2)


def _require_viewer() -> None:
    """Say how to install what is missing, before anything is opened."""
    if find_spec("napari") is None or find_spec("qtpy") is None:
        raise PluginError(f"'segkit view' needs napari, which is not installed. Install it with: {INSTALL}")
    shown = [os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")]
    if sys.platform == "linux" and not any(shown):  # Qt would abort the process
        raise UsageError(
            "'segkit view' opens a window, but there is no display here (DISPLAY is not set). Run it on your desktop, through "
            "'ssh -X', or below 'xvfb-run'."
        )
    try:
        import_module("qtpy.QtWidgets")
    except Exception as error:  # qtpy's own errors, and the loader's for a missing system library
        raise PluginError(
            f"'segkit view' needs a Qt binding that loads ({' '.join(str(error).split())}). Install one with: {INSTALL}; on a "
            "bare Linux also: apt-get install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libdbus-1-3"
        ) from error
